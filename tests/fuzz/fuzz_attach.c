/* fuzz_attach.c - a segment file that anybody may have written, when a collector starts on it: it
 * is attached, or replaced by one into which it moves. Then the collector counts a new site's
 * visitors exactly, accounts for all of them, and does so again after a restart. */
#include <errno.h>

#include "../unit/move_fixture.h"

#include "patch.h"

#define VISITORS 3
#define NEW_SITE "new.example"

enum flag {
    FLAG_TABLE = 1,     /* the table has another size */
    FLAG_SCOPES = 2,    /* fewer scopes and streams */
    FLAG_HISTORIES = 4, /* other histories and events */
    FLAG_WINDOW = 8,    /* a longer longest window */
    FLAG_CUT = 16,      /* the file is cut off */
    FLAG_LONGER = 32,   /* or longer */
    FLAG_LATER = 64,    /* the daemon starts an hour later */
};

static const struct segment_settings settings = {.max_entries = 100,
                                                 .max_scopes = 12,
                                                 .max_window = 600,
                                                 .warm_up = 90,
                                                 .max_histories = 3,
                                                 .max_events = 64,
                                                 .max_streams = 3};

static struct {
    struct fixture *fixture;
    uint8_t *file; /* as a daemon left it */
    size_t size;
} target;

/* Count some minutes, and end as SIGKILL would. */
static void leave_segment(struct fixture *fixture)
{
    start_ingest(fixture);
    for (unsigned i = 0; i < 30; i++) {
        take_sequence(fixture, 1 + i % 2, i);
        batch(fixture, {"a.example", "/r", "DE", .visitor = i, .count = 2},
              {"b.example", .visitor = 100, .kind = WIRE_PAGEVIEW});
        fixture->clock += 7;
        collector_maintain(&fixture->collector);
    }
    ingest_close(fixture->ingests[0]);
    kill_collector(fixture);
}

static void remove_files(struct scratch *scratch)
{
    struct scratch again;

    scratch_close(scratch);
    scratch_open(&again);
    fuzz_check(rename(again.directory, scratch->directory) == 0);
}

static void close_target(void)
{
    void *state = target.fixture;

    free(target.file);
    close_fixture(&state);
}

static void open_target(void)
{
    void *state;

    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort */
    open_fixture(&state);
    alarm(0);
    target.fixture = state;
    target.fixture->settings = settings;
    leave_segment(target.fixture);
    struct segment left = map_left(target.fixture);
    target.size = left.size;
    target.file = malloc(target.size);
    memcpy(target.file, left.header, target.size);
    munmap(left.header, left.size);
    atexit(close_target);
}

/* Write the file as the input says. */
static void write_file(unsigned flags, struct fuzz_input *input)
{
    struct patches patches;
    int64_t change = (int64_t)fuzz_number(input, 2);
    int fd = open(target.fixture->scratch.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    fuzz_check(fd >= 0);
    patches_take(input, (struct segment_header *)(void *)target.file, &patches);
    fuzz_check(write(fd, target.file, target.size) == (ssize_t)target.size);
    for (unsigned i = 0; i < patches.count; i++) {
        const struct patch *patch = &patches.all[i];
        fuzz_check(pwrite(fd, patch->values, patch->words * 8, (off_t)patch->offset) ==
                   (ssize_t)patch->words * 8);
    }
    if (flags & FLAG_CUT)
        fuzz_check(ftruncate(fd, (off_t)target.size / 65536 * change) == 0);
    else if (flags & FLAG_LONGER)
        fuzz_check(ftruncate(fd, (off_t)target.size + change) == 0);
    close(fd);
}

static void choose_settings(unsigned flags)
{
    struct segment_settings *chosen = &target.fixture->settings;

    *chosen = settings;
    chosen->max_entries = flags & FLAG_TABLE ? 1000 : settings.max_entries;
    chosen->max_scopes = flags & FLAG_SCOPES ? 3 : settings.max_scopes;
    chosen->max_streams = flags & FLAG_SCOPES ? 1 : settings.max_streams;
    chosen->max_histories = flags & FLAG_HISTORIES ? 1 : settings.max_histories;
    chosen->max_events = flags & FLAG_HISTORIES ? 128 : settings.max_events;
    chosen->max_window = flags & FLAG_WINDOW ? 3600 : settings.max_window;
    target.fixture->clock = START + 300 + (flags & FLAG_LATER ? 3600 : 0);
}

/* Add up what becomes of an accepted visitor. */
static uint64_t accounted(struct fixture *fixture)
{
    return counter(fixture, COUNTER_heartbeats_new) +
           counter(fixture, COUNTER_heartbeats_refreshed) + counter(fixture, COUNTER_table_full) +
           counter(fixture, COUNTER_scopes_full) + counter(fixture, COUNTER_site_refused);
}

/* Count visitors of a new site. True if it got a scope. */
static bool count_new(struct fixture *fixture)
{
    uint64_t before = accounted(fixture), accepted = counter(fixture, COUNTER_datagrams_accepted);

    batch(fixture, {NEW_SITE, "/n", .visitor = 500, .count = VISITORS});
    fuzz_check(counter(fixture, COUNTER_datagrams_accepted) - accepted == 1);
    fuzz_check(accounted(fixture) - before == VISITORS);
    return find_scope(fixture, NEW_SITE, SCOPE_SITE, NULL) != SCOPE_NONE;
}

/* Open the collector. False: the file is no segment, which is left alone. */
static bool open_on_file(struct fixture *fixture)
{
    const struct collector_settings collector = {
        .path = fixture->scratch.path,
        .segment = fixture->settings,
        .workers = 1,
        .clock = read_clock,
        .clock_context = fixture,
    };
    pid_t holder;
    int r = collector_open(&collector, &fixture->collector, &holder);

    fuzz_check(r == 0 || r == -EBADMSG);
    if (r < 0)
        return false;
    collector_listen(&fixture->collector, "test", "");
    fuzz_check(ingest_open(&fixture->collector, 0, &fixture->ingests[0]) == 0);
    return true;
}

/* True if the segment was replaced because a counter has grown over its limit. The file put it just
 * below: counting up to it takes two centuries at ten million heartbeats a second. */
static bool is_over_limit(const struct fixture *fixture)
{
    const char *account = fixture->collector.file.account;

    return strstr(account, "counter out of range") || strstr(account, "total out of range");
}

/* Count a new site, restart, and look whether it is still there. */
static void count_and_restart(struct fixture *fixture)
{
    uint64_t refused = counter(fixture, COUNTER_table_full);
    bool counts = count_new(fixture) && counter(fixture, COUNTER_table_full) == refused;

    if (counts)
        expect_site(fixture, NEW_SITE, VISITORS);
    fixture->clock++;
    collector_maintain(&fixture->collector);
    stop_ingest(fixture);

    fixture->clock++;
    start_ingest(fixture);
    bool is_over = is_over_limit(fixture);
    if (fixture->collector.file.origin != SEGMENT_ATTACHED && !is_over)
        fuzz_fail("restart: %s", fixture->collector.file.account);
    if (counts && !is_over)
        expect_site(fixture, NEW_SITE, VISITORS);
    stop_ingest(fixture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned flags = (unsigned)fuzz_number(&input, 1);

    if (!target.fixture)
        open_target();
    struct fixture *fixture = target.fixture;
    write_file(flags, &input);
    choose_settings(flags);
    if (open_on_file(fixture))
        count_and_restart(fixture);
    remove_files(&fixture->scratch);
    return 0;
}
