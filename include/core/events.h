/* events.h - write and read the ring of events, with many writers and no locks. Free of libc.
 *
 * A writer claims a sequence number together with a time, by one compare-and-swap on the claim word
 * of the number's slot: the word changes from the time of one lap ago to one later than the
 * previous claim's. `next` only follows the claims; a writer that finds the slot claimed advances
 * it, so that a writer killed or delayed between the two blocks nobody. Times rise strictly with
 * numbers.
 *
 * Then it enters the slot: another compare-and-swap changes the state from even (the number last
 * published there, times two) to odd, so that one writer is inside; storing the even state leaves
 * it. A writer that was delayed for a whole lap finds another one inside, or a newer event: it
 * gives its event up and leaves a hole, which readers count as missed.
 *
 * A reader copies between two loads of the state (seqlock). A number that is claimed but neither
 * published nor a hole is in flight: wait for it, unless its writer can't be alive any more.
 */
#ifndef PRESENCE_EVENTS_H
#define PRESENCE_EVENTS_H

#include "core/atomics.h"

#define EVENTS_MIN        64 /* slots; a power of two, more than workers can write at once */
#define EVENTS_MAX        (UINT32_C(1) << 20)
#define EVENT_SITE_MAX    253
#define EVENT_ROOM_MAX    255
#define EVENT_SOURCE_MAX  253
#define EVENT_NAME_MAX    63
#define EVENT_NAMES_WORDS 103                 /* 824 bytes: the longest of all four */
#define EVENT_HOLE        (UINT64_C(1) << 63) /* in a claim word: nothing will be published */

typedef uint64_t __attribute__((may_alias)) event_word; /* a record, as it is copied */

enum event_kind { EVENT_ENTERED = 1, EVENT_LEFT = 2, EVENT_PAGEVIEW = 3, EVENT_CUSTOM = 4 };

/* An event, as it is stored in a slot: names follow each other without separators. */
struct event_record {
    uint64_t time_us; /* Unix microseconds */
    uint8_t kind;     /* enum event_kind */
    uint8_t site_length, room_length, source_length, name_length;
    uint8_t country[2]; /* zeros: absent */
    uint8_t reserved;
    union {
        uint64_t words[EVENT_NAMES_WORDS];
        uint8_t bytes[EVENT_NAMES_WORDS * 8];
    } names;
};

_Static_assert(sizeof(struct event_record) == 840, "event");
SHARED_AT(struct event_record, kind, 8);
SHARED_AT(struct event_record, site_length, 9);
SHARED_AT(struct event_record, room_length, 10);
SHARED_AT(struct event_record, source_length, 11);
SHARED_AT(struct event_record, name_length, 12);
SHARED_AT(struct event_record, country, 13);
SHARED_AT(struct event_record, names, 16);
_Static_assert(EVENT_SITE_MAX + EVENT_ROOM_MAX + EVENT_SOURCE_MAX + EVENT_NAME_MAX ==
                   EVENT_NAMES_WORDS * 8,
               "event.names has room for all four");

struct event_slot {
    uint64_t claim; /* time of the claim, Unix microseconds, possibly with EVENT_HOLE */
    uint64_t state; /* the number last published here, times two; odd: a writer is inside */
    struct event_record record;
    uint64_t reserved[5];
};

_Static_assert(sizeof(struct event_slot) == 896, "slot");
SHARED_AT(struct event_slot, state, 8);
SHARED_AT(struct event_slot, record, 16);

/* The start of the section; slots follow. */
struct events_head {
    uint64_t first; /* number of the first event of this segment; fixed */
    uint64_t reserved[15];
    uint64_t next; /* the number to be claimed next; may have been claimed already */
    uint64_t reserved_too[15];
};

_Static_assert(sizeof(struct events_head) == 256, "events head");
SHARED_AT(struct events_head, next, 128);

/* One process's view of the ring. */
struct events {
    struct events_head *head;
    struct event_slot *slots;
    uint32_t capacity; /* a power of two; 0: there is no ring */
};

static inline uint64_t events_section_size(uint32_t capacity)
{
    return capacity ? sizeof(struct events_head) + (uint64_t)capacity * sizeof(struct event_slot)
                    : 0;
}

/* Return how many events a second one site may write at most, so that even one that is alone has
 * those of the last minute. */
static inline uint32_t events_site_rate(uint32_t capacity)
{
    return capacity / 64;
}

static inline struct event_slot *event_slot_at(const struct events *events, uint64_t number)
{
    return &events->slots[number & (events->capacity - 1)];
}

static inline uint64_t event_claim_time(uint64_t claim)
{
    return claim & ~EVENT_HOLE;
}

/* Return how many words of the record are used. */
static inline uint32_t event_words(const struct event_record *record)
{
    uint32_t bytes = (uint32_t)record->site_length + record->room_length + record->source_length +
                     record->name_length;

    return 2 + (bytes + 7) / 8;
}

/* Claim a number at the time `now_us`, or at the first later time that the last claim permits.
 * Returns the number and its time. Lock-free; any number of threads. */
