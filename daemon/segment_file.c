#include "segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Debian 12's headers are older than Linux 6.1 */
#endif

#define OPEN_ATTEMPTS 16 /* each lost to another daemon that starts at the same moment */

/* The kernel's id of this boot as 16 bytes: the file has 36 characters of a UUID. */
static int boot_id_read(uint8_t ret[16])
{
    char text[40];
    uint8_t id[16];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, sizeof(text));
    close(fd);
    if (length < 36)
        return -EIO;
    const char *cursor = text;
    for (int i = 0; i < 16; i++) {
        unsigned byte;
        cursor += *cursor == '-';
        if (sscanf(cursor, "%2x", &byte) != 1)
            return -EIO;
        id[i] = (uint8_t)byte;
        cursor += 2;
    }
    memcpy(ret, id, sizeof(id));
    return 0;
}

/* When this process started, in clock ticks since boot: field 22 of proc(5)'s stat, counted from
 * the last parenthesis because the name before it may contain anything. 0 if it can't be read. */
static uint64_t start_time_read(void)
{
    char text[1024];
    unsigned long long start = 0;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *fields = strrchr(text, ')');
    if (!fields || sscanf(fields + 1,
                          " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                          "%*d %*d %llu",
                          &start) != 1)
        return 0;
    return start;
}

