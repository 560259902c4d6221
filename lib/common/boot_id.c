#include "boot_id.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/text_visitor.h"

#define UUID_LENGTH 36

int boot_id_read(uint8_t ret[16])
{
    uint8_t text[UUID_LENGTH];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, sizeof(text));
    close(fd);
    return length == sizeof(text) && text_uuid(text, ret) ? 0 : -EIO;
}
