/* test_segment_file.c - segment_file.h: opening each kind of file at the path. */
#include "../support/buckets.h"
#include "../support/scratch.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <core/ring_sum.h>

#include "segment_file.h"

static const struct segment_settings limits = {
    .max_entries = 1000, .max_scopes = 16, .max_window = 3600};

static const struct segment_settings settings = {
    .max_entries = 1000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};
static const uint64_t now = 100000;

static int open_scratch(void **state)
{
    struct scratch *scratch = malloc(sizeof(*scratch));

    assert_non_null(scratch);
    scratch_open(scratch);
    *state = scratch;
    return 0;
}

static int close_scratch(void **state)
{
    scratch_close(*state);
    free(*state);
    return 0;
}

static void expect_opened(const char *what, const struct scratch *scratch, uint64_t tick,
                          enum segment_origin origin, struct segment_file *ret)
{
    pid_t holder = 0;
    int r = segment_file_open(scratch->path, &settings, tick, ret, &holder);

    if (r < 0)
        fail_msg("%s: %s", what, strerror(-r));
    if (ret->origin != origin)
        fail_msg("%s: origin %d, not %d", what, (int)ret->origin, (int)origin);
}

static void expect_refused(const char *what, const struct scratch *scratch, int error)
{
    struct segment_file file, before;
    pid_t holder = -7;

    memset(&file, 0x5a, sizeof(file));
    before = file;
    int r = segment_file_open(scratch->path, &settings, now, &file, &holder);
    if (r != error)
        fail_msg("%s: %d (%s), not %d (%s)", what, r, strerror(r < 0 ? -r : 0), error,
                 strerror(-error));
    assert_memory_equal(&file, &before, sizeof(file)); /* untouched on failure */
}

/* Leave a segment as an earlier daemon did: a word in the table, a bucket, counters. */
static void make_segment(const struct scratch *scratch)
{
    struct segment_file file;

    expect_opened("making", scratch, now, SEGMENT_CREATED, &file);
    file.segment.table.words[77] = 12345;
    ring_add(&file.segment.directory.rings[3], now, 9);
    file.segment.counters[0].values[COUNTER_datagrams_received] = 5;
    file.segment.header->state = SEGMENT_STOPPED;
    file.segment.header->listening_since = now - 50;
    segment_file_close(&file);
}

