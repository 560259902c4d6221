/* poller.h - a thread that polls Redis or Valkey, so that the one that serves never waits for it.
 *
 * The two threads share nothing but one round at a time, which belongs to the thread that has it.
 */
#ifndef PRESENCE_WEB_POLLER_H
#define PRESENCE_WEB_POLLER_H

#include <jansson.h>

#include "engine/engine_reader.h"
#include "http/http_server.h"
#include "live.h"

#define ROUND_WINDOWS_SIZE 96

/* One poll: what is asked for, and then its answers. */
struct round {
    struct engine_poll poll; /* points into what follows */
    struct engine_query *queries;
    struct place *places; /* of the queries */
    size_t query_capacity;
    struct engine_list *lists;
    struct place *list_places;
    size_t list_capacity;

    bool reloads;                             /* read the password file again before */
    char reload_problem[ENGINE_PROBLEM_SIZE]; /* "": it was read */

    int result;         /* of engine_reader_poll */
    int64_t sent_at_ns; /* before it was sent */
    char problem[ENGINE_PROBLEM_SIZE];
    char windows[ROUND_WINDOWS_SIZE]; /* that are published, "60, 300" */
    bool has_groups;                  /* `windows` and what follows are known */
    struct engine_reading freshness;  /* of numbers, by all groups; without a count */
    json_t *groups; /* all that is known of them, if their visitors were asked for; or NULL */
};

/* Allocate a round without questions. Return NULL if there is no memory. */
struct round *round_new(void);
void round_free(struct round *round); /* NULL is fine */

/* Ask for the count of a place, or for a list (`place` without a room; no site: all sites). Return
 * -ENOMEM if there is no memory for it. */
int round_add_query(struct round *round, const struct place *place, uint32_t window_s);
int round_add_list(struct round *round, const struct place *place, enum presence_kind kind,
                   uint32_t window_s, size_t limit);

struct poller;

/* Prepare to poll; connects nowhere. Errors: as engine_reader_open. */
int poller_open(const struct engine_options *options, struct poller **ret,
                char ret_problem[ENGINE_PROBLEM_SIZE]);

/* Start the thread; it wakes `server` when a round comes back. Errors: those of pthread_create. */
int poller_start(struct poller *poller, struct http_server *server);

/* End the thread, which wakes the server no more; waits for a poll that is under way, two seconds
 * at most. */
void poller_stop(struct poller *poller);
void poller_close(struct poller *poller); /* after poller_stop, if it was started; NULL is fine */

/* Let the thread poll. No other round may be out. */
void poller_send(struct poller *poller, struct round *round);

/* Return the round that has come back, which is the caller's then, or NULL. */
struct round *poller_receive(struct poller *poller);

#endif