static int lock_file(int descriptor)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    /* An open file description lock: released by the kernel however the daemon ends. */
    if (fcntl(descriptor, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* Is the file behind the descriptor still the one that the path names? */
static bool is_at_path(int descriptor, const char *path)
{
    struct stat opened, named;

    return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Map the file at a multiple of the huge page's size, as its large sections lie in the file. */
static void *map_aligned(int descriptor, uint64_t size)
{
    uint64_t reserved = size + SEGMENT_HUGE_PAGE;
    char *area =
        mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (area == MAP_FAILED)
        return MAP_FAILED;
    uint64_t skipped = -(uintptr_t)area % SEGMENT_HUGE_PAGE;
    void *base =
        mmap(area + skipped, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
    if (base == MAP_FAILED) {
        munmap(area, reserved);
        return MAP_FAILED;
    }
    uint64_t end = segment_align(skipped + size, SEGMENT_ALIGNMENT);
    if (skipped)
        munmap(area, skipped);
    munmap(area + end, reserved - end);
    return base;
}

/* Huge pages save a section the misses of the address translation. Collapsing works on a tmpfs
 * whose mount does not ask for them (madvise(2), Linux 6.1); where it does not, nothing changes but
 * speed. */
static void ask_for_huge_pages(char *base, const struct segment_section *section)
{
    if (section->size < SEGMENT_HUGE_PAGE)
        return;
    madvise(base + section->offset, section->size, MADV_HUGEPAGE);
    madvise(base + section->offset, section->size / SEGMENT_HUGE_PAGE * SEGMENT_HUGE_PAGE,
            MADV_COLLAPSE);
}

static int map_segment(int descriptor, const struct segment_header *header, struct segment *ret)
{
    /* Hit at random, or a line here and there once a second. */
    static const enum segment_section_kind scattered[] = {SECTION_TABLE, SECTION_RINGS,
                                                          SECTION_MINUTES};
    char *base = map_aligned(descriptor, header->file_size);

    if (base == MAP_FAILED)
        return -errno;
    for (unsigned i = 0; i < sizeof(scattered) / sizeof(scattered[0]); i++)
        ask_for_huge_pages(base, &header->geometry.sections[scattered[i]]);
    *ret = segment_view(base, header);
    return 0;
}

static int header_fill(const struct segment_settings *settings, uint64_t now,
                       struct segment_header *ret)
{
    struct segment_header header = {
        .magic = SEGMENT_MAGIC,
        .abi_major = SEGMENT_ABI_MAJOR,
        .abi_minor = SEGMENT_ABI_MINOR,
        .header_size = sizeof(header),
        .state = SEGMENT_STARTING,
        .tick = now,
        .listening_since = SEGMENT_NEVER,
        .sampled = SEGMENT_NEVER,
    };
    int r = boot_id_read(header.boot_id);

    if (r < 0)
        return r;
    if (getrandom(header.secret, sizeof(header.secret), 0) != sizeof(header.secret))
        return -EIO;
    const struct segment_limits limits = segment_settings_limits(settings);
    header.file_size = segment_layout(&limits, &header.geometry);
    *ret = header;
    return 0;
}

/* The number of a new segment's first event: microseconds since 1970, more than there have been
 * events. So numbers rise from one segment to the next. */
static uint64_t first_event(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Open a file without a name in the directory of `path`: it is gone, memory and all, if the daemon
 * is killed before it has one. */
static int open_nameless(const char *path)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');

    if (strlen(path) >= sizeof(directory) - sizeof(".2147483647"))
        return -ENAMETOOLONG;
    if (slash)
        memcpy(directory, path, (size_t)(slash - path) + 1); /* with the slash: it may be "/" */
    int descriptor = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
    return descriptor < 0 ? -errno : descriptor;
}

/* Give the file its name. -EEXIST: another file has it, and it is not to be replaced. */
static int name_file(int descriptor, const char *path, bool replace)
{
    char self[sizeof("/proc/self/fd/2147483647")], temporary[PATH_MAX];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", descriptor);
    if (!replace)
        return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
    /* A link replaces nothing, so that it takes two steps. */
    snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid());
    unlink(temporary);
    if (linkat(AT_FDCWD, self, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    if (rename(temporary, path) == 0)
        return 0;
    int r = -errno;
    unlink(temporary);
    return r;
}

/* Reserve, lock and fill a file, then give it its name. */
static int create_segment(const char *path, const struct segment_settings *settings, uint64_t now,
                          bool replace, struct segment_file *ret)
{
    struct segment_file file = {.origin = replace ? SEGMENT_RENEWED : SEGMENT_CREATED};
    struct segment_header header;
    int r = header_fill(settings, now, &header);

    if (r < 0)
        return r;
    file.descriptor = open_nameless(path);
    if (file.descriptor < 0)
        return file.descriptor;
    r = -posix_fallocate(file.descriptor, 0, (off_t)header.file_size);
    if (r == 0 && fchmod(file.descriptor, 0640) < 0) /* whatever the umask */
        r = -errno;
    if (r == 0)
        r = lock_file(file.descriptor);
    if (r == 0)
        r = map_segment(file.descriptor, &header, &file.segment);
    if (r < 0)
        goto fail;
    memcpy(file.segment.header, &header, sizeof(header));
    if (file.segment.events.capacity)
        events_begin(&file.segment.events, first_event());
    r = name_file(file.descriptor, path, replace);
    if (r == 0) {
        *ret = file;
        return 0;
    }
    munmap(file.segment.header, file.segment.size);
fail:
    close(file.descriptor);
    return r;
}

/* Tell readers that still map the old file that it has gone from the path. If it fails they find
 * out by the age of its tick. */
static void mark_replaced(int descriptor, const struct segment_header *header)
{
    const uint32_t state = SEGMENT_REPLACED;

    if (header->magic != SEGMENT_MAGIC || header->abi_major != SEGMENT_ABI_MAJOR)
        return;
    ssize_t written =
        pwrite(descriptor, &state, sizeof(state), offsetof(struct segment_header, state));
    (void)written;
}

static bool is_attachable(const struct segment_header *header, uint64_t file_size,
                          const struct segment_settings *settings, uint64_t now)
{
    struct segment_geometry wanted;
    uint8_t boot_id[16];

    const struct segment_limits limits = segment_settings_limits(settings);
    segment_layout(&limits, &wanted);
    return segment_judge(header, file_size) == SEGMENT_GOOD &&
           header->abi_minor == SEGMENT_ABI_MINOR &&
           memcmp(&header->geometry, &wanted, sizeof(wanted)) == 0 && boot_id_read(boot_id) == 0 &&
           memcmp(header->boot_id, boot_id, sizeof(boot_id)) == 0 &&
           header->tick <= now; /* otherwise written in another time namespace */
}

/* The file exists, is ours and locked: go on with it, or put a new one in its place. */
static int take_segment(int descriptor, off_t size, const char *path,
                        const struct segment_settings *settings, uint64_t now,
                        struct segment_file *ret)
{
    struct segment_header header = {0};
    ssize_t length = pread(descriptor, &header, sizeof(header), 0);

    if (length < 0)
        return -errno;
    if (size > 0 && (length < (ssize_t)sizeof(header.magic) || header.magic != SEGMENT_MAGIC))
        return -EBADMSG;
    if (length == sizeof(header) && is_attachable(&header, (uint64_t)size, settings, now)) {
        struct segment_file file = {.descriptor = descriptor, .origin = SEGMENT_ATTACHED};
        int r = map_segment(descriptor, &header, &file.segment);
        if (r == 0)
            *ret = file;
        return r;
    }
    int r = create_segment(path, settings, now, true, ret);
    if (r == 0) {
        mark_replaced(descriptor, &header);
        close(descriptor);
    }
    return r;
}

/* One attempt; -EAGAIN when another daemon changed the path at the same moment. */
static int try_open(const char *path, const struct segment_settings *settings, uint64_t now,
                    struct segment_file *ret, pid_t *ret_holder)
{
    struct stat status;
    int r, descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0 && errno == ENOENT) {
        if (lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
            return -EBADMSG; /* it leads nowhere */
        r = create_segment(path, settings, now, false, ret);
        return r == -EEXIST ? -EAGAIN : r;
    }
    if (descriptor < 0)
        return errno == EISDIR || errno == ENXIO ? -EBADMSG : -errno;
    r = fstat(descriptor, &status) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(status.st_mode))
        r = -EBADMSG;
    if (r == 0 && status.st_uid != geteuid())
        r = -EPERM;
    if (r == 0)
        r = lock_file(descriptor);
    if (r == -EBUSY && pread(descriptor, ret_holder, sizeof(*ret_holder),
                             offsetof(struct segment_header, pid)) != sizeof(*ret_holder))
        *ret_holder = 0;
    if (r == 0 && !is_at_path(descriptor, path))
        r = -EAGAIN;
    if (r == 0)
        r = take_segment(descriptor, status.st_size, path, settings, now, ret);
    if (r < 0)
        close(descriptor);
    return r;
}

int segment_file_open(const char *path, const struct segment_settings *settings, uint64_t now,
                      struct segment_file *ret, pid_t *ret_holder)
{
    struct segment_file file;
    int r = -EAGAIN;

    for (int attempt = 0; r == -EAGAIN && attempt < OPEN_ATTEMPTS; attempt++)
        r = try_open(path, settings, now, &file, ret_holder);
    if (r < 0)
        return r;

    struct segment_header *header = file.segment.header;
    atomic_store_release(&header->state, SEGMENT_STARTING); /* pairs with readers' acquire */
    header->pid = getpid();
    header->pid_start_time = start_time_read();
    header->warm_up = settings->warm_up;
    *ret = file;
    return 0;
}

void segment_file_close(struct segment_file *file)
{
    munmap(file->segment.header, file->segment.size);
    close(file->descriptor);
}
