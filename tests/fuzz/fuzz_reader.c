/* fuzz_reader.c - a hostile segment under libpresence: all its calls on a mapping that lies, or
 * that another thread changes to and fro meanwhile. */
#include <pthread.h>

#include "../unit/reader_calls.h"

#include "patch.h"

enum flag {
    FLAG_RACE = 1,   /* the segment changes while it is read */
    FLAG_VERIFY = 2, /* it is verified, too */
    FLAG_MOVED = 4,  /* its clock moves on by some minutes first */
};

static struct {
    struct fixture fixture;
    void *copy;
} target;

struct race {
    struct patches patches;
    bool ends; /* atomic */
};

static void close_target(void)
{
    free(target.copy);
    fixture_close(&target.fixture);
}

static void open_target(void)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort */
    fixture_open(&target.fixture, calls_settings);
    calls_fill(&target.fixture);
    struct segment *segment = fixture_segment(&target.fixture);
    target.copy = malloc(segment->size);
    memcpy(target.copy, segment->header, segment->size);
    atexit(close_target);
}

static void *flip(void *context)
{
    struct race *race = context;
    struct segment *segment = fixture_segment(&target.fixture);

    while (!atomic_load_relaxed(&race->ends)) {
        patches_apply(&race->patches, segment->header);
        patches_undo(&race->patches, segment->header, target.copy);
    }
    return NULL;
}

static void read_everything(unsigned flags)
{
    struct presence_verification result;
    struct presence *again;

    calls_count(target.fixture.presence);
    calls_trends(target.fixture.presence);
    if (flags & FLAG_VERIFY)
        assert_int_equal(presence_verify(target.fixture.presence, &result), 0);
    if (presence_open(target.fixture.scratch.path, &again) == 0) {
        calls_count(again);
        presence_close(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned flags = (unsigned)fuzz_number(&input, 1);
    struct race race = {0};
    pthread_t thread;

    if (!target.copy)
        open_target();
    struct segment *segment = fixture_segment(&target.fixture);
    struct segment_header *header = segment->header;
    patches_take(&input, header, &race.patches);
    fixture_show_clock(&target.fixture);
    if (flags & FLAG_MOVED)
        header->tick += 300;
    memcpy(target.copy, header, sizeof(*header)); /* without the patches */
    if (flags & FLAG_VERIFY)
        header->state = SEGMENT_STOPPED; /* or it would wait for the tick to move */
    if (flags & FLAG_RACE)
        assert_int_equal(pthread_create(&thread, NULL, flip, &race), 0);
    else
        patches_apply(&race.patches, header);
    if (flags & FLAG_VERIFY)
        header->state = SEGMENT_STOPPED;
    read_everything(flags);
    if (flags & FLAG_RACE) {
        atomic_store_relaxed(&race.ends, true);
        pthread_join(thread, NULL);
    }
    patches_undo(&race.patches, header, target.copy);
    memcpy(header, target.copy, sizeof(*header));
    if (flags & FLAG_MOVED)
        header->tick -= 300;
    return 0;
}
