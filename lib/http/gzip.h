/* gzip.h - compress an answer. */
#ifndef PRESENCE_GZIP_H
#define PRESENCE_GZIP_H

#include <stddef.h>

/* Compress a text in the format of gzip (RFC 1952); the caller frees it. NULL: out of memory. */
char *gzip_compress(const char *text, size_t length, size_t *ret_length);

#endif
