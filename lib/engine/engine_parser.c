#include "engine_parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_DIGITS_MAX  10
#define INTEGER_DIGITS_MAX 18 /* more might overflow, which hiredis 0.14 doesn't notice */

int engine_parser_open(struct engine_parser *parser)
{
    *parser = (struct engine_parser){.reader = redisReaderCreate()};
    return parser->reader ? 0 : -ENOMEM;
}

void engine_parser_close(struct engine_parser *parser)
{
    if (parser->reader)
        redisReaderFree(parser->reader);
    *parser = (struct engine_parser){0};
}

void engine_parser_begin(struct engine_parser *parser)
{
    parser->bytes = ENGINE_REPLIES_BYTES;
    parser->elements = ENGINE_REPLIES_ELEMENTS;
}

/* ---- what may come --------------------------------------------------------------------------- */

/* True if all `length` bytes are digits, and there is one. */
static bool is_number(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
    }
    return length > 0;
}

/* Parse a length, which may be -1: nothing. Then `*ret` is 0. Errors: -EPROTO, -EMSGSIZE. */
static int parse_length(const char *text, size_t length, size_t limit, bool *ret_null, size_t *ret)
{
    *ret = 0;
    *ret_null = length == 2 && memcmp(text, "-1", 2) == 0;
    if (*ret_null)
        return 0;
    if (!is_number(text, length))
        return -EPROTO;
    if (length > LENGTH_DIGITS_MAX)
        return -EMSGSIZE;
    for (size_t i = 0; i < length; i++)
        *ret = *ret * 10 + (size_t)(text[i] - '0');
    return *ret <= limit ? 0 : -EMSGSIZE;
}

/* Count a reply that is complete, or whose string follows, in the array that it is in. */
static void end_element(struct engine_parser *parser)
{
    while (parser->depth > 0 && --parser->left[parser->depth - 1] == 0)
        parser->depth--; /* which was itself one */
}

static int begin_array(struct engine_parser *parser, size_t count)
{
    if (count == 0) {
        end_element(parser);
        return 0;
    }
    if (parser->depth == ENGINE_DEPTH_MAX)
        return -EPROTO;
    parser->elements -= count;
    parser->left[parser->depth++] = count;
    return 0;
}

/* Check a complete line, without its end, and find out what has to follow it. */
static int check_line(struct engine_parser *parser, size_t length)
{
    const char *rest = parser->line + 1;
    size_t digits = length > 0 ? length - 1 : 0, count;
    bool is_null;
    int r;

    if (parser->line[0] == '+' || parser->line[0] == '-') {
        end_element(parser);
        return 0;
    }
    if (length > sizeof(parser->line))
        return -EPROTO;
    if (parser->line[0] == ':') {
        bool is_negative = digits > 0 && *rest == '-';
        digits -= is_negative;
        end_element(parser);
        return digits <= INTEGER_DIGITS_MAX && is_number(rest + is_negative, digits) ? 0 : -EPROTO;
    }
    if (parser->line[0] == '$') {
        r = parse_length(rest, digits, parser->bytes, &is_null, &count);
        parser->skip = r == 0 && !is_null ? count + 2 : 0;
        end_element(parser);
        return r;
    }
    r = parse_length(rest, digits, parser->elements, &is_null, &count);
    return r < 0 ? r : begin_array(parser, count);
}

/* Take one byte of a line. */
static int check_byte(struct engine_parser *parser, char byte)
{
    bool was_return = parser->line_length > 0 && parser->last == '\r';

    if (was_return != (byte == '\n'))
        return -EPROTO;
    if (was_return) {
        size_t length = parser->line_length - 1;
        parser->line_length = 0;
        return check_line(parser, length);
    }
    if (parser->line_length == 0 && (!byte || !strchr("+-:$*", byte)))
        return -EPROTO;
    if (parser->line_length == ENGINE_LINE_MAX)
        return -EMSGSIZE;
    if (parser->line_length < sizeof(parser->line))
        parser->line[parser->line_length] = byte;
    parser->line_length++;
    parser->last = byte;
    return 0;
}

static int check_bytes(struct engine_parser *parser, const char *bytes, size_t length)
{
    int r = 0;

    if (length > parser->bytes)
        return -EMSGSIZE;
    parser->bytes -= length;
    while (length > 0 && r == 0) {
        size_t skipped = parser->skip < length ? parser->skip : length;

        parser->skip -= skipped;
        bytes += skipped;
        length -= skipped;
        if (length > 0) {
            r = check_byte(parser, *bytes++);
            length--;
        }
    }
    return r;
}

/* ---- replies --------------------------------------------------------------------------------- */

static int reader_error(const redisReader *reader)
{
    return reader->err == REDIS_ERR_OOM ? -ENOMEM : -EPROTO;
}

int engine_parser_feed(struct engine_parser *parser, const char *bytes, size_t length)
{
    int r = check_bytes(parser, bytes, length);

    if (r < 0)
        return r;
    return redisReaderFeed(parser->reader, bytes, length) == REDIS_OK
               ? 0
               : reader_error(parser->reader);
}

int engine_parser_next(struct engine_parser *parser, redisReply **ret)
{
    void *reply = NULL;

    if (redisReaderGetReply(parser->reader, &reply) != REDIS_OK)
        return reader_error(parser->reader);
    *ret = reply;
    return 0;
}

bool engine_parser_is_empty(const struct engine_parser *parser)
{
    return parser->reader->pos == parser->reader->len;
}
