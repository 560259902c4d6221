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

#include "common/boot_id.h"
#include "common/time_namespace.h"
#include "common/trust.h"
#include "segment_account.h"
#include "segment_judge.h"
#include "segment_map.h"
#include "segment_move.h"
#include "segment_path.h"
#include "segment_room.h"

#define OPEN_ATTEMPTS 16 /* one is lost to each daemon that starts at the same moment */

/* Return when this process started, in clock ticks since boot, or 0. It is field 22 of proc(5)'s
 * stat, counted from the last parenthesis because the name before it may contain anything. */
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

bool segment_file_is_at(int descriptor, const char *path)
{
    struct stat opened, named;

    return fstat(descriptor, &opened) == 0 && lstat(path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Map a file whose header was judged or is yet to be written. */
static int map_segment(const struct segment_header *header, struct segment_file *file)
{
    char *base = segment_map(file->descriptor, header->file_size);

    if (base == MAP_FAILED)
        return -errno;
    file->segment = segment_view(base, header);
    return 0;
}

/* Give a new segment huge pages at once. At a restart datagrams wait, so segment_name_check does it
 * later. */
static void make_huge_pages(struct segment_file *file)
{
    segment_map_advise(file->segment.header);
    if (file->origin == SEGMENT_CREATED)
        segment_map_collapse(file->segment.header, UINT_MAX, &file->huge_end);
}

static int fill_header(const struct segment_settings *settings, uint64_t now,
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
    header.file_size = segment_layout(settings, &header.geometry);
    *ret = header;
    return 0;
}

/* Return the number of a new segment's first event: microseconds since 1970. There are fewer events
 * than that, so numbers rise from one segment to the next. */
static uint64_t first_event(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Open a file without a name in the directory of `path`. If the daemon is killed before it has one,
 * the kernel frees it. */
static int open_nameless(const char *path)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');

    if (strlen(path) >= sizeof(directory) - sizeof(".2147483647"))
        return -ENAMETOOLONG;
    if (slash)
        memcpy(directory, path,
               (size_t)(slash - path) + 1); /* with the slash: it may be all there is */
    int descriptor = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
    return descriptor < 0 ? -errno : descriptor;
}

int segment_file_link(int descriptor, const char *path)
{
    char self[sizeof("/proc/self/fd/2147483647")];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", descriptor);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int segment_file_reserve(const char *path, uint64_t size)
{
    int r = segment_room_check(size);

    if (r < 0)
        return r;
    int descriptor = open_nameless(path);
    if (descriptor < 0)
        return descriptor;
    r = -posix_fallocate(descriptor, 0, (off_t)size);
    if (r == 0 && fchmod(descriptor, 0640) < 0) /* the umask may have taken bits away */
        r = -errno;
    if (r == 0)
        r = lock_file(descriptor);
    if (r == 0)
        return descriptor;
    close(descriptor);
    return r;
}

/* Give the file its name. -EEXIST: another file has it, and `replace` is false. */
static int name_file(int descriptor, const char *path, bool replace)
{
    char temporary[PATH_MAX];

    if (!replace)
        return segment_file_link(descriptor, path);
    /* A link can't replace a name: link to another one, then rename. */
    snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid());
    unlink(temporary);
    int r = segment_file_link(descriptor, temporary);
    if (r < 0)
        return r;
    if (rename(temporary, path) == 0)
        return 0;
    r = -errno;
    unlink(temporary);
    return r;
}

/* An existing file, as far as it can be trusted. */
struct former {
    const char *fault;            /* why none of it can be used; NULL: all of it can */
    const char *kept;             /* the name that it keeps when it is replaced, or "" */
    unsigned abi_major;           /* of its layout */
    struct segment_header header; /* a copy in this version's layout */
    struct segment_file file;     /* mapped if there is no fault; `segment` uses that header */
};

/* Fill a new segment, which has no name yet. */
static int fill_segment(struct segment_file *file, const struct segment_header *header,
                        const struct former *former)
{
    struct segment_geometry old;
    struct segment_moved moved;

    memcpy(file->segment.header, header, sizeof(*header));
    make_huge_pages(file);
    if (file->segment.events.capacity)
        events_init(&file->segment.events, first_event());
    if (!former)
        return 0;
    if (former->fault) {
        snprintf(file->account, sizeof(file->account),
                 "replaced, with nothing of the old one: %s%s%s", former->fault,
                 *former->kept ? "; the old one is kept as " : "", former->kept);
        return 0;
    }
    int r = segment_move(&former->file.segment, &file->segment, &moved);
    if (r < 0)
        return r;
    old = former->header.geometry;
    if (former->abi_major != SEGMENT_ABI_MAJOR)
        old.max_streams = header->geometry.max_streams; /* it had no such setting */
    segment_account(&old, &header->geometry, &moved, file->account, sizeof(file->account));
    return r;
}

/* Reserve, lock and fill a file, then give it its name. `former` is the one that it replaces, or
 * NULL. */
static int create_segment(const char *path, const struct segment_settings *settings, uint64_t now,
                          const struct former *former, struct segment_file *ret)
{
    struct segment_file file = {.origin = former ? SEGMENT_RENEWED : SEGMENT_CREATED};
    struct segment_header header;
    int r = fill_header(settings, now, &header);

    if (r < 0)
        return r;
    file.descriptor = segment_file_reserve(path, header.file_size);
    if (file.descriptor < 0)
        return file.descriptor;
    r = map_segment(&header, &file);
    if (r < 0)
        goto fail;
    r = fill_segment(&file, &header, former);
    if (r == 0)
        r = name_file(file.descriptor, path, former);
    if (r == 0) {
        *ret = file;
        return 0;
    }
    munmap(file.segment.header, file.segment.size);
fail:
    close(file.descriptor);
    return r;
}

/* Mark the old file as replaced for readers that still map it. If that fails, they notice by the
 * age of its tick. */
static void mark_replaced(int descriptor, const struct segment_header *header)
{
    const uint32_t state = SEGMENT_REPLACED;
    struct segment_header known;

    if (header->magic != SEGMENT_MAGIC || !segment_move_upgrade_header(header, &known))
        return;
    ssize_t written =
        pwrite(descriptor, &state, sizeof(state), offsetof(struct segment_header, state));
    (void)written;
}

/* Judge the header of an existing file. Returns what is wrong, or NULL if it is of this boot and of
 * a known layout; *ret is then its header in this version's layout. */
static const char *find_header_fault(const struct segment_header *header, uint64_t file_size,
                                     uint64_t now, struct segment_header *ret)
{
    uint8_t boot_id[16];

    if (!segment_move_upgrade_header(header, ret))
        return header->abi_major > SEGMENT_ABI_MAJOR ? "it is of a newer version"
                                                     : "it is of an older version";
    if (ret->abi_minor > SEGMENT_ABI_MINOR)
        return "it is of a newer version";
    if (segment_judge(ret, file_size) != SEGMENT_GOOD)
        return "it was damaged (its header and its size do not add up)";
    if (boot_id_read(boot_id) < 0 || memcmp(ret->boot_id, boot_id, sizeof(boot_id)) != 0)
        return "it is of an earlier boot";
    if (ret->tick > now)
        return "its clock is ahead, perhaps in another time namespace";
    return NULL;
}

/* Map an existing file and judge what it holds. A fault is described in `words`; without one the
 * mapping is the caller's to free. */
static int judge_former(int descriptor, const struct segment_header *header, uint64_t size,
                        uint64_t now, char words[160], struct former *ret)
{
    struct segment_fault fault;

    ret->abi_major = header->abi_major;
    ret->fault = find_header_fault(header, size, now, &ret->header);
    if (ret->fault)
        return 0;
    ret->file.descriptor = descriptor;
    int r = map_segment(&ret->header, &ret->file);
    if (r < 0)
        return r;
    struct segment seen = ret->file.segment;
    seen.header = &ret->header; /* the file's own may be of an older layout */
    if (segment_is_sound(&seen, now, &ret->file.entries, &fault))
        return 0;
    munmap(ret->file.segment.header, ret->file.segment.size);
    snprintf(words, 160, "it was damaged (%s %llu: %s)", fault.part,
             (unsigned long long)fault.index, fault.what);
    ret->fault = words;
    return 0;
}

/* True if the file fits these settings as it is. */
static bool is_attachable(const struct former *former, const struct segment_settings *settings)
{
    struct segment_geometry wanted;

    segment_layout(settings, &wanted);
    return !former->fault && former->abi_major == SEGMENT_ABI_MAJOR &&
           former->header.abi_minor == SEGMENT_ABI_MINOR &&
           memcmp(&former->header.geometry, &wanted, sizeof(wanted)) == 0;
}

static void name_kept(const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%.*s.newer", PATH_MAX - 32, path);
}

bool segment_file_has_kept(const char *path)
{
    char kept[PATH_MAX];

    name_kept(path, kept);
    return access(kept, F_OK) == 0;
}

/* Let a file of a newer version have another name, too, before it is replaced: that version, which
 * may come back, can read it. */
static void keep_newer(int descriptor, const struct segment_header *header, const char *path,
                       char ret[PATH_MAX])
{
    bool is_newer =
        header->abi_major > SEGMENT_ABI_MAJOR ||
        (header->abi_major == SEGMENT_ABI_MAJOR && header->abi_minor > SEGMENT_ABI_MINOR);

    name_kept(path, ret);
    if (!is_newer || name_file(descriptor, ret, true) < 0)
        *ret = '\0';
}

/* Attach to an existing file, which is ours and locked, or replace it by a new one. */
static int attach_or_replace(int descriptor, off_t size, const char *path,
                             const struct segment_settings *settings, uint64_t now,
                             struct segment_file *ret)
{
    struct segment_header header = {0};
    struct former former = {.fault = "it was damaged (cut off)"};
    char words[160], kept[PATH_MAX];
    ssize_t length = pread(descriptor, &header, sizeof(header), 0);

    if (length < 0)
        return -errno;
    if (size > 0 && (length < (ssize_t)sizeof(header.magic) || header.magic != SEGMENT_MAGIC))
        return -EBADMSG;
    int r = length == sizeof(header)
                ? judge_former(descriptor, &header, (uint64_t)size, now, words, &former)
                : 0;
    if (r < 0)
        return r;
    void *mapped = former.fault ? NULL : former.file.segment.header;
    if (is_attachable(&former, settings)) {
        former.file.origin = SEGMENT_ATTACHED;
        make_huge_pages(&former.file);
        *ret = former.file;
        return 0;
    }
    former.file.segment.header = &former.header;
    keep_newer(descriptor, &header, path, kept);
    former.kept = kept;
    r = create_segment(path, settings, now, &former, ret);
    if (r < 0 && *kept)
        unlink(kept);
    if (r == 0) {
        mark_replaced(descriptor, &header);
        close(descriptor);
    }
    if (mapped)
        munmap(mapped, former.header.file_size);
    return r;
}

/* Read the pid of the daemon that holds the file, as it sees itself; 0: it has not written it yet.
 */
static pid_t read_holder(int descriptor)
{
    pid_t holder;
    ssize_t length =
        pread(descriptor, &holder, sizeof(holder), offsetof(struct segment_header, pid));

    return length == sizeof(holder) ? holder : 0;
}

/* Try once. -EAGAIN: another daemon changed the path at the same moment. */
static int try_open(const char *path, const struct segment_settings *settings, uint64_t now,
                    struct segment_file *ret, pid_t *ret_holder)
{
    struct stat status;
    int r, descriptor = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0 && errno == ENOENT) {
        r = create_segment(path, settings, now, NULL, ret);
        return r == -EEXIST ? -EAGAIN : r;
    }
    if (descriptor < 0)
        return errno == EISDIR || errno == ENXIO || errno == ELOOP ? -EBADMSG : -errno;
    r = fstat(descriptor, &status) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(status.st_mode))
        r = -EBADMSG;
    if (r == 0 && !segment_path_trusts(status.st_uid))
        r = -EPERM;
    if (r == 0 && !trust_file_mode(&status) && fchmod(descriptor, 0640) < 0)
        r = -EPERM;
    if (r == 0)
        r = lock_file(descriptor);
    if (r == -EBUSY)
        *ret_holder = read_holder(descriptor);
    if (r == 0 && !segment_file_is_at(descriptor, path))
        r = -EAGAIN;
    if (r == 0) {
        segment_path_share(descriptor, &status, path);
        r = attach_or_replace(descriptor, status.st_size, path, settings, now, ret);
    }
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
    file.former_state = header->state;
    atomic_store_release(&header->state, SEGMENT_STARTING); /* pairs with reader_current_moment */
    header->pid = getpid();
    header->pid_start_time = start_time_read();
    header->warm_up = settings->warm_up;
    /* Readers load it whenever they load the tick. */
    atomic_store_relaxed(&header->clock_offset, time_namespace_offset_s());
    *ret = file;
    return 0;
}

int segment_file_probe(const char *path, pid_t *ret_holder)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat status;
    int r = 0, descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0)
        return 0;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
        *ret_holder = read_holder(descriptor);
        r = -EBUSY;
    }
    close(descriptor);
    return r;
}

void segment_file_discard(const struct segment_file *file, const char *path)
{
    if (file->origin == SEGMENT_CREATED && segment_file_is_at(file->descriptor, path))
        unlink(path);
}

void segment_file_close(struct segment_file *file)
{
    munmap(file->segment.header, file->segment.size);
    close(file->descriptor);
}
