#include "reader.h"

#include <time.h>

#include "common/monotonic.h"
#include "common/time_namespace.h"

static struct timespec plus(struct timespec a, struct timespec b)
{
    bool carries = a.tv_nsec + b.tv_nsec >= NS_PER_S;

    return (struct timespec){a.tv_sec + b.tv_sec + carries,
                             a.tv_nsec + b.tv_nsec - (carries ? NS_PER_S : 0)};
}

static struct timespec minus(struct timespec a, struct timespec b)
{
    bool borrows = a.tv_nsec < b.tv_nsec;

    return (struct timespec){a.tv_sec - b.tv_sec - borrows,
                             a.tv_nsec - b.tv_nsec + (borrows ? NS_PER_S : 0)};
}

static bool is_equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Measure how far the clocks are ahead of CLOCK_MONOTONIC. Two coarse clocks agree if no timer tick
 * fell between them. The wall clock is read first: if the machine sleeps before CLOCK_BOOTTIME is
 * read, the next comparison with the wall clock fails. */
static void compare_clocks(struct reader_clocks *clocks, struct timespec offset)
{
    struct timespec monotonic, boot, before, wall, after;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &before);
    clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    clock_gettime(CLOCK_MONOTONIC_COARSE, &after);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    *clocks =
        is_equal(before, after)
            ? (struct reader_clocks){minus(minus(boot, offset), monotonic), minus(wall, before)}
            : READER_CLOCKS_UNKNOWN;
}

/* Read the machine's CLOCK_BOOTTIME, which ours is ahead of by `offset`, and the wall clock. A
 * coarse clock costs a third of a precise one, which would be a quarter of a count's time; but
 * there is no coarse CLOCK_BOOTTIME, so it is derived from CLOCK_MONOTONIC_COARSE. */
static void read_clocks(struct reader_clocks *clocks, struct timespec offset,
                        struct timespec *ret_boot, struct timespec *ret_wall)
{
    struct timespec monotonic;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &monotonic);
    clock_gettime(CLOCK_REALTIME_COARSE, ret_wall);
    *ret_boot = plus(monotonic, clocks->boot);
    if (is_equal(minus(*ret_wall, monotonic), clocks->wall))
        return;
    clock_gettime(CLOCK_BOOTTIME, ret_boot);
    clock_gettime(CLOCK_REALTIME, ret_wall);
    *ret_boot = minus(*ret_boot, offset);
    compare_clocks(clocks, offset);
}

/* Return how many seconds ticks are ahead of the machine's CLOCK_BOOTTIME. */
static int64_t collector_offset(const struct segment_header *header)
{
    int64_t offset = atomic_load_relaxed(&header->clock_offset); /* changes only at a restart */

    return offset > -TIME_NAMESPACE_OFFSET_MAX && offset < TIME_NAMESPACE_OFFSET_MAX ? offset : 0;
}

struct reader_moment reader_load_moment(struct presence *presence)
{
    const struct segment_header *header = presence->segment.header;
    struct timespec now, wall;

    read_clocks(&presence->clocks, presence->offset, &now, &wall);
    return (struct reader_moment){
        .now = (uint64_t)(now.tv_sec + collector_offset(header)),
        .wall = wall.tv_sec - (wall.tv_nsec < now.tv_nsec),
        .state = atomic_load_acquire(&header->state), /* pairs with collector_listen's release */
        .tick = atomic_load_acquire(&header->tick),   /* pairs with collector_advance */
    };
}

bool reader_is_stale(const struct reader_moment *moment)
{
    uint64_t ahead = moment->tick > moment->now ? moment->tick - moment->now : 0;

    /* A tick in the future was not published by a collector that runs now. */
    return moment->state != SEGMENT_LISTENING || reader_tick_age(moment) > SEGMENT_STALE_AGE ||
           ahead > SEGMENT_STALE_AGE;
}

struct reader_moment reader_current_moment(struct presence *presence)
{
    struct reader_moment moment = reader_load_moment(presence);

    if (!reader_is_stale(&moment) ||
        (presence->checked_at == moment.now && presence->checked_state == moment.state))
        return moment;
    presence->checked_at = moment.now;
    presence->checked_state = moment.state;
    return reader_reopen(presence) ? reader_load_moment(presence) : moment;
}

bool reader_is_warming(const struct presence *presence, const struct reader_moment *moment)
{
    const struct segment_header *header = presence->segment.header;
    /* Both this and the warm-up were written before the state and the tick in `moment`. */
    uint64_t since = atomic_load_relaxed(&header->listening_since);
    uint64_t listening = moment->tick > since ? moment->tick - since : 0;

    /* A starting collector that continues a segment was listening a moment ago, or the tick is
     * stale. */
    return (moment->state == SEGMENT_STARTING && since == SEGMENT_NEVER) ||
           listening < atomic_load_relaxed(&header->warm_up);
}

uint64_t reader_tick_age(const struct reader_moment *moment)
{
    return moment->now > moment->tick ? moment->now - moment->tick : 0;
}

int64_t reader_as_of(const struct reader_moment *moment)
{
    /* A second may have begun since the timer tick that `now` is from. */
    return reader_wall(moment, moment->tick <= moment->now + 1 ? moment->tick : moment->now);
}

int64_t reader_wall(const struct reader_moment *moment, uint64_t tick)
{
    return (int64_t)((uint64_t)moment->wall + tick - moment->now);
}
