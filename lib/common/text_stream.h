/* text_stream.h - a stream whose bytes become a text. Not open_memstream(): glibc's drops the bytes
 * that it has no memory for, and neither ferror() nor fclose() says so (2.36). */
#ifndef PRESENCE_TEXT_STREAM_H
#define PRESENCE_TEXT_STREAM_H

#include <stddef.h>
#include <stdio.h>

/* The caller's, from open to close, at one place. */
struct text_stream {
    FILE *out; /* to write to; NULL if it could not be opened */
    char *bytes;
    size_t length, size;
};

/* Open a stream, and return what to write to, or NULL if there is no memory. One thread. */
FILE *text_stream_open(struct text_stream *ret);

/* Close a stream that is open, and return its text, which ends with a 0 byte, or NULL if there was
 * no memory for all of it. `*ret_length` (or NULL) is the text's length in bytes. The caller frees
 * it. */
char *text_stream_close(struct text_stream *stream, size_t *ret_length);

#endif