static void write_file(const struct scratch *scratch, const void *bytes, size_t length)
{
    int fd = open(scratch->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static struct stat status_of(const struct scratch *scratch)
{
    struct stat status;

    assert_int_equal(lstat(scratch->path, &status), 0);
    return status;
}

/* Field 22 of /proc/self/stat, with all before it cut off by counting. */
static unsigned long long own_start_time(void)
{
    char text[1024] = {0};
    FILE *file = fopen("/proc/self/stat", "r");

    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    char *field = strrchr(text, ')') + 1;
    for (unsigned i = 0; i < 20; i++)
        field = strchr(field, ' ') + 1;
    return strtoull(field, NULL, 10);
}

static void expect_boot_id(const struct segment_header *header)
{
    char text[64] = {0}, expected[64] = {0};
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

    assert_non_null(file);
    assert_non_null(fgets(expected, sizeof(expected), file));
    fclose(file);
    for (unsigned i = 0; i < 16; i++)
        sprintf(text + strlen(text), i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                header->boot_id[i]);
    assert_memory_equal(text, expected, 36);
}

static void missing_files_are_created(void **state)
{
    struct scratch *scratch = *state;
    struct segment_file file;
    struct segment_geometry geometry;

    expect_opened("first", scratch, now, SEGMENT_CREATED, &file);
    const struct segment_header *header = file.segment.header;
    uint64_t size = segment_layout(&limits, &geometry);
    struct stat status = status_of(scratch);
    assert_int_equal(status.st_size, size);
    assert_true((uint64_t)status.st_blocks * 512 >= size); /* reserved in full */
    assert_int_equal(file.segment.size, size);
    assert_int_equal(segment_judge(header, size), SEGMENT_GOOD);
    assert_memory_equal(&header->geometry, &geometry, sizeof(geometry));
    assert_int_equal(header->abi_major, SEGMENT_ABI_MAJOR);
    assert_int_equal(header->abi_minor, SEGMENT_ABI_MINOR);
    assert_int_equal(header->state, SEGMENT_STARTING);
    assert_int_equal(header->pid, getpid());
    assert_int_equal(header->pid_start_time, own_start_time());
    assert_int_equal(header->tick, now);
    assert_int_equal(header->listening_since, SEGMENT_NEVER);
    assert_int_equal(header->warm_up, 90);
    expect_boot_id(header);
    for (unsigned i = 0; i < HASH_KEY_WORDS; i++)
        for (unsigned j = 0; j < i; j++)
            assert_true(header->secret[i] != header->secret[j]);
    assert_int_equal((uintptr_t)file.segment.table.words % 128, 0);
    assert_int_equal(scratch_count(scratch), 1);

    /* Each has its own secret. */
    uint64_t secret[HASH_KEY_WORDS];
    memcpy(secret, header->secret, sizeof(secret));
    segment_file_close(&file);
    assert_int_equal(unlink(scratch->path), 0);
    expect_opened("second", scratch, now, SEGMENT_CREATED, &file);
    assert_memory_not_equal(secret, file.segment.header->secret, sizeof(secret));
    segment_file_close(&file);
}

static void the_mode_is_0640_whatever_the_umask(void **state)
{
    struct scratch *scratch = *state;
    static const mode_t masks[] = {0, 022, 077, 0777};

    for (size_t i = 0; i < LENGTH(masks); i++) {
        struct segment_file file;
        mode_t before = umask(masks[i]);
        pid_t holder;
        int r = segment_file_open(scratch->path, &settings, now, &file, &holder);
        umask(before);
        assert_int_equal(r, 0);
        assert_int_equal(status_of(scratch).st_mode, S_IFREG | 0640);
        segment_file_close(&file);
        assert_int_equal(unlink(scratch->path), 0);
    }
}

static void good_segments_are_attached(void **state)
{
    struct scratch *scratch = *state;
    struct segment_file file;
    uint64_t secret[HASH_KEY_WORDS];
    static const uint64_t laters[] = {0, 1, 10, 11, 100000, 1000000000};

    make_segment(scratch);
    struct stat before = status_of(scratch);
    expect_opened("as is", scratch, now, SEGMENT_ATTACHED, &file);
    memcpy(secret, file.segment.header->secret, sizeof(secret));
    segment_file_close(&file);
    for (size_t i = 0; i < LENGTH(laters); i++) {
        expect_opened("later", scratch, now + laters[i], SEGMENT_ATTACHED, &file);
        struct segment_header *header = file.segment.header;
        assert_int_equal(status_of(scratch).st_ino, before.st_ino);
        assert_memory_equal(secret, header->secret, sizeof(secret));
        assert_int_equal(file.segment.table.words[77], 12345);
        assert_int_equal(ring_count(&file.segment.directory.rings[3], now, 1), 9);
        assert_int_equal(file.segment.counters[0].values[COUNTER_datagrams_received], 5);
        assert_int_equal(header->tick, now); /* only the collector moves it */
        assert_int_equal(header->listening_since, now - 50);
        assert_int_equal(header->state, SEGMENT_STARTING);
        assert_int_equal(header->pid, getpid());
        assert_int_equal(header->pid_start_time, own_start_time());
        header->state = SEGMENT_LISTENING; /* as after a kill */
        header->pid = 1;
        header->pid_start_time = 1;
        segment_file_close(&file);
    }
    /* The warm-up is not part of the geometry. */
    struct segment_settings other = settings;
    pid_t holder;
    other.warm_up = 7;
    assert_int_equal(segment_file_open(scratch->path, &other, now, &file, &holder), 0);
    assert_int_equal(file.origin, SEGMENT_ATTACHED);
    assert_int_equal(file.segment.header->warm_up, 7);
    segment_file_close(&file);
}

/* Open, and expect a new file instead of the old one, with its entries or without. */
static void expect_moved(const char *what, const struct scratch *scratch,
                         const struct segment_settings *wanted, bool marked, bool moved)
{
    struct segment_file file;
    struct segment_header old_header = {0};
    pid_t holder;
    int old = open(scratch->path, O_RDONLY | O_CLOEXEC);
    struct stat before = status_of(scratch);

    assert_true(old >= 0);
    int r = segment_file_open(scratch->path, wanted, now, &file, &holder);
    if (r < 0)
        fail_msg("%s: %s", what, strerror(-r));
    if (file.origin != SEGMENT_RENEWED || status_of(scratch).st_ino == before.st_ino)
        fail_msg("%s: origin %d", what, (int)file.origin);
    assert_int_equal(segment_judge(file.segment.header, file.segment.size), SEGMENT_GOOD);
    assert_int_equal(file.segment.header->geometry.max_entries, wanted->max_entries);
    assert_int_equal(file.segment.header->tick, now);
    assert_int_equal(file.segment.table.words[77], moved ? 12345 : 0);
    assert_int_equal(status_of(scratch).st_mode, S_IFREG | 0640);
    if (scratch_count(scratch) != 1)
        fail_msg("%s: %u files left", what, scratch_count(scratch));
    assert_true(pread(old, &old_header, sizeof(old_header), 0) >= 0);
    if ((old_header.state == SEGMENT_REPLACED) != marked)
        fail_msg("%s: the old one is %s as replaced", what, marked ? "not marked" : "marked");
    close(old);
    segment_file_close(&file);
    assert_int_equal(unlink(scratch->path), 0);
}

static void expect_renewed(const char *what, const struct scratch *scratch,
                           const struct segment_settings *wanted, bool marked)
{
    expect_moved(what, scratch, wanted, marked, false);
}

static void other_settings_renew(void **state)
{
    struct scratch *scratch = *state;
    struct segment_settings wanted[] = {settings, settings, settings, settings};

    wanted[0].max_entries = 1001;
    wanted[1].max_scopes = 15;
    wanted[2].max_window = 3599;
    wanted[3].max_entries = 5000;
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        make_segment(scratch);
        /* With the same size of the table, its words are kept. */
        expect_moved("other settings", scratch, &wanted[i], true, i != 3);
    }
}

#define HEADER(field) offsetof(struct segment_header, field)

/* Files of an earlier boot, another version or an accident. */
static void unusable_segments_are_renewed(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const char *what;
        size_t offset;
        uint64_t value;
        size_t size;
        bool marked; /* only if the layout is known */
    } cases[] = {
        {"an older version", HEADER(abi_major), 0, 2, false},
        {"an older boot", HEADER(boot_id), 0x1234, 8, true},
        {"an older boot, last byte", HEADER(boot_id) + 15, 0x5a5, 1, true},
        {"a tick ahead: another time namespace", HEADER(tick), 100001, 8, true},
        {"a tick far ahead", HEADER(tick), UINT64_MAX, 8, true},
        {"a longer header", HEADER(header_size), 384, 4, true},
        {"another file size", HEADER(file_size), 1 << 20, 8, true},
        {"another table", HEADER(geometry.table_pairs), 85, 8, true},
        {"wild settings", HEADER(geometry.max_scopes), UINT32_MAX, 4, true},
        {"a moved section", HEADER(geometry.sections[3].offset), 4096, 8, true},
        {"something reserved", HEADER(geometry.max_streams), 1, 4, true},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        make_segment(scratch);
        int fd = open(scratch->path, O_WRONLY);
        assert_int_equal(pwrite(fd, &cases[i].value, cases[i].size, (off_t)cases[i].offset),
                         cases[i].size);
        close(fd);
        expect_renewed(cases[i].what, scratch, &settings, cases[i].marked);
    }
}

