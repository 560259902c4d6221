#include "visitors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t at_least_one(uint64_t number)
{
    return number > 0 ? number : 1;
}

void visitors_init(struct visitors *visitors, const struct options *options, uint32_t group)
{
    const struct load_options *load = &options->load;

    *visitors = (struct visitors){
        .count = load->visitors,
        .first = load->first,
        .group = group,
        .rooms = at_least_one(load->rooms),
        .countries = at_least_one(load->countries),
        .sources = at_least_one(load->sources),
        .random = load->random,
        .random_state = load->seed,
        .names = options->place,
    };
    visitors->places = visitors->rooms * visitors->countries * visitors->sources;
    visitors->place = UINT64_MAX; /* before the first */
    if (load->rooms > 0)
        visitors->names.room = visitors->room;
    if (load->countries > 0)
        visitors->names.country = visitors->country;
    if (load->sources > 0)
        visitors->names.source = visitors->source;
}

/* splitmix64, public domain, Sebastiano Vigna: https://prng.di.unimi.it/splitmix64.c */
static uint64_t random_below(struct visitors *visitors, uint64_t limit)
{
    uint64_t bits = visitors->random_state += 0x9e3779b97f4a7c15;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return (bits ^ bits >> 31) % limit;
}

/* Count the visitors of a place. */
static uint64_t visitors_of(const struct visitors *visitors, uint64_t place)
{
    if (place >= visitors->count)
        return 0;
    return (visitors->count - place - 1) / visitors->places + 1;
}

static void visitors_name_place(struct visitors *visitors)
{
    uint64_t room = visitors->place % visitors->rooms;
    uint64_t country = visitors->place / visitors->rooms % visitors->countries;
    uint64_t source = visitors->place / visitors->rooms / visitors->countries;

    if (visitors->rooms > 1 || visitors->room[0] == '\0')
        snprintf(visitors->room, sizeof(visitors->room), "/room-%" PRIu64, room);
    if (visitors->sources > 1 || visitors->source[0] == '\0')
        snprintf(visitors->source, sizeof(visitors->source), "source-%" PRIu64 ".example", source);
    visitors->country[0] = (char)('A' + country / 26);
    visitors->country[1] = (char)('A' + country % 26);
}

/* Go to the next place with visitors who have not come in this round, or to a new round. */
static void visitors_step(struct visitors *visitors)
{
    visitors->place++;
    if (visitors->place == visitors->places) {
        visitors->place = 0;
        visitors->row += visitors->group;
    }
    /* The first places may have one visitor more than the others: if this one is exhausted, so are
     * all that follow, and those before it in the next row. */
    if (visitors->row >= visitors_of(visitors, visitors->place)) {
        visitors->place = 0;
        visitors->row = 0;
    }
}

static void visitors_next_group(struct visitors *visitors)
{
    uint64_t place_before = visitors->place;

    /* The place of a random visitor: each has its share, whatever its number. */
    if (visitors->random)
        visitors->place = random_below(visitors, visitors->count) % visitors->places;
    else
        visitors_step(visitors);
    visitors->here = visitors_of(visitors, visitors->place);
    visitors->next = visitors->place + visitors->row * visitors->places;
    visitors->left = visitors->group;
    if (!visitors->random && visitors->here - visitors->row < visitors->group)
        visitors->left = visitors->here - visitors->row;
    if (visitors->place != place_before)
        visitors_name_place(visitors);
}

static void id_write(uint64_t number, uint8_t ret_id[16])
{
    static const uint8_t frame[8] = {0, 0, 0, 0, 0, 0, 0x40, 0};
    uint64_t end = __builtin_bswap64(number | UINT64_C(0x8000) << 48);

    memcpy(ret_id, frame, sizeof(frame));
    memcpy(ret_id + 8, &end, sizeof(end));
}

const struct presence_place *visitors_next(struct visitors *visitors, uint8_t ret_id[16])
{
    if (visitors->left == 0)
        visitors_next_group(visitors);
    visitors->left--;
    if (visitors->random)
        visitors->next =
            visitors->place + visitors->places * random_below(visitors, visitors->here);
    id_write(visitors->first + visitors->next, ret_id);
    visitors->next += visitors->places;
    return &visitors->names;
}
