/* test_segment_map.c - segment_map.h: what the kernel is asked for, at which pace, and that nothing
 * stays mapped. */
#include "../support/scratch.h"

#include <limits.h>
#include <sys/mman.h>
#include <time.h>

#include "segment_map.h"

#define COLLAPSE     25 /* MADV_COLLAPSE: Debian 12's headers are older than Linux 6.1 */
#define COLLAPSE_MS  20
#define ADVICES_MAX  64
#define MAPPED_BYTES (2 * SEGMENT_HUGE_PAGE + 4096)

/* Most sections are larger than a huge page. */
static const struct segment_settings settings = {.max_entries = 1000000,
                                                 .max_scopes = 4000,
                                                 .max_window = 3600,
                                                 .max_histories = 100,
                                                 .max_events = 4096};
static struct segment_header header;

static struct advice {
    uint64_t offset, size;
    int advice;
} advices[ADVICES_MAX];
static unsigned advice_count;
static int64_t clock_ms;

/* The linker calls these in place of madvise and clock_gettime (--wrap). */
int __wrap_madvise(void *address, size_t size, int advice);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_madvise(void *address, size_t size, int advice)
{
    assert_true(advice_count < ADVICES_MAX);
    advices[advice_count++] =
        (struct advice){(uint64_t)((char *)address - (char *)&header), size, advice};
    clock_ms += COLLAPSE_MS;
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    *ret = (struct timespec){clock_ms / 1000, clock_ms % 1000 * 1000000};
    return 0;
}

/* The sections that huge pages are for, in the order of the file. */
static const unsigned scattered[] = {SECTION_RINGS, SECTION_TABLE, SECTION_MINUTES};

static int lay_out(void **state)
{
    (void)state;
    segment_layout(&settings, &header.geometry);
    for (unsigned i = 0; i < LENGTH(scattered); i++)
        assert_true(header.geometry.sections[scattered[i]].size >= 2 * SEGMENT_HUGE_PAGE);
    assert_true(header.geometry.sections[SECTION_EVENTS].size >= SEGMENT_HUGE_PAGE);
    advice_count = 0;
    return 0;
}

static void huge_pages_are_asked_for(void **state)
{
    (void)state;
    segment_map_advise(&header);
    assert_int_equal(advice_count, LENGTH(scattered));
    for (unsigned i = 0; i < LENGTH(scattered); i++) {
        const struct segment_section *section = &header.geometry.sections[scattered[i]];
        assert_int_equal(advices[i].advice, MADV_HUGEPAGE);
        assert_int_equal(advices[i].offset, section->offset);
        assert_int_equal(advices[i].size, section->size);
    }
}

static void expect_collapsed(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < LENGTH(scattered); i++) {
        const struct segment_section *section = &header.geometry.sections[scattered[i]];
        for (uint64_t page = 0; page < section->size / SEGMENT_HUGE_PAGE; page++, count++) {
            assert_int_equal(advices[count].advice, COLLAPSE);
            assert_int_equal(advices[count].offset, section->offset + page * SEGMENT_HUGE_PAGE);
            assert_int_equal(advices[count].size, SEGMENT_HUGE_PAGE);
        }
    }
    assert_int_equal(advice_count, count);
}

static void each_page_is_collapsed_once(void **state)
{
    uint64_t position = 0;

    (void)state;
    segment_map_collapse(&header, UINT_MAX, &position);
    expect_collapsed();
    segment_map_collapse(&header, UINT_MAX, &position);
    expect_collapsed();
}

/* In each 50 ms three pages of 20 ms are begun, where the last ones ended. */
static void it_stops_in_time_and_goes_on_later(void **state)
{
    uint64_t position = 0;
    unsigned before = 0;

    (void)state;
    segment_map_collapse(&header, 0, &position);
    assert_int_equal(advice_count, 0);
    do {
        before = advice_count;
        segment_map_collapse(&header, 50, &position);
        assert_in_range(advice_count, before, before + 3);
    } while (advice_count == before + 3);
    expect_collapsed();
}

/* Return how many bytes of addresses the process has. */
static uint64_t mapped_bytes(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void only_the_file_is_mapped(void **state)
{
    const struct scratch *scratch = *state;
    int fd = open(scratch->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint64_t before = mapped_bytes();

    assert_int_equal(ftruncate(fd, MAPPED_BYTES), 0);
    for (unsigned i = 0; i < 20; i++) {
        void *base = segment_map(fd, MAPPED_BYTES);
        assert_ptr_not_equal(base, MAP_FAILED);
        assert_int_equal((uintptr_t)base % SEGMENT_HUGE_PAGE, 0);
        assert_int_equal(munmap(base, MAPPED_BYTES), 0);
    }
    assert_in_range(mapped_bytes(), 0, before + SEGMENT_HUGE_PAGE);
    close(fd);
    unlink(scratch->path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(huge_pages_are_asked_for, lay_out),
        cmocka_unit_test_setup(each_page_is_collapsed_once, lay_out),
        cmocka_unit_test_setup(it_stops_in_time_and_goes_on_later, lay_out),
        SCRATCH_TEST(only_the_file_is_mapped),
    };
    return cmocka_run_group_tests_name("segment_map", tests, NULL, NULL);
}
