/* test_segment.c - segment.h: the layout, and judging headers. */
#include "../support/unit.h"

#include <core/segment.h>

static struct segment_header good_header(struct segment_settings limits)
{
    struct segment_header header = {
        .magic = SEGMENT_MAGIC,
        .abi_major = SEGMENT_ABI_MAJOR,
        .abi_minor = SEGMENT_ABI_MINOR,
        .header_size = sizeof(header),
        .state = SEGMENT_LISTENING,
    };

    header.file_size = segment_layout(&limits, &header.geometry);
    return header;
}

static const struct segment_settings small = {1000, 16, 300, 3, 128, 5};

static const struct segment_settings layouts[] = {
    {1, 1, 1, 0, 0, 0},
    {1, SEGMENT_SCOPES_MAX, WINDOW_MAX, 1, EVENTS_MIN, 1},
    {23, 7, 10, 0, 256, 0},
    {1000, 16, 300, 3, 128, 5},
    {1000000, 16384, 3600, 256, 16384, 1024},
    {65000000, 100000, 3600, 5000, 1024, 0},
    {SEGMENT_ENTRIES_MAX, 1, 480, SEGMENT_HISTORIES_MAX, 0, SEGMENT_STREAMS_MAX},
    {SEGMENT_ENTRIES_MAX, SEGMENT_SCOPES_MAX, WINDOW_MAX, SEGMENT_HISTORIES_MAX, EVENTS_MAX,
     SEGMENT_STREAMS_MAX},
    {999999, 16383, 481, 17, 64, 17},
    {1000001, 16385, 3599, 255, 32768, 8192},
};

static void the_magic_can_be_read(void **state)
{
    (void)state;
    const uint64_t magic = SEGMENT_MAGIC;
    const uint16_t one = 1;

    if (*(const uint8_t *)&one == 1)
        assert_memory_equal(&magic, "RESENCE1", 8);
}

static void sections_follow_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(layouts); i++) {
        struct segment_geometry geometry;
        uint64_t size = segment_layout(&layouts[i], &geometry);
        uint64_t end = sizeof(struct segment_header);
        assert_int_equal(geometry.max_entries, layouts[i].max_entries);
        assert_int_equal(geometry.max_scopes, layouts[i].max_scopes);
        assert_int_equal(geometry.max_window, layouts[i].max_window);
        assert_int_equal(geometry.max_histories, layouts[i].max_histories);
        assert_int_equal(geometry.max_events, layouts[i].max_events);
        assert_int_equal(geometry.max_streams, layouts[i].max_streams);
        for (size_t j = 0; j < LENGTH(geometry.sections); j++) {
            const struct segment_section *section = &geometry.sections[j];
            if (j >= SECTIONS) {
                assert_true(section->offset == 0 && section->size == 0);
                continue;
            }
            uint64_t alignment =
                section->size < SEGMENT_HUGE_PAGE ? SEGMENT_ALIGNMENT : SEGMENT_HUGE_PAGE;
            assert_int_equal(section->offset % alignment, 0);
            assert_true(section->size > 0 || j > SECTION_ACTIVITIES);
            if (section->offset < end || section->offset >= end + alignment)
                fail_msg("layout %zu: section %zu at %llu after %llu", i, j,
                         (unsigned long long)section->offset, (unsigned long long)end);
            end = section->offset + section->size;
        }
        assert_int_equal(size % SEGMENT_ALIGNMENT, 0);
        assert_true(size >= end && size < end + SEGMENT_ALIGNMENT);
    }
}

