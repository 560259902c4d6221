#include "text_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* fopencookie(3): 0 is an error, which the stream remembers. */
static ssize_t append(void *cookie, const char *bytes, size_t length)
{
    struct text_stream *stream = cookie;
    size_t needed = stream->length + length + 1;

    if (needed > stream->size) {
        char *grown = realloc(stream->bytes, 2 * needed);
        if (!grown) {
            errno = ENOMEM;
            return 0;
        }
        stream->bytes = grown;
        stream->size = 2 * needed;
    }
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
    return (ssize_t)length;
}

FILE *text_stream_open(struct text_stream *ret)
{
    *ret = (struct text_stream){0};
    ret->out = fopencookie(ret, "w", (cookie_io_functions_t){.write = append});
    return ret->out;
}

char *text_stream_close(struct text_stream *stream, size_t *ret_length)
{
    int failed = ferror(stream->out);

    if (fclose(stream->out) != 0 || failed) {
        free(stream->bytes);
        return NULL;
    }
    if (ret_length)
        *ret_length = stream->length;
    if (!stream->bytes)
        return calloc(1, 1);
    stream->bytes[stream->length] = '\0';
    return stream->bytes;
}
