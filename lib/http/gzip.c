#include "gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW  (15 + 16) /* the largest, and a header of gzip */
#define MEMORY_LEVEL 8

char *gzip_compress(const char *text, size_t length, size_t *ret_length)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)length};

    if (length > UINT32_MAX / 2 ||
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    size_t bound = deflateBound(&stream, length);
    char *packed = malloc(bound);
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)bound;
    int r = packed ? deflate(&stream, Z_FINISH) : Z_MEM_ERROR;
    *ret_length = stream.total_out;
    deflateEnd(&stream);
    if (r == Z_STREAM_END)
        return packed;
    free(packed);
    return NULL;
}