static void sections_hold_what_they_must(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(layouts); i++) {
        struct segment_geometry geometry;
        uint64_t scopes = layouts[i].max_scopes, heads;
        segment_layout(&layouts[i], &geometry);
        heads = geometry.head_count;
        assert_true((heads & (heads - 1)) == 0 && heads >= 2 * scopes && heads >= 16);
        assert_true(heads == 16 || heads < 4 * scopes);
        assert_true(geometry.table_pairs >= 2 && geometry.table_pairs < UINT64_C(1) << 32);
        /* A quarter of the slots stays free: nothing may be refused below that. */
        assert_true(geometry.table_pairs * TABLE_PAIR_WORDS * 3 >= layouts[i].max_entries * 4);
        const uint64_t sizes[SECTIONS] = {
            [SECTION_COUNTERS] = (SEGMENT_WORKERS_MAX + 1) * 64 * 8,
            [SECTION_ENTRIES] = scopes * 384,
            [SECTION_HEADS] = heads * 4,
            [SECTION_RINGS] = scopes * 4608,
            [SECTION_TABLE] = geometry.table_pairs * 128,
            [SECTION_ACTIVITIES] = scopes * 64,
            [SECTION_HISTORIES] = layouts[i].max_histories * UINT64_C(2688),
            [SECTION_MINUTES] = layouts[i].max_histories * UINT64_C(1440) * 48,
            [SECTION_EVENTS] =
                layouts[i].max_events ? 256 + layouts[i].max_events * UINT64_C(896) : 0,
            [SECTION_STREAMS] = layouts[i].max_streams * UINT64_C(256),
        };
        for (unsigned j = 0; j < SECTIONS; j++)
            assert_int_equal(geometry.sections[j].size, sizes[j]);
    }
}

/* The budgets: 11 bytes a word, 5 KB a scope. A section that begins at a huge page costs 2 MB
 * more. */
static void memory_is_within_budget(void **state)
{
    (void)state;
    static const uint64_t words[] = {1000, 1000000, 10000000, 65000000, SEGMENT_ENTRIES_MAX};
    struct segment_geometry geometry;

    for (size_t i = 0; i < LENGTH(words); i++) {
        const struct segment_settings limits = {words[i], 1, 3600, 0, 0};
        uint64_t file = segment_layout(&limits, &geometry);
        uint64_t table = geometry.sections[SECTION_TABLE].size;
        if (table > words[i] * 11 || file > 100000 + SEGMENT_HUGE_PAGE + table)
            fail_msg("%llu bytes, %llu of them table, for %llu words", (unsigned long long)file,
                     (unsigned long long)table, (unsigned long long)words[i]);
        if (words[i] >= 10000000)
            assert_true(file <= words[i] * 11);
    }
    for (uint32_t scopes = 4; scopes <= SEGMENT_SCOPES_MAX; scopes += scopes / 7 + 1) {
        const struct segment_settings limits = {1, scopes, 3600, 0, 0};
        segment_layout(&limits, &geometry);
        uint64_t size =
            geometry.sections[SECTION_ENTRIES].size + geometry.sections[SECTION_HEADS].size +
            geometry.sections[SECTION_RINGS].size + geometry.sections[SECTION_ACTIVITIES].size;
        if (size > scopes * UINT64_C(5120))
            fail_msg("%llu bytes for %u scopes", (unsigned long long)size, scopes);
    }
}

static void views_point_into_the_sections(void **state)
{
    (void)state;
    struct segment_header header = good_header(small);
    char *base = aligned_alloc(SEGMENT_ALIGNMENT, header.file_size);

    assert_non_null(base);
    struct segment segment = segment_view(base, &header);
    const struct segment_section *sections = header.geometry.sections;
    assert_ptr_equal(segment.header, base);
    assert_ptr_equal(segment.counters, base + sections[SECTION_COUNTERS].offset);
    assert_ptr_equal(segment.directory.entries, base + sections[SECTION_ENTRIES].offset);
    assert_ptr_equal(segment.directory.heads, base + sections[SECTION_HEADS].offset);
    assert_ptr_equal(segment.directory.rings, base + sections[SECTION_RINGS].offset);
    assert_ptr_equal(segment.table.words, base + sections[SECTION_TABLE].offset);
    assert_ptr_equal(segment.directory.activities, base + sections[SECTION_ACTIVITIES].offset);
    assert_ptr_equal(segment.histories.heads, base + sections[SECTION_HISTORIES].offset);
    assert_ptr_equal(segment.histories.minutes, base + sections[SECTION_MINUTES].offset);
    assert_int_equal(segment.histories.capacity, 3);
    assert_ptr_equal(segment.events.head, base + sections[SECTION_EVENTS].offset);
    assert_ptr_equal(segment.events.slots, segment.events.head + 1);
    assert_int_equal(segment.events.capacity, 128);
    assert_int_equal(segment.directory.capacity, 16);
    assert_int_equal(segment.directory.head_mask, header.geometry.head_count - 1);
    assert_int_equal(segment.table.pairs, header.geometry.table_pairs);
    assert_int_equal(segment.table.expiry, 392);
    assert_int_equal(segment.size, header.file_size);
    assert_int_equal(segment.max_window, 300);
    free(base);
}

