/* test_segment_room.c - segment_room.h, on trees like those of the kernel. */
#include "../support/confined.h"
#include "../support/descriptors.h"
#include "../support/scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/resource.h>

#include "segment_room.h"

#define MB (UINT64_C(1) << 20)

static char root[] = "/dev/shm/presence-room-XXXXXX";
static char groups[64], meminfo[64], mounts[64];

static int make_root(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(groups, sizeof(groups), "%s/groups", root);
    snprintf(meminfo, sizeof(meminfo), "%s/meminfo", root);
    snprintf(mounts, sizeof(mounts), "%s/cgroup", root);
    segment_room_paths = (struct segment_room_paths){groups, meminfo, mounts};
    return 0;
}

static int remove_tree(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s/*", root);
    return system(command);
}

static int remove_root(void **state)
{
    remove_tree(state);
    return rmdir(root);
}

/* Write a file below the root, and make its directories. */
__attribute__((format(printf, 2, 3))) static void put(const char *name, const char *format, ...)
{
    char path[256];
    va_list arguments;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0700);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

static void expect(const char *what, uint64_t bytes, int wanted)
{
    int r = segment_room_check(bytes);

    if (r != wanted)
        fail_msg("%s: %s, not %s", what, strerror(-r), strerror(-wanted));
}

static void nothing_is_known(void **state)
{
    (void)state;
    expect("no file at all", UINT64_C(1) << 50, 0);
    put("groups", "nonsense\n:::\n0\n7:\n0:\n0::/a/b\n3:memory:/c\n");
    put("meminfo", "MemTotal: 5 kB\nnonsense\n");
    expect("no group's directory", UINT64_C(1) << 50, 0);
    put("cgroup/a/b/memory.max", "max\n");
    put("cgroup/a/b/memory.current", "%" PRIu64 "\n", 100 * MB);
    put("cgroup/memory/c/memory.limit_in_bytes", "9223372036854771712\n");
    put("cgroup/memory/c/memory.usage_in_bytes", "%" PRIu64 "\n", 100 * MB);
    expect("no limit", UINT64_C(1) << 50, 0);
    put("cgroup/a/memory.max", "%" PRIu64 "\n", 10 * MB);
    expect("a limit, and no use", UINT64_C(1) << 50, 0);
    put("cgroup/a/memory.current", "not a number");
    expect("a limit, and nonsense", UINT64_C(1) << 50, 0);
}

/* A limit of 100 MB of which 40 are used, 10 of them by reclaimable files. */
static void put_group(const char *directory, bool first_version)
{
    char name[200];

    snprintf(name, sizeof(name), "%s/memory.%s", directory,
             first_version ? "limit_in_bytes" : "max");
    put(name, "%" PRIu64 "\n", 100 * MB);
    snprintf(name, sizeof(name), "%s/memory.%s", directory,
             first_version ? "usage_in_bytes" : "current");
    put(name, "%" PRIu64 "\n", 40 * MB);
    snprintf(name, sizeof(name), "%s/memory.stat", directory);
    put(name, "anon 1\n%sinactive_file %" PRIu64 "\n%sactive_file %" PRIu64 "\nshmem %" PRIu64 "\n",
        first_version ? "inactive_file 99999999\ntotal_" : "", 6 * MB,
        first_version ? "total_" : "", 4 * MB, 30 * MB);
}

static void groups_limit(void **state)
{
    static const struct {
        const char *what, *groups, *directory;
        bool first_version;
    } cases[] = {
        {"version 2", "0::/a/b\n", "cgroup/a/b", false},
        {"version 2, above", "0::/a/b\n", "cgroup/a", false},
        {"version 2, in a container", "0::/\n", "cgroup", false},
        {"version 2, path of the host", "0::/docker/4711\n", "cgroup", false},
        {"version 2 beside version 1", "4:cpu:/x\n0::/a\n", "cgroup/unified/a", false},
        {"version 1", "5:cpu:/x\n4:memory:/a/b\n", "cgroup/memory/a/b", true},
        {"version 1, above", "4:memory:/a/b\n0::/\n", "cgroup/memory", true},
        {"version 1, with others", "4:cpu,memory:/a\n", "cgroup/memory/a", true},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        put("groups", "%s", cases[i].groups);
        put_group(cases[i].directory, cases[i].first_version);
        /* 70 MB are left, 8 of them for the rest of the process. */
        expect(cases[i].what, 62 * MB, 0);
        expect(cases[i].what, 62 * MB + 1, -EDQUOT);
        expect(cases[i].what, UINT64_MAX / 2, -EDQUOT);
        put("meminfo", "MemAvailable: 99999999 kB\nSwapFree: %" PRIu64 " kB\n", 20 * MB / 1024);
        expect("with swap", 82 * MB, 0);
        expect("with swap", 82 * MB + 1, -EDQUOT);
        remove_tree(NULL);
    }
    put("groups", "0::/a\n");
    put_group("cgroup/a", false);
    put("cgroup/a/memory.current", "%" PRIu64 "\n", 120 * MB);
    expect("a limit that was lowered", MB, -EDQUOT);
    put("cgroup/a/memory.stat", "inactive_file %" PRIu64 "\n", 130 * MB);
    expect("more files than what is used by now", 92 * MB, 0);
    remove_tree(NULL);
    put("groups", "4:memory_of_an_elephant:/a\n5:hugetlb:/a\n");
    put_group("cgroup/memory/a", true);
    expect("other controllers", UINT64_C(1) << 40, 0);
}

static void no_file_stays_open(void **state)
{
    (void)state;
    put("groups", "0::/a\n");
    put("meminfo", "MemAvailable: 99999999 kB\n");
    put_group("cgroup/a", false);
    unsigned before = count_descriptors();
    expect("it fits", MB, 0);
    assert_int_equal(count_descriptors(), before);
}

static void explanations_name_the_limit(void **state)
{
    char text[512];

    (void)state;
    put("groups", "0::/a\n");
    put_group("cgroup/a", false);
    segment_room_explain(-EDQUOT, 90 * MB, text, sizeof(text));
    assert_non_null(strstr(text, "may have 104.9 MB of memory, of which 73.4 MB are left"));
    assert_non_null(strstr(text, "cgroup/a/memory.max"));
    segment_room_explain(-EDQUOT, MB, text, sizeof(text)); /* there is room by now */
    assert_string_equal(text, "");
    segment_room_explain(-ENOSPC, 90 * MB, text, sizeof(text));
    assert_string_equal(text, "");
}

static void the_machine_limits(void **state)
{
    char text[512];

    (void)state;
    put("meminfo", "MemTotal: 1 kB\nMemAvailable:    %" PRIu64 " kB\nSwapFree: %" PRIu64 " kB\n",
        50 * MB / 1024, 10 * MB / 1024);
    expect("it fits", 52 * MB, 0);
    expect("it does not", 52 * MB + 1, -ENOMEM);
    segment_room_explain(-ENOMEM, 60 * MB, text, sizeof(text));
    assert_string_equal(text, "the machine has 52.4 MB of memory left");
}

/* In a child: a lowered limit stays. */
static int with_limit_of_files(void)
{
    const struct rlimit limit = {1000, 1000};
    char text[512];

    if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || segment_room_check(1000) != 0 ||
        segment_room_check(1001) != -EFBIG)
        return 1;
    segment_room_explain(-EFBIG, 1001, text, sizeof(text));
    return strstr(text, "RLIMIT_FSIZE") ? 0 : 2;
}

/* In a child, too. Nothing else explains that there is no memory. */
static int with_limit_of_addresses(void)
{
    struct rlimit limit;
    char text[512];

    getrlimit(RLIMIT_AS, &limit);
    segment_room_explain(-ENOMEM, 1000, text, sizeof(text));
    if (limit.rlim_cur == RLIM_INFINITY && *text)
        return 1;
    limit.rlim_cur = UINT64_C(500000000000);
    if (setrlimit(RLIMIT_AS, &limit) < 0)
        return 2;
    segment_room_explain(-ENOMEM, 1000, text, sizeof(text));
    return strstr(text, "may have 500000.0 MB of address space (RLIMIT_AS, ") ? 0 : 3;
}

static void limits_of_the_process_are_found(void **state)
{
    (void)state;
    assert_int_equal(run_child(with_limit_of_files), 0);
    assert_int_equal(run_child(with_limit_of_addresses), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, remove_tree)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known),   TEST(groups_limit),
        TEST(no_file_stays_open), TEST(explanations_name_the_limit),
        TEST(the_machine_limits), TEST(limits_of_the_process_are_found),
    };
    return cmocka_run_group_tests_name("segment_room", tests, make_root, remove_root);
}
