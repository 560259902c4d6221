/* test_reader_open.c - which files are opened, and which are replaced by another. */
#include "../support/descriptors.h"
#include "reader_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static const struct segment_settings settings = {
    .max_entries = 100, .max_scopes = 8, .max_window = 600, .warm_up = 90};

static int open_fixture(void **state)
{
    *state = malloc(sizeof(struct fixture));
    fixture_open(*state, settings);
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static int try_open(const char *path)
{
    struct presence *presence;
    int r = presence_open(path, &presence);

    if (r == 0)
        presence_close(presence);
    return r;
}

/* Open the segment's file with a field overwritten, and return the result; then restore it. */
static int try_with(struct fixture *fixture, size_t offset, const void *value, size_t size)
{
    uint8_t before[64];
    uint8_t *field = (uint8_t *)fixture_segment(fixture)->header + offset;

    memcpy(before, field, size);
    memcpy(field, value, size);
    int r = try_open(fixture->scratch.path);
    memcpy(field, before, size);
    return r;
}

#define TRY_WITH(fixture, type, member, ...)                                               \
    try_with(fixture, offsetof(struct segment_header, member), &(const type){__VA_ARGS__}, \
             sizeof(type))

static void nothing_is_left_of_what_is_closed(void **state)
{
    struct fixture *fixture = *state;
    const unsigned descriptors = count_descriptors();

    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(try_open(fixture->scratch.path), 0);
    assert_int_equal(count_descriptors(), descriptors);
}

static void headers_are_judged(void **state)
{
    struct fixture *fixture = *state;
    const struct segment_header *header = fixture_segment(fixture)->header;
    struct boot_id {
        uint8_t bytes[16];
    };

    assert_int_equal(try_open(fixture->scratch.path), 0);
    assert_int_equal(TRY_WITH(fixture, uint64_t, magic, SEGMENT_MAGIC + 1), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint16_t, abi_major, SEGMENT_ABI_MAJOR + 1), -EPROTO);
    assert_int_equal(TRY_WITH(fixture, uint16_t, abi_major, SEGMENT_ABI_MAJOR - 1), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint16_t, abi_minor, SEGMENT_ABI_MINOR + 1), 0);
    assert_int_equal(TRY_WITH(fixture, struct boot_id, boot_id, {1, 2, 3}), -ESTALE);
    assert_int_equal(TRY_WITH(fixture, uint64_t, file_size, header->file_size + 1), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint32_t, header_size, header->header_size + 8), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint64_t, geometry.max_entries, 0), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint64_t, geometry.max_entries, UINT64_MAX), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint64_t, geometry.table_pairs, UINT64_C(1) << 40),
                     -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint32_t, geometry.max_scopes, UINT32_MAX), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint32_t, geometry.head_count, 15), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint32_t, geometry.max_window, 0), -EBADMSG);
    assert_int_equal(TRY_WITH(fixture, uint32_t, geometry.max_window, 3601), -EBADMSG);
    for (size_t i = 0; i < LENGTH(header->geometry.sections); i++) {
        assert_int_equal(TRY_WITH(fixture, uint64_t, geometry.sections[i].offset, UINT64_MAX / 2),
                         -EBADMSG);
        assert_int_equal(TRY_WITH(fixture, uint64_t, geometry.sections[i].size, UINT64_MAX / 2),
                         -EBADMSG);
    }
}

static void truncated_files_are_damaged(void **state)
{
    struct fixture *fixture = *state;
    off_t size = (off_t)fixture_segment(fixture)->size;
    const off_t sizes[] = {0,
                           1,
                           8,
                           (off_t)sizeof(struct segment_header) - 1,
                           sizeof(struct segment_header),
                           size / 2,
                           size - 4096,
                           size - 1,
                           size + 1,
                           size * 2};

    /* The mapping does not grow into a file that shrinks. */
    presence_close(fixture->presence);
    fixture_stop_collector(fixture);
    assert_int_equal(try_open(fixture->scratch.path), 0);
    for (size_t i = LENGTH(sizes); i-- > 0;) {
        assert_int_equal(truncate(fixture->scratch.path, sizes[i]), 0);
        assert_int_equal(try_open(fixture->scratch.path), -EBADMSG);
    }
    unlink(fixture->scratch.path);
    fixture_start_collector(fixture, settings);
    assert_int_equal(presence_open(fixture->scratch.path, &fixture->presence), 0);
}