/* In a full table a word gives its slot up no earlier than the longest window ends, which is
 * counted in whole minutes above 480 seconds. */
static void words_last_as_long_as_the_longest_window(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {{60, 60}, {480, 480}, {481, 540}, {540, 540}, {3599, 3600}};

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct segment_settings settings = small;
        settings.max_window = cases[i][0];
        struct segment_header header = good_header(settings);
        char *base = aligned_alloc(SEGMENT_ALIGNMENT, header.file_size);
        assert_non_null(base);
        assert_int_equal(segment_view(base, &header).table.longest, cases[i][1]);
        free(base);
    }
}

/* A word lives until no bucket counts it and no rule needs it. */
static void words_expire_after_the_longest_window(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {{1, 392},   {299, 392}, {300, 392},
                                        {301, 393}, {480, 572}, {3600, 3692}};

    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(segment_expiry(cases[i][0]), cases[i][1]);
}

static void good_headers_are_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(layouts); i++) {
        struct segment_header header = good_header(layouts[i]);
        assert_int_equal(segment_judge(&header, header.file_size), SEGMENT_GOOD);
        /* Any other size of the file: truncated, or with something appended. */
        const uint64_t sizes[] = {header.file_size - 1,
                                  header.file_size + 1,
                                  header.file_size - SEGMENT_ALIGNMENT,
                                  header.file_size + SEGMENT_ALIGNMENT,
                                  sizeof(header),
                                  UINT64_MAX};
        for (size_t j = 0; j < LENGTH(sizes); j++)
            assert_int_equal(segment_judge(&header, sizes[j]), SEGMENT_DAMAGED);
        assert_int_equal(segment_judge(&header, sizeof(header) - 1), SEGMENT_FOREIGN);
        assert_int_equal(segment_judge(&header, 0), SEGMENT_FOREIGN);
    }
}

#define FIELD(name) \
    offsetof(struct segment_header, name), sizeof(((struct segment_header *)0)->name)

/* The verdict when a field of the header is overwritten. Those that are GOOD have no effect on the
 * layout. */
static const struct field {
    const char *name;
    size_t offset, size;
    enum segment_verdict verdict;
} fields[] = {
    {"magic", FIELD(magic), SEGMENT_FOREIGN},
    {"abi_major", FIELD(abi_major), SEGMENT_NEWER},
    {"abi_minor", FIELD(abi_minor), SEGMENT_GOOD},
    {"header_size", FIELD(header_size), SEGMENT_DAMAGED},
    {"file_size", FIELD(file_size), SEGMENT_DAMAGED},
    {"boot_id", FIELD(boot_id), SEGMENT_GOOD},
    {"secret", FIELD(secret), SEGMENT_GOOD},
    {"max_entries", FIELD(geometry.max_entries), SEGMENT_DAMAGED},
    {"table_pairs", FIELD(geometry.table_pairs), SEGMENT_DAMAGED},
    {"max_scopes", FIELD(geometry.max_scopes), SEGMENT_DAMAGED},
    {"head_count", FIELD(geometry.head_count), SEGMENT_DAMAGED},
    {"max_window", FIELD(geometry.max_window), SEGMENT_DAMAGED},
    {"max_histories", FIELD(geometry.max_histories), SEGMENT_DAMAGED},
    {"max_events", FIELD(geometry.max_events), SEGMENT_DAMAGED},
    {"max_streams", FIELD(geometry.max_streams), SEGMENT_DAMAGED},
    {"sections", FIELD(geometry.sections), SEGMENT_DAMAGED},
    {"state", FIELD(state), SEGMENT_GOOD},
    {"pid", FIELD(pid), SEGMENT_GOOD},
    {"pid_start_time", FIELD(pid_start_time), SEGMENT_GOOD},
    {"tick", FIELD(tick), SEGMENT_GOOD},
    {"listening_since", FIELD(listening_since), SEGMENT_GOOD},
    {"directory_changes", FIELD(directory_changes), SEGMENT_GOOD},
    {"warm_up", FIELD(warm_up), SEGMENT_GOOD},
    {"workers", FIELD(workers), SEGMENT_GOOD},
    {"receive", FIELD(receive), SEGMENT_GOOD},
    {"receive_reason", FIELD(receive_reason), SEGMENT_GOOD},
    {"filter", FIELD(filter), SEGMENT_GOOD},
    {"filter_interface", FIELD(filter_interface), SEGMENT_GOOD},
    {"filter_reason", FIELD(filter_reason), SEGMENT_GOOD},
    {"sampled", FIELD(sampled), SEGMENT_GOOD},
    {"day", FIELD(day), SEGMENT_GOOD},
    {"clock_offset", FIELD(clock_offset), SEGMENT_GOOD},
    {"site_refused", FIELD(site_refused), SEGMENT_GOOD},
    {"site_entry_refused", FIELD(site_entry_refused), SEGMENT_GOOD},
    {"spread", FIELD(spread), SEGMENT_GOOD},
    {"spread_reason", FIELD(spread_reason), SEGMENT_GOOD},
    {"listen_missing", FIELD(listen_missing), SEGMENT_GOOD},
    {"keys", FIELD(keys), SEGMENT_GOOD},
    {"keys_refused", FIELD(keys_refused), SEGMENT_GOOD},
};

