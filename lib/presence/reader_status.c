#include "reader.h"

#include <errno.h>

/* Copy at most `size` bytes of text from the mapping: printable ASCII, and ended in any case. */
static void copy_text(const char *from, size_t size, char *to)
{
    size_t i = 0;

    for (; i + 1 < size; i++) {
        char byte = *(const volatile char *)&from[i]; /* once: it may change */
        if (byte == '\0')
            break;
        to[i] = byte >= ' ' && byte <= '~' ? byte : '?';
    }
    to[i] = '\0';
}

/* Visitors and scopes that the longest window can still count. */
static void count_live(const struct presence *presence, struct reader_moment *moment,
                       struct presence_status *status)
{
    const struct directory *directory = &presence->segment.directory;
    uint32_t window_s = presence->header.geometry.max_window;

    for (uint32_t i = 0; i < directory->capacity; i++) {
        /* Acquire: pairs with create_scope's release. */
        uint64_t state = atomic_load_acquire(&directory->entries[i].state);
        if (scope_state_of(state) == SCOPE_FREE)
            continue;
        status->scopes_live++;
        status->visitors_live += reader_count(presence, i, window_s, moment);
    }
}

static void count_histories(const struct presence *presence, struct presence_status *status)
{
    const struct histories *histories = &presence->segment.histories;
    uint32_t begun = histories_begun(histories);

    for (uint32_t i = 0; i < begun; i++)
        status->histories_live += *(const volatile uint8_t *)&histories->heads[i].site_length != 0;
}

static int public_state(uint32_t state, enum presence_state *ret)
{
    switch (state) {
    case SEGMENT_STARTING:
        *ret = PRESENCE_STARTING;
        return 0;
    case SEGMENT_LISTENING:
        *ret = PRESENCE_LISTENING;
        return 0;
    case SEGMENT_STOPPED:
    case SEGMENT_REPLACED: /* and what replaced it can't be read */
        *ret = PRESENCE_STOPPED;
        return 0;
    default:
        return -EBADMSG;
    }
}

int presence_status(struct presence *presence, struct presence_status *ret)
{
    struct reader_moment moment = reader_moment(presence);
    const struct segment_header *header = presence->segment.header;
    struct presence_status status = {
        .warm_up_s = atomic_load_relaxed(&header->warm_up),
        .max_window_s = presence->header.geometry.max_window,
        .pid = atomic_load_relaxed(&header->pid),
        .workers = atomic_load_relaxed(&header->workers),
        .segment_bytes = presence->header.file_size,
        .visitors_capacity = presence->header.geometry.max_visitors,
        .scopes_capacity = presence->header.geometry.max_scopes,
        .histories_capacity = presence->header.geometry.max_histories,
        .events_capacity = presence->header.geometry.max_events,
    };
    int r = public_state(moment.state, &status.state);

    if (r < 0)
        return r;
    copy_text(header->receive, sizeof(header->receive), status.receive);
    copy_text(header->receive_reason, sizeof(header->receive_reason), status.receive_reason);
    copy_text(header->filter, sizeof(header->filter), status.filter);
    copy_text(header->filter_interface, sizeof(header->filter_interface), status.filter_interface);
    copy_text(header->filter_reason, sizeof(header->filter_reason), status.filter_reason);
    count_live(presence, &moment, &status);
    count_histories(presence, &status);
    uint64_t since = atomic_load_relaxed(&header->listening_since); /* before the tick we have */
    status.listening_for_s = moment.tick > since ? moment.tick - since : 0;
    status.stale = reader_is_stale(&moment);
    status.warming = reader_is_warming(presence, &moment);
    status.as_of = reader_as_of(&moment);
    status.as_of_age_s = reader_tick_age(&moment);
    *ret = status;
    return 0;
}

struct presence_reading presence_freshness(struct presence *presence)
{
    struct reader_moment moment = reader_moment(presence); /* may open another segment */
    uint32_t window_s = 0;

    reader_window(presence, 0, &window_s); /* the default one never fails */
    return reader_reading(presence, &moment, window_s, 0, 0);
}

uint64_t reader_counter(const struct presence *presence, enum counter counter)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++) /* each has one writer; no pairing */
        sum += atomic_load_relaxed(&presence->segment.counters[i].values[counter]);
    return sum;
}

size_t presence_counters(struct presence *presence, struct presence_counter *counters,
                         size_t capacity)
{
    static const struct presence_counter known[COUNTERS] = {
#define X(name, help) {#name, help, 0},
#include "core/counters.def"
#undef X
    };

    reader_moment(presence); /* a segment that has been replaced is left for the new one */
    for (size_t i = 0; i < COUNTERS && i < capacity; i++) {
        counters[i] = known[i];
        counters[i].value = reader_counter(presence, (enum counter)i);
    }
    return COUNTERS;
}
