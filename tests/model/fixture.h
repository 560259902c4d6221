/* fixture.h - a collector on a segment of its own, with a clock that the test sets. */
#ifndef PRESENCE_TESTS_FIXTURE_H
#define PRESENCE_TESTS_FIXTURE_H

#include "collector.h"
#include "ingest.h"

#define FIXTURE_WORKERS_MAX 8

struct fixture {
    struct collector collector;
    struct ingest *ingests[FIXTURE_WORKERS_MAX];
    struct segment_settings settings;
    struct admission *admission; /* of the next start; NULL: everything is admitted */
    unsigned workers;
    bool is_running;
    uint64_t wall;  /* Unix seconds at tick 0 */
    uint64_t clock; /* the tick that the collector's clock shows; atomic */
    char directory[64];
    char path[80];
};

/* Make a directory under /dev/shm for a segment, whose file comes with the first start. */
void fixture_create(struct fixture *fixture, const struct segment_settings *settings,
                    uint64_t clock);

/* Open the segment, listen, and open one ingest per worker. Returns collector_listen's gap. */
uint64_t fixture_start(struct fixture *fixture, unsigned workers);

/* Close the collector cleanly. */
void fixture_stop(struct fixture *fixture);

/* Drop the segment like a killed daemon, between two batches: nothing more is written to it. */
void fixture_kill(struct fixture *fixture);

/* Stop the collector if it runs, and remove the directory. May be called again. */
void fixture_remove(struct fixture *fixture);

/* Set the clock; the collector follows when it next reads it. Any thread. */
void fixture_set_clock(struct fixture *fixture, uint64_t clock);
uint64_t fixture_clock(const struct fixture *fixture);

/* Return a counter's sum over all blocks of the segment. Any thread. */
uint64_t fixture_counter(const struct fixture *fixture, enum counter counter);

/* Encode a native datagram for `count` visitors from number `first` on; `room` may be NULL. Returns
 * its length. Any thread. */
uint32_t fixture_encode(uint8_t *datagram, uint32_t capacity, uint8_t kind, const char *site,
                        const char *room, unsigned first, unsigned count);

/* Write the 16 bytes of a visitor's number. */
void fixture_visitor(unsigned number, uint8_t ret_id[16]);

/* Ingest one datagram, of at most 4000 visitors, in a batch of its own. */
void fixture_send(struct fixture *fixture, unsigned worker, uint8_t kind, const char *site,
                  const char *room, unsigned first, unsigned count);

/* Find a site, or its room unless NULL, as a reader does, and return its index or SCOPE_NONE. */
uint32_t fixture_scope(const struct segment *segment, const char *site, const char *room,
                       uint64_t *ret_state);

/* Count a site at the published tick. */
int64_t fixture_count(const struct fixture *fixture, const char *site, uint32_t window);

/* Return CLOCK_MONOTONIC in seconds. */
double fixture_seconds(void);

/* Return the seconds that one test may take: `normal`, or ten times that with TEST_LONG=1. */
double fixture_budget(double normal);

#endif