static bool field_has(const struct field *field, size_t byte)
{
    return byte - field->offset < field->size;
}

/* True if other settings make the same layout: then nothing is wrong with them. */
static bool is_same_layout(const struct segment_geometry *geometry)
{
    struct segment_geometry layout;
    const struct segment_settings limits = {geometry->max_entries, geometry->max_scopes,
                                            geometry->max_window,  geometry->max_histories,
                                            geometry->max_events,  geometry->max_streams};

    if (!segment_settings_are_sound(&limits))
        return false;
    segment_layout(&limits, &layout);
    return memcmp(&layout, geometry, sizeof(layout)) == 0;
}

static void every_bit_of_the_header_is_judged(void **state)
{
    (void)state;
    const struct segment_header good = good_header(small);

    for (size_t bit = 0; bit < sizeof(good) * 8; bit++) {
        struct segment_header header = good;
        const struct field *field = fields;
        ((uint8_t *)&header)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        while (!field_has(field, bit / 8))
            assert_true(++field < fields + LENGTH(fields)); /* no gap between the fields */
        enum segment_verdict expected = field->verdict;
        if (header.abi_major < SEGMENT_ABI_MAJOR)
            expected = SEGMENT_OLDER;
        if (expected == SEGMENT_DAMAGED && header.file_size == good.file_size &&
            header.header_size == good.header_size && is_same_layout(&header.geometry))
            expected = SEGMENT_GOOD;
        enum segment_verdict verdict = segment_judge(&header, good.file_size);
        if (verdict != expected)
            fail_msg("bit %zu of %s flipped: verdict %d, not %d", bit - field->offset * 8,
                     field->name, (int)verdict, (int)expected);
    }
}

