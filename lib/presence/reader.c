#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/boot_id.h"
#include "common/time_namespace.h"
#include "reader_trust.h"

static int judge(const struct segment_header *header, uint64_t file_size)
{
    uint8_t boot_id[16];

    switch (segment_judge(header, file_size)) {
    case SEGMENT_GOOD:
        break;
    case SEGMENT_NEWER:
        return -EPROTO;
    case SEGMENT_FOREIGN:
    case SEGMENT_DAMAGED:
    case SEGMENT_OLDER:
        return -EBADMSG;
    }
    int r = boot_id_read(boot_id);
    if (r < 0)
        return r;
    return memcmp(boot_id, header->boot_id, sizeof(boot_id)) == 0 ? 0 : -ESTALE;
}

/* Judge the segment behind a descriptor and map it. Fill all of `ret` except the path. */
static int map_segment(int fd, struct presence *ret)
{
    struct presence mapped = {.clocks = READER_CLOCKS_UNKNOWN};
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EBADMSG;
    ssize_t length = pread(fd, &mapped.header, sizeof(mapped.header), 0);
    if (length < 0)
        return -errno;
    if (length != sizeof(mapped.header))
        return -EBADMSG;
    int r = judge(&mapped.header, (uint64_t)status.st_size);
    if (r < 0)
        return r;

    void *base = mmap(NULL, mapped.header.file_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    mapped.segment = segment_view(base, &mapped.header);
    mapped.device = status.st_dev;
    mapped.inode = status.st_ino;
    mapped.offset = time_namespace_offset();
    *ret = mapped;
    return 0;
}

static int open_segment(const char *path, struct presence *ret)
{
    int fd = reader_trust_open(path, NULL);

    if (fd < 0)
        return fd == -ENXIO ? -EBADMSG : fd; /* ENXIO: a socket */
    int r = map_segment(fd, ret);
    close(fd);
    return r;
}

int presence_open(const char *path, struct presence **ret)
{
    struct presence *presence = malloc(sizeof(*presence));

    if (!presence)
        return -ENOMEM;
    if (!path)
        path = getenv("PRESENCE_SEGMENT");
    if (!path || !*path)
        path = PRESENCE_DEFAULT_SEGMENT;

    int r = open_segment(path, presence);
    if (r < 0)
        goto fail;
    presence->path = strdup(path);
    if (!presence->path) {
        r = -ENOMEM;
        goto fail_mapped;
    }
    *ret = presence;
    return 0;

fail_mapped:
    munmap(presence->segment.header, presence->segment.size);
fail:
    free(presence);
    return r;
}

void presence_close(struct presence *presence)
{
    if (!presence)
        return;
    munmap(presence->segment.header, presence->segment.size);
    free(presence->path);
    free(presence);
}

const char *presence_path(const struct presence *presence)
{
    return presence->path;
}

bool reader_reopen(struct presence *presence)
{
    struct presence opened;
    struct stat status;

    if (stat(presence->path, &status) < 0 ||
        (status.st_dev == presence->device && status.st_ino == presence->inode) ||
        open_segment(presence->path, &opened) < 0)
        return false;
    munmap(presence->segment.header, presence->segment.size);
    opened.path = presence->path;
    *presence = opened;
    return true;
}
