#include "reader.h"

#include <time.h>

struct reader_moment reader_glance(const struct presence *presence)
{
    const struct segment_header *header = presence->segment.header;
    struct timespec now, wall;

    clock_gettime(CLOCK_BOOTTIME, &now);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct reader_moment){
        .now = (uint64_t)now.tv_sec,
        .wall = wall.tv_sec - (wall.tv_nsec < now.tv_nsec),
        .state = atomic_load_acquire(&header->state), /* pairs with the collector's release */
        .tick = atomic_load_acquire(&header->tick),   /* pairs with collector_advance */
    };
}

bool reader_is_stale(const struct reader_moment *moment)
{
    bool runs = moment->state == SEGMENT_LISTENING || moment->state == SEGMENT_STARTING;
    return !runs || reader_tick_age(moment) > SEGMENT_STALE_AGE;
}

struct reader_moment reader_moment(struct presence *presence)
{
    struct reader_moment moment = reader_glance(presence);

    if (!reader_is_stale(&moment) ||
        (presence->looked_at == moment.now && presence->looked_state == moment.state))
        return moment;
    presence->looked_at = moment.now;
    presence->looked_state = moment.state;
    return reader_reopen(presence) ? reader_glance(presence) : moment;
}

bool reader_is_warming(const struct presence *presence, const struct reader_moment *moment)
{
    const struct segment_header *header = presence->segment.header;
    /* Both were written before the state and the tick that `moment` has. */
    uint64_t since = atomic_load_relaxed(&header->listening_since);
    uint64_t listening = moment->tick > since ? moment->tick - since : 0;

    /* One that goes on listened until a moment ago, or its tick is stale. */
    return (moment->state == SEGMENT_STARTING && since == SEGMENT_NEVER) ||
           listening < atomic_load_relaxed(&header->warm_up);
}

uint64_t reader_tick_age(const struct reader_moment *moment)
{
    return moment->now > moment->tick ? moment->now - moment->tick : 0;
}

int64_t reader_as_of(const struct reader_moment *moment)
{
    return moment->wall - (int64_t)reader_tick_age(moment);
}

int64_t reader_wall(const struct reader_moment *moment, uint64_t tick)
{
    return (int64_t)((uint64_t)moment->wall + tick - moment->now);
}