static void settings_out_of_bounds_are_damage(void **state)
{
    (void)state;
    static const struct segment_settings wrong[] = {
        {0, 16, 300, 3, 128, 5},
        {SEGMENT_ENTRIES_MAX + 1, 16, 300, 3, 128, 5},
        {UINT64_MAX, 16, 300, 3, 128, 5},
        {1000, 0, 300, 3, 128, 5},
        {1000, SEGMENT_SCOPES_MAX + 1, 300, 3, 128, 5},
        {1000, UINT32_MAX, 300, 3, 128, 5},
        {1000, 16, 0, 3, 128, 5},
        {1000, 16, WINDOW_MAX + 1, 3, 128, 5},
        {1000, 16, UINT32_MAX, 3, 128, 5},
        {1000, 16, 300, SEGMENT_HISTORIES_MAX + 1, 128, 5},
        {1000, 16, 300, UINT32_MAX, 128, 5},
        {1000, 16, 300, 3, 1, 5},
        {1000, 16, 300, 3, EVENTS_MIN / 2},
        {1000, 16, 300, 3, 129, 5},
        {1000, 16, 300, 3, EVENTS_MAX * 2},
        {1000, 16, 300, 3, 128, SEGMENT_STREAMS_MAX + 1},
        {1000, 16, 300, 3, 128, UINT32_MAX},
    };

    for (size_t i = 0; i < LENGTH(wrong); i++) {
        struct segment_header header = good_header(small);
        assert_false(segment_settings_are_sound(&wrong[i]));
        header.geometry.max_entries = wrong[i].max_entries;
        header.geometry.max_scopes = wrong[i].max_scopes;
        header.geometry.max_window = wrong[i].max_window;
        header.geometry.max_histories = wrong[i].max_histories;
        header.geometry.max_events = wrong[i].max_events;
        header.geometry.max_streams = wrong[i].max_streams;
        assert_int_equal(segment_judge(&header, header.file_size), SEGMENT_DAMAGED);
        if (wrong[i].max_scopes == UINT32_MAX) /* such heads can't be laid out */
            continue;
        /* Even if the whole layout was made to fit. */
        header = good_header(wrong[i]);
        assert_int_equal(segment_judge(&header, header.file_size), SEGMENT_DAMAGED);
    }
}

static uint64_t draw_size(uint64_t *random)
{
    static const uint64_t sizes[] = {0, 1, 2, 16, 4095, 4096, 4097, UINT32_MAX, UINT64_MAX};
    uint64_t draw = random_next(random);

    return draw & 1 ? sizes[(draw >> 8) % LENGTH(sizes)] : draw >> (draw >> 1 & 63);
}

/* Whatever a header says: if it is judged good, nothing in it points out of the file. */
static void good_headers_lead_nowhere_else(void **state)
{
    (void)state;
    uint64_t random = random_seed("headers");
    unsigned good = 0;

    for (unsigned run = 0; run < 300000; run++) {
        struct segment_header header = good_header(layouts[random_next(&random) % LENGTH(layouts)]);
        uint64_t draw = random_next(&random), value = draw_size(&random);
        uint64_t file_size = draw & 1 ? header.file_size : draw_size(&random);
        if (draw & 2)
            header.file_size = file_size;
        size_t word = (draw >> 8) % (sizeof(header.geometry) / 4);
        memcpy((char *)&header.geometry + word * 4, &value,
               draw & 4 && word < sizeof(header.geometry) / 4 - 1 ? 8 : 4);
        if (segment_judge(&header, file_size) != SEGMENT_GOOD)
            continue;
        good++;
        const struct segment_section *sections = header.geometry.sections;
        for (unsigned i = 0; i < SECTIONS; i++)
            assert_true(sections[i].offset <= file_size &&
                        sections[i].size <= file_size - sections[i].offset);
        assert_true(header.geometry.table_pairs <= sections[SECTION_TABLE].size / 128);
        assert_true(header.geometry.max_scopes <= sections[SECTION_RINGS].size / 4608);
        assert_true(header.geometry.head_count <= sections[SECTION_HEADS].size / 4);
        assert_true(header.geometry.max_scopes <= sections[SECTION_ACTIVITIES].size / 64);
        assert_true(header.geometry.max_histories <= sections[SECTION_HISTORIES].size / 2688);
        assert_true(header.geometry.max_histories <= sections[SECTION_MINUTES].size / (1440 * 48));
        assert_true(header.geometry.max_events <= sections[SECTION_EVENTS].size / 896);
        assert_true(header.geometry.max_streams <= sections[SECTION_STREAMS].size / 256);
    }
    assert_true(good > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_magic_can_be_read),
        cmocka_unit_test(sections_follow_each_other),
        cmocka_unit_test(sections_hold_what_they_must),
        cmocka_unit_test(memory_is_within_budget),
        cmocka_unit_test(views_point_into_the_sections),
        cmocka_unit_test(words_last_as_long_as_the_longest_window),
        cmocka_unit_test(words_expire_after_the_longest_window),
        cmocka_unit_test(good_headers_are_good),
        cmocka_unit_test(every_bit_of_the_header_is_judged),
        cmocka_unit_test(settings_out_of_bounds_are_damage),
        cmocka_unit_test(good_headers_lead_nowhere_else),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
