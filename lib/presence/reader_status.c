#include "reader.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)PRESENCE_STARTING == (int)SEGMENT_STARTING &&
                   (int)PRESENCE_LISTENING == (int)SEGMENT_LISTENING &&
                   (int)PRESENCE_STOPPED == (int)SEGMENT_STOPPED,
               "the public states are the segment's");

/* Copy at most `size` bytes of text from the mapping, replacing all but printable ASCII; always
 * terminated. */
static void copy_text(const char *from, size_t size, char *to)
{
    size_t i = 0;

    for (; i + 1 < size; i++) {
        char byte = atomic_load_relaxed(&from[i]); /* once: it may change */
        if (byte == '\0')
            break;
        to[i] = byte >= ' ' && byte <= '~' ? byte : '?';
    }
    to[i] = '\0';
}

/* Count the visitors and scopes of the longest window, and set `partial` if some were refused. */
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
        status->entries_live += reader_count(presence, i, window_s, moment);
        if (atomic_load_relaxed(&directory->entries[i].kind) == SCOPE_SITE)
            status->partial |= reader_any_refused(presence, i, window_s, moment);
    }
    status->partial |= reader_sites_refused(presence, window_s, moment);
}

static void count_histories(const struct presence *presence, struct presence_status *status)
{
    const struct histories *histories = &presence->segment.histories;
    uint32_t high_water = histories_high_water(histories);

    for (uint32_t i = 0; i < high_water; i++)
        status->histories_live += atomic_load_relaxed(&histories->heads[i].site_length) != 0;
}

static void count_streams(const struct presence *presence, struct presence_status *status)
{
    const struct streams *streams = &presence->segment.streams;

    /* Relaxed: any recent value will do. Stored by stream_begin. */
    for (uint32_t i = 0; i < streams->capacity; i++)
        status->streams_live += atomic_load_relaxed(&streams->slots[i].id) != 0;
}

int presence_status(struct presence *presence, struct presence_status *ret)
{
    struct reader_moment moment = reader_current_moment(presence);
    const struct segment_header *header = presence->segment.header;
    struct presence_status status = {
        .warm_up_s = atomic_load_relaxed(&header->warm_up),
        .max_window_s = presence->header.geometry.max_window,
        .pid = atomic_load_relaxed(&header->pid),
        .workers = atomic_load_relaxed(&header->workers),
        .keys = atomic_load_relaxed(&header->keys),
        .segment_bytes = presence->header.file_size,
        .entries_capacity = presence->header.geometry.max_entries,
        .scopes_capacity = presence->header.geometry.max_scopes,
        .histories_capacity = presence->header.geometry.max_histories,
        .events_capacity = presence->header.geometry.max_events,
        .streams_capacity = presence->header.geometry.max_streams,
    };
    uint64_t taken = reader_counter(presence, COUNTER_entries_taken);
    uint64_t freed = reader_counter(presence, COUNTER_entries_freed);
    status.entries_taken = taken > freed ? taken - freed : 0; /* loaded a moment apart */

    if (moment.state < SEGMENT_STARTING || moment.state > SEGMENT_REPLACED)
        return -EBADMSG;
    /* A replaced segment is still mapped only if its replacement can't be read. */
    status.state =
        moment.state == SEGMENT_REPLACED ? PRESENCE_STOPPED : (enum presence_state)moment.state;
    copy_text(header->receive, sizeof(header->receive), status.receive);
    copy_text(header->receive_reason, sizeof(header->receive_reason), status.receive_reason);
    copy_text(header->filter, sizeof(header->filter), status.filter);
    copy_text(header->filter_interface, sizeof(header->filter_interface), status.filter_interface);
    copy_text(header->filter_reason, sizeof(header->filter_reason), status.filter_reason);
    copy_text(header->spread, sizeof(header->spread), status.spread);
    copy_text(header->spread_reason, sizeof(header->spread_reason), status.spread_reason);
    copy_text(header->listen_missing, sizeof(header->listen_missing), status.listen_missing);
    copy_text(header->keys_refused, sizeof(header->keys_refused), status.keys_refused);
    count_live(presence, &moment, &status);
    count_histories(presence, &status);
    count_streams(presence, &status);
    uint64_t since = atomic_load_relaxed(&header->listening_since); /* written before the tick */
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
    struct reader_moment moment = reader_current_moment(presence); /* may open another segment */
    struct presence_reading reading;
    uint32_t window_s = 0;

    reader_choose_window(presence, 0, &window_s); /* the default window never fails */
    reader_fill_reading(presence, &moment, window_s, 0, 0, &reading);
    return reading;
}

uint64_t reader_counter(const struct presence *presence, enum counter counter)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++) /* acquire: pairs with publish_counters */
        sum += atomic_load_acquire(&presence->segment.counters[i].values[counter]);
    return sum;
}

static const struct presence_counter known[COUNTERS_SHOWN] = {
#define X(name, help) {#name, help, 0},
#include "core/counters.def"
#undef X
};

uint64_t presence_counter(struct presence *presence, const char *name)
{
    reader_current_moment(presence); /* reopens a replaced segment */
    for (size_t i = 0; i < COUNTERS_SHOWN; i++) {
        if (strcmp(known[i].name, name) == 0)
            return reader_counter(presence, (enum counter)i);
    }
    return 0;
}

size_t presence_counters(struct presence *presence, struct presence_counter *counters,
                         size_t capacity)
{
    reader_current_moment(presence); /* reopens a replaced segment */
    for (size_t i = 0; i < COUNTERS_SHOWN && i < capacity; i++) {
        counters[i] = known[i];
        counters[i].value = reader_counter(presence, (enum counter)i);
    }
    return COUNTERS_SHOWN;
}
