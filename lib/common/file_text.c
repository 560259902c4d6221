#include "file_text.h"

#include <errno.h>
#include <unistd.h>

int file_text_read(int descriptor, char *text, size_t size, size_t *ret_length)
{
    size_t length = 0;
    ssize_t r;

    do {
        r = read(descriptor, text + length, size - length);
        length += r > 0 ? (size_t)r : 0;
    } while ((r > 0 && length < size) || (r < 0 && errno == EINTR));
    if (r < 0)
        return -errno;
    if (length == size)
        return -EFBIG;
    text[length] = '\0';
    *ret_length = length;
    return 0;
}