static void only_files_are_opened(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[128];

    assert_int_equal(try_open("/dev/null"), -EBADMSG);
    assert_int_equal(try_open("/dev/zero"), -EBADMSG);
    assert_int_equal(try_open(fixture->scratch.directory), -EBADMSG);
    assert_int_equal(try_open("/proc/self/status"), -EBADMSG);
    snprintf(path, sizeof(path), "%s/fifo", fixture->scratch.directory);
    assert_int_equal(try_open(path), -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_open(path), -EBADMSG); /* without waiting for a writer */
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", fixture->scratch.directory);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(try_open(address.sun_path), -EBADMSG);
    close(fd);
    assert_int_equal(try_open(fixture->scratch.path), 0);
}

static void what_may_not_be_read_is_not(void **state)
{
    struct fixture *fixture = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(fixture->scratch.directory, 0755), 0);
    assert_int_equal(chmod(fixture->scratch.path, 0600), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(setresuid(65534, 65534, 65534) == 0 ? -try_open(fixture->scratch.path) : 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EACCES);
}

static void the_environment_names_the_segment(void **state)
{
    struct fixture *fixture = *state;
    struct presence *presence;

    setenv("PRESENCE_SEGMENT", fixture->scratch.path, 1);
    assert_int_equal(presence_open(NULL, &presence), 0);
    assert_string_equal(presence_path(presence), fixture->scratch.path);
    presence_close(presence);
    assert_int_equal(try_open("/dev/null"), -EBADMSG); /* an argument takes precedence */
    unsetenv("PRESENCE_SEGMENT");
    presence_close(NULL);
}

static uint32_t count(struct fixture *fixture, bool *ret_stale)
{
    struct presence_reading reading;

    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    *ret_stale = reading.stale;
    return reading.count;
}

/* Count what is mapped as readers do: shared, and read-only. */
static unsigned count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned mappings = 0;
    char line[512];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps))
        mappings += strstr(line, " r--s ") != NULL;
    fclose(maps);
    return mappings;
}

static void a_replaced_segment_is_left_for_the_new_one(void **state)
{
    struct fixture *fixture = *state;
    struct segment_settings larger = settings;
    const unsigned mappings = count_mappings();
    bool stale;

    larger.max_entries *= 2;
    fixture_beat(fixture, "a", "example.com", NULL);
    assert_int_equal(count(fixture, &stale), 1);
    fixture_stop_collector(fixture);
    assert_int_equal(count(fixture, &stale), 1);
    assert_true(stale);

    fixture_start_collector(fixture, larger); /* marks the old one */
    fixture_beat(fixture, "b", "example.com", NULL);
    fixture_beat(fixture, "c", "example.com", NULL);
    assert_int_equal(count(fixture, &stale), 2);
    assert_false(stale);
    assert_int_equal(count_mappings(), mappings);
}

static void a_replaced_segment_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct presence_status status;
    bool stale;

    fixture_beat(fixture, "a", "example.com", NULL);
    fixture_stop_collector(fixture);
    unlink(fixture->scratch.path);
    assert_int_equal(count(fixture, &stale),
                     1); /* still mapped; the path is checked once a second */
    assert_true(stale);

    fixture_start_collector(fixture, settings);
    fixture_beat(fixture, "b", "example.com", NULL);
    fixture_beat(fixture, "c", "example.com", NULL);
    for (uint64_t deadline = clock_boottime(NULL) + 60; stale && clock_boottime(NULL) < deadline;) {
        fixture_show_clock(fixture);
        assert_int_equal(presence_status(fixture->presence, &status), 0);
        stale = status.stale;
    }
    assert_int_equal(count(fixture, &stale), 2);
    assert_false(stale);
}

static void what_cannot_be_read_does_not_replace(void **state)
{
    struct fixture *fixture = *state;
    bool stale;

    fixture_beat(fixture, "a", "example.com", NULL);
    char text[] = "not a segment", path[128];
    snprintf(path, sizeof(path), "%s/other", fixture->scratch.directory);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    close(fd);
    assert_int_equal(rename(path, fixture->scratch.path), 0);
    fixture_segment(fixture)->header->state = SEGMENT_REPLACED;
    assert_int_equal(count(fixture, &stale), 1);
    assert_true(stale);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_left_of_what_is_closed),
        TEST(headers_are_judged),
        TEST(truncated_files_are_damaged),
        TEST(only_files_are_opened),
        TEST(what_may_not_be_read_is_not),
        TEST(the_environment_names_the_segment),
        TEST(a_replaced_segment_is_left_for_the_new_one),
        TEST(a_replaced_segment_is_found),
        TEST(what_cannot_be_read_does_not_replace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
