/* engine_parser.h - parse replies of Redis or Valkey, which are hostile: hiredis builds them, but
 * only from bytes that are checked before. hiredis 0.14 would allocate an array as long as its
 * header says, and 1.2 nest them without end. One thread at a time. */
#ifndef PRESENCE_ENGINE_PARSER_H
#define PRESENCE_ENGINE_PARSER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

#define ENGINE_REPLIES_BYTES    ((size_t)256 << 20) /* of all replies of a call */
#define ENGINE_REPLIES_ELEMENTS ((size_t)8 << 20)   /* in all their arrays */
#define ENGINE_LINE_MAX         65536               /* bytes of a status or an error */
#define ENGINE_DEPTH_MAX        7                   /* arrays in arrays: freeing them recurses */

struct engine_parser {
    redisReader *reader;
    size_t bytes, elements;        /* that this call may still have */
    size_t left[ENGINE_DEPTH_MAX]; /* elements that each open array still lacks */
    unsigned depth;                /* open arrays */
    size_t skip;                   /* bytes of a string, and its line end, that are still to come */
    size_t line_length;            /* bytes of the current line so far */
    char line[24];                 /* its beginning */
    char last;                     /* its last byte */
};

/* Errors: -ENOMEM. */
int engine_parser_open(struct engine_parser *parser);
void engine_parser_close(struct engine_parser *parser);

/* Expect the replies of a new call. */
void engine_parser_begin(struct engine_parser *parser);

/* Add bytes that were received. Errors: -EPROTO no replies of RESP2, or arrays that are nested too
 * deeply; -EMSGSIZE too much; -ENOMEM. After any of them the parser can only be closed. */
int engine_parser_feed(struct engine_parser *parser, const char *bytes, size_t length);

/* Get the next reply, or NULL if it isn't complete. Errors: -EPROTO, -ENOMEM. */
int engine_parser_next(struct engine_parser *parser, redisReply **ret);

/* True if nothing was received beyond the replies so far. */
bool engine_parser_is_empty(const struct engine_parser *parser);

#endif
