/* totals.h - counts of many collectors, kept from one poll of Redis or Valkey to the next.
 *
 * What was asked for of late is polled once a second, for all clients together. What is asked for
 * anew is polled at once, and the request is suspended meanwhile. While the engine can't be used,
 * has nothing in it, or has no whole group, the last numbers stay, marked stale. All functions: the
 * thread that serves.
 */
#ifndef PRESENCE_WEB_TOTALS_H
#define PRESENCE_WEB_TOTALS_H

#include "poller.h"

struct totals;

/* Prepare to read totals; connects nowhere. `places`: how many may be watched at a time. Errors: as
 * poller_open. */
int totals_open(const struct engine_options *options, size_t places, struct totals **ret,
                char ret_problem[ENGINE_PROBLEM_SIZE]);

/* Start to poll. Errors: as poller_start. */
int totals_start(struct totals *totals, struct http_server *server);

/* Read the password file again before the next poll. One that is wrong changes nothing, and the log
 * says why. */
void totals_reload(struct totals *totals);

/* Resume all requests that wait, and suspend none any more. */
void totals_end(struct totals *totals);

/* Stop to poll; before the server is stopped. */
void totals_stop(struct totals *totals);
void totals_close(struct totals *totals); /* NULL is fine */

/* Take the answers that have come, resume the requests that waited for them, and poll if it is
 * time. Return when to call it next. */
int64_t totals_run_timers(struct totals *totals, int64_t now_ns);

/* Return the number of a place. If it is `pending`, a poll will bring it. */
struct number totals_count(struct totals *totals, const struct place *place, uint32_t window_s);

/* True if a window is published by a group, is 0 (the default one), or nobody knows yet. */
bool totals_has_window(const struct totals *totals, uint32_t window_s);

/* Return the windows that are published, such as "60, 300". */
const char *totals_windows(const struct totals *totals);

/* Return how many polls have come back. No number changes in between, but it may become stale. */
uint64_t totals_rounds(const struct totals *totals);

/* Return how fresh numbers are; without a count. */
struct number totals_freshness(struct totals *totals);

/* Find a list: of all sites if `place` has none, otherwise of its rooms, countries or sources, at
 * most TOTAL_LISTS_ROWS. It is valid until totals_run_timers; `ret_number` is the site's own.
 * Errors: -EAGAIN a poll will bring it; -ENODATA there is none. */
int totals_list(struct totals *totals, const struct place *place, enum presence_kind kind,
                uint32_t window_s, const struct engine_list **ret, struct number *ret_number);

/* Suspend a request until the next poll that it can be answered by, but for 2.5 s at most: its
 * handler is called again then. False: it has waited once, or the server ends. Sets its `data`. */
bool totals_suspend(struct totals *totals, struct http_request *request);

/* Return an array that describes the groups, as engine_build_groups does; empty if nothing is
 * known. The caller releases it. False: it is old, and a poll will bring another one. */
bool totals_describe(struct totals *totals, json_t **ret);

/* Return why the engine can't be used; "" if it can. */
const char *totals_problem(const struct totals *totals);

#endif
