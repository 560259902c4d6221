/* file_text.h - read files that are small. */
#ifndef PRESENCE_FILE_TEXT_H
#define PRESENCE_FILE_TEXT_H

#include <stddef.h>

/* Read the rest of a file into `text` of `size` bytes, and end it with a zero, which `*ret_length`
 * doesn't count. Errors: -EFBIG it has `size` bytes or more; those of read. Any thread. */
int file_text_read(int descriptor, char *text, size_t size, size_t *ret_length);

#endif
