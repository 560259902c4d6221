/* insert_protocol.h - a model of table.h's protocol ("Inserting once"): one step for each access to
 * a shared word, of two to four writers, each with one heartbeat or leave of the same key, in a
 * table of two or three slots. Where the code chooses a certain free slot, the model may choose any
 * that it saw. */
#ifndef PRESENCE_TESTS_INSERT_PROTOCOL_H
#define PRESENCE_TESTS_INSERT_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#define WRITERS_MAX 4
#define SLOTS_MAX   3
#define LEAVE       0 /* the tick that means a leave */
#define NEWEST      3

/* A word is 0, free, or the tick of the key's last heartbeat: 1 to NEWEST. */
enum step {
    START,       /* not started */
    FIND,        /* load slot */
    REFRESH,     /* swap slot, where the key was found, for our tick */
    REMOVE,      /* swap slot, where the key was found, for 0 */
    FIND_FREE,   /* load slot, record whether it is free */
    INSERT,      /* swap a free slot for our tick */
    SCAN,        /* load slot, record its word */
    RAISE,       /* swap the only copy for our tick */
    RAISE_FIRST, /* swap the first of several copies for the newest tick */
    CLEAR,       /* swap the next of the other copies for 0 */
    DONE,
    FULL,
};

/* Deliberate faults, to see that the search finds them. */
enum fault {
    NONE,
    NO_SCAN,
    SCAN_ONCE,
    NO_RAISE,
    BLIND_CLEAR,
    FORGET_NEWEST,
    LEAVE_FIRST_ONLY,
};

struct writer {
    uint8_t step, slot;
    uint8_t seen[SLOTS_MAX]; /* as FIND, FIND_FREE (1: free) or SCAN recorded them */
    bool is_raised;          /* saw several copies, one at NEWEST: its own tick from then on */
    bool is_late;            /* started when all leaves (of a leave: all heartbeats) were done */
};

struct state {
    uint8_t slots[SLOTS_MAX];
    struct writer writers[WRITERS_MAX];
};

struct setup {
    unsigned writers, slots;
    uint8_t ticks[WRITERS_MAX]; /* each writer's heartbeat, or LEAVE */
    uint8_t initial[SLOTS_MAX];
    enum fault fault;
};

/* Advance one writer by a step; `choice` is the slot where it inserts. False if it can't. */
bool protocol_advance(const struct setup *setup, struct state *state, unsigned number,
                      unsigned choice);

/* Say what is wrong with a state in which all are done; NULL: nothing, or they are not done. */
const char *protocol_judge(const struct setup *setup, const struct state *state);

#endif
