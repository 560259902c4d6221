/* interleavings.h - visit every interleaving of the real functions of table.h, for a few threads.
 *
 * A thread's next access to a shared word depends only on what its accesses before have returned.
 * So a thread is a node in a tree of such results: to learn its next access, its function is run
 * from the start, given these results, and left at the access after them. A state is the shared
 * words and each thread's node; all that can be reached are visited, each access being one step.
 *
 * Of the table's 32 slots all but a few are held by other visitors, whose words never change, so
 * that only accesses to those few are steps. All accesses are sequentially consistent here; weaker
 * orders are the subject of tests/spin. */
#ifndef PRESENCE_TESTS_INTERLEAVINGS_H
#define PRESENCE_TESTS_INTERLEAVINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/table.h"

#define INTERLEAVINGS_THREADS 3 /* at most */
#define INTERLEAVINGS_SLOTS   3
#define INTERLEAVINGS_NOW     (UINT64_C(5) << TABLE_TICK_BITS)
#define INTERLEAVINGS_LONGEST 100
#define INTERLEAVINGS_EXPIRY  (INTERLEAVINGS_LONGEST + TABLE_EXPIRY_SLACK)

enum job_kind { HEARTBEAT, LEAVE, SWEEP };

/* What a thread does: of a key, by its clock. */
struct job {
    enum job_kind kind;
    unsigned key;
    uint64_t now;
};

#define INTERLEAVINGS_KEYS 2
extern const struct table_key interleavings_keys[INTERLEAVINGS_KEYS];

/* A swap that does not look, to see that the search finds what comes of it. */
enum fault { NO_FAULT, BLIND_INSERT, BLIND_REFRESH, BLIND_CLEAR };

struct setup {
    unsigned threads, slots;
    struct job jobs[INTERLEAVINGS_THREADS]; /* the same ones are neighbours */
    uint64_t initial[INTERLEAVINGS_SLOTS];
    bool lone_writer;
    enum fault fault;
};

/* How the counts of ticks have changed. */
struct moves {
    unsigned length;
    struct {
        uint64_t tick;
        int delta;
    } list[8];
};

/* What a thread has done. */
struct result {
    bool is_full; /* a heartbeat was refused */
    int words;    /* that were added to the table, by its own account */
    struct moves moves;
};

/* What is there between two steps. */
struct scene {
    uint64_t words[INTERLEAVINGS_SLOTS];
    const struct result *results[INTERLEAVINGS_THREADS]; /* NULL: the thread has not ended */
    bool have_ended;                                     /* all threads */
    /* A heartbeat is late if it began when all leaves of its key had ended, and the other way
     * round. */
    bool is_late[INTERLEAVINGS_THREADS];
};

/* Say what is wrong with a scene; NULL: nothing. */
typedef const char *(*judge_function)(const struct setup *setup, const struct scene *scene);

struct visited {
    uint64_t states, endings;
    const char *violation; /* of the first scene that is wrong; the search ends there */
};

/* Reserve the memory of all searches, about a gigabyte of addresses, and give it back. -ENOMEM. */
int interleavings_open(void);
void interleavings_close(void);

struct visited interleavings_visit(const struct setup *setup, judge_function judge);

#endif