/* One of a newer version is replaced: this daemon would not maintain its additions. It keeps
 * another name, for the version that can read it. */
static void newer_versions_are_renewed_and_kept(void **state)
{
    struct scratch *scratch = *state;
    const struct {
        size_t offset;
        uint16_t version;
    } cases[] = {{HEADER(abi_major), SEGMENT_ABI_MAJOR + 1},
                 {HEADER(abi_minor), SEGMENT_ABI_MINOR + 1}};
    char kept[sizeof(scratch->path) + 8];
    struct stat before, after;

    snprintf(kept, sizeof(kept), "%s.newer", scratch->path);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        make_segment(scratch);
        before = status_of(scratch);
        int fd = open(scratch->path, O_WRONLY);
        assert_int_equal(pwrite(fd, &cases[i].version, 2, (off_t)cases[i].offset), 2);
        close(fd);
        struct segment_file file;
        expect_opened("a newer version", scratch, now, SEGMENT_RENEWED, &file);
        assert_non_null(strstr(file.account, "is of a newer version; the old one is kept as /"));
        assert_int_equal(stat(kept, &after), 0);
        assert_int_equal(after.st_ino, before.st_ino);
        assert_int_equal(scratch_count(scratch), 2); /* the second one replaces the first one */
        segment_file_close(&file);
        assert_int_equal(unlink(scratch->path), 0);
    }
}

static void other_lengths_are_renewed(void **state)
{
    struct scratch *scratch = *state;
    struct segment_geometry geometry;
    off_t size = (off_t)segment_layout(&limits, &geometry);
    const off_t sizes[] = {0, 8, 300, sizeof(struct segment_header), 4096, size - 1, size + 1};

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        char what[40];
        snprintf(what, sizeof(what), "cut to %lld bytes", (long long)sizes[i]);
        make_segment(scratch);
        assert_int_equal(truncate(scratch->path, sizes[i]), 0);
        expect_renewed(what, scratch, &settings, sizes[i] >= 16);
    }
    write_file(scratch, "", 0);
    expect_renewed("an empty file", scratch, &settings, false);
}