static inline uint64_t events_claim(const struct events *events, uint64_t now_us,
                                    uint64_t *ret_time_us)
{
    uint64_t *next = &events->head->next;

    for (;;) {
        /* Ordered: later numbers are claimed only after `next` has reached them, so if it is the
         * same before and after, no slot beyond it was claimed. */
        uint64_t number = atomic_load_ordered(next);
        struct event_slot *slot = event_slot_at(events, number);
        uint64_t before =
            event_claim_time(atomic_load_ordered(&event_slot_at(events, number - 1)->claim));
        uint64_t claim = atomic_load_ordered(&slot->claim);
        if (atomic_load_ordered(next) != number)
            continue;
        uint64_t expected = number;
        if (event_claim_time(claim) > before) { /* claimed already: advance `next` */
            atomic_swap_if(next, &expected, number + 1);
            continue;
        }
        uint64_t time_us = now_us > before ? now_us : before + 1;
        if (!atomic_swap_if(&slot->claim, &claim, time_us))
            continue;
        atomic_swap_if(next, &expected, number + 1);
        *ret_time_us = time_us;
        return number;
    }
}

/* Enter the slot of a claimed number. False if another writer is inside, or has been. */
static inline bool events_enter(struct event_slot *slot, uint64_t number)
{
    uint64_t state = atomic_load_ordered(&slot->state);

    return !(state & 1) && state < number * 2 &&
           atomic_swap_if(&slot->state, &state, number * 2 + 1);
}

/* Write an event and fill in its time. False if the event had to be given up and left a hole.
 * Lock-free; any number of threads. */
static inline bool events_write(const struct events *events, uint64_t now_us,
                                struct event_record *record)
{
    uint64_t number = events_claim(events, now_us, &record->time_us);
    struct event_slot *slot = event_slot_at(events, number);
    uint64_t claim = record->time_us;

    if (!events_enter(slot, number)) {
        atomic_swap_if(&slot->claim, &claim, claim | EVENT_HOLE); /* fails if lapped once more */
        return false;
    }
    /* Release: pairs with events_load's fence. Whoever copies a word of this event sees the odd
     * state, too. The swap alone would not order these stores behind its own. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    const event_word *from = (const event_word *)(const void *)record;
    event_word *to = (event_word *)(void *)&slot->record;
    for (uint32_t i = 0; i < event_words(record); i++)
        atomic_store_relaxed(&to[i], from[i]);      /* between two states: pairs with events_load */
    atomic_store_release(&slot->state, number * 2); /* pairs with events_load */
    return true;
}

enum event_verdict {
    EVENT_LOADED,
    EVENT_LOST,      /* overwritten, or a hole */
    EVENT_IN_FLIGHT, /* claimed, not yet published */
};

/* Copy the event of a number below `next`. Only the used words are copied; lengths come from the
 * writer, so check them. Any process, also on a read-only mapping. */
static inline enum event_verdict events_load(const struct events *events, uint64_t number,
                                             struct event_record *ret)
{
    const struct event_slot *slot = event_slot_at(events, number);
    uint64_t state = atomic_load_acquire(&slot->state); /* pairs with events_write */

    if (state != number * 2) {
        if (state > number * 2 + 1)
            return EVENT_LOST;
        if (atomic_load_ordered(&slot->claim) & EVENT_HOLE)
            return EVENT_LOST;
        /* A lap later the slot is claimed for another number. */
        return atomic_load_ordered(&events->head->next) > number + events->capacity
                   ? EVENT_LOST
                   : EVENT_IN_FLIGHT;
    }
    const event_word *from = (const event_word *)(const void *)&slot->record;
    event_word *to = (event_word *)(void *)ret;
    to[0] = atomic_load_relaxed(&from[0]);
    to[1] = atomic_load_relaxed(&from[1]);
    uint32_t words = event_words(ret);
    if (words > sizeof(*ret) / 8)
        words = sizeof(*ret) / 8;
    for (uint32_t i = 2; i < words; i++)
        to[i] = atomic_load_relaxed(&from[i]);
    /* Order the copy before the second load of the state (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(&slot->state) == state ? EVENT_LOADED : EVENT_LOST;
}

/* Initialize an empty ring at a number, before anybody else uses it. */
static inline void events_init(const struct events *events, uint64_t first)
{
    events->head->first = first;
    events->head->next = first;
}

/* Adopt the ring of a daemon that is gone: what it had claimed but not published becomes holes. No
 * writer may be active; readers may. */
static inline void events_adopt(const struct events *events)
{
    struct events_head *head = events->head;
    uint64_t before = event_claim_time(event_slot_at(events, head->next - 1)->claim);

    if (event_claim_time(event_slot_at(events, head->next)->claim) > before)
        atomic_store_release(&head->next, head->next + 1); /* pairs with events_load */
    for (uint64_t number = head->next, left = events->capacity; number > head->first && left;
         left--) {
        struct event_slot *slot = event_slot_at(events, --number);
        if (atomic_load_relaxed(&slot->state) == number * 2)
            continue;
        atomic_store_relaxed(&slot->claim, slot->claim | EVENT_HOLE);
        atomic_store_release(&slot->state, 0); /* empty; pairs with events_load */
    }
}

#endif