static void foreign_files_are_left_alone(void **state)
{
    struct scratch *scratch = *state;
    static const size_t lengths[] = {1, 7, 8, 9, 592, 593, 100000};
    uint8_t *bytes = malloc(100000), *after = malloc(100000);
    uint64_t random = random_seed("foreign"), magic = SEGMENT_MAGIC;

    assert_true(bytes && after);
    for (unsigned which = 0; which < 4; which++) {
        for (size_t i = 0; i < LENGTH(lengths); i++) {
            for (size_t j = 0; j < lengths[i]; j++)
                bytes[j] = which == 0 ? (uint8_t)random_next(&random) : 0;
            if (which == 2 && lengths[i] >= 8) /* nearly */
                memcpy(bytes, "RESENCE2", 8);
            if (which == 3) /* all of the magic but its last byte */
                memcpy(bytes, &magic, lengths[i] < 7 ? lengths[i] : 7);
            write_file(scratch, bytes, lengths[i]);
            struct stat before = status_of(scratch);
            expect_refused("a foreign file", scratch, -EBADMSG);
            struct stat status = status_of(scratch);
            assert_memory_equal(&status.st_mtim, &before.st_mtim, sizeof(before.st_mtim));
            assert_int_equal(status.st_mode, before.st_mode);
            int fd = open(scratch->path, O_RDONLY);
            assert_int_equal(read(fd, after, 100000), lengths[i]);
            close(fd);
            assert_memory_equal(bytes, after, lengths[i]);
            assert_int_equal(scratch_count(scratch), 1);
        }
    }
    free(bytes);
    free(after);
}

static void other_kinds_of_files_are_left_alone(void **state)
{
    struct scratch *scratch = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    alarm(120); /* in case it waits for the FIFO */
    assert_int_equal(mkdir(scratch->path, 0700), 0);
    expect_refused("a directory", scratch, -EBADMSG);
    assert_true(S_ISDIR(status_of(scratch).st_mode));
    assert_int_equal(rmdir(scratch->path), 0);

    assert_int_equal(mkfifo(scratch->path, 0600), 0);
    expect_refused("a FIFO", scratch, -EBADMSG);
    assert_true(S_ISFIFO(status_of(scratch).st_mode));
    assert_int_equal(unlink(scratch->path), 0);

    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", scratch->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    expect_refused("a socket", scratch, -EBADMSG);
    assert_true(S_ISSOCK(status_of(scratch).st_mode));
    close(fd);
    assert_int_equal(scratch_count(scratch), 1);
    alarm(0);
}

static void wrong_paths_are_errors(void **state)
{
    struct scratch *scratch = *state;
    struct segment_file file;
    char path[5000];
    pid_t holder;

    snprintf(path, sizeof(path), "%s/missing/segment", scratch->directory);
    assert_int_equal(segment_file_open(path, &settings, now, &file, &holder), -ENOENT);
    snprintf(path, sizeof(path), "%s/", scratch->directory);
    memset(path + strlen(path), 'x', 300);
    path[strlen(scratch->directory) + 301] = '\0';
    assert_int_equal(segment_file_open(path, &settings, now, &file, &holder), -ENAMETOOLONG);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(segment_file_open(path, &settings, now, &file, &holder), -ENAMETOOLONG);
    /* The longest name: there is no room for the temporary one's suffix. */
    write_file(scratch, "foreign ", 8);
    snprintf(path, sizeof(path), "%s/segment/below", scratch->directory);
    assert_int_equal(segment_file_open(path, &settings, now, &file, &holder), -ENOTDIR);
    assert_int_equal(scratch_count(scratch), 1);
}

static void files_of_other_users_are_left_alone(void **state)
{
    struct scratch *scratch = *state;

    if (geteuid() != 0) {
        print_message("skipped: only root can give a file away\n");
        skip();
    }
    make_segment(scratch);
    assert_int_equal(chown(scratch->path, 65534, 65534), 0);
    struct stat before = status_of(scratch);
    expect_refused("another user's", scratch, -EPERM);
    struct stat status = status_of(scratch);
    assert_int_equal(status.st_ino, before.st_ino);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(scratch_count(scratch), 1);
    assert_int_equal(chown(scratch->path, 0, 0), 0);
    struct segment_file file;
    expect_opened("given back", scratch, now, SEGMENT_ATTACHED, &file);
    segment_file_close(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scratch, close_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_files_are_created),           TEST(the_mode_is_0640_whatever_the_umask),
        TEST(good_segments_are_attached),          TEST(other_settings_renew),
        TEST(unusable_segments_are_renewed),       TEST(newer_versions_are_renewed_and_kept),
        TEST(other_lengths_are_renewed),           TEST(foreign_files_are_left_alone),
        TEST(other_kinds_of_files_are_left_alone), TEST(wrong_paths_are_errors),
        TEST(files_of_other_users_are_left_alone),
    };
    return cmocka_run_group_tests_name("segment_file", tests, NULL, NULL);
}
