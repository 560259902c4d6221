/* api.h - GET /api: the numbers, for clients that may read them. */
#ifndef PRESENCE_WEB_API_H
#define PRESENCE_WEB_API_H

#include <jansson.h>

#include "web.h"

struct number;
struct place;
struct problem;

/* Handlers of type http_handler. */

/* Answer /api/sites. */
enum MHD_Result api_sites(void *web, struct http_request *request);

/* Answer /api/sites/SITE/live-user-count, /events and /history: all under /api/sites/; and the
 * first two at Rybbit's other addresses, /api/live-user-count/SITE and /api/events/SITE. */
enum MHD_Result api_site(void *web, struct http_request *request);

/* Answer /api/analytics/sites/SITE/realtime. */
enum MHD_Result api_realtime(void *web, struct http_request *request);

/* ---- for the other files -------------------------------------------------------------------- */

/* True if the request may read, and there is something to read it from; false fills in `problem`.
 */
bool api_may_read(const struct web *web, const struct http_request *request,
                  struct problem *problem);

/* True unless this server has totals, which have no such thing; false fills in `problem`. */
bool api_of_collector(const struct web *web, const char *what, struct problem *problem);

/* Fill in that nothing can be read now, and return false. */
bool api_no_numbers(const struct web *web, struct problem *problem);

/* Count a place. False: the request was suspended or refused, and `*ret_result` is what its handler
 * returns. */
bool api_count(const struct web *web, struct http_request *request, const struct place *place,
               uint32_t window_s, struct number *ret, enum MHD_Result *ret_result);

/* True if a number is known and fresh; false fills in `problem` (503). */
bool api_is_fresh(const struct web *web, const struct number *number, struct problem *problem);

/* Count a place for a client that takes whatever number it gets for a fresh one. False: the request
 * was suspended, or `problem` says why there is no fresh number. */
bool api_count_known(const struct web *web, struct http_request *request, const struct place *place,
                     uint32_t window_s, struct number *ret, bool *ret_suspended,
                     struct problem *problem);

/* ---- api_status.c --------------------------------------------------------------------------- */

/* Answer /api/status and /api/senders. */
enum MHD_Result api_status(void *web, struct http_request *request);
enum MHD_Result api_senders(void *web, struct http_request *request);

/* ---- api_history.c -------------------------------------------------------------------------- */

/* Answer /api/sites/SITE/history, as api_events(). */
enum MHD_Result api_history(const struct web *web, struct http_request *request,
                            struct place *place);

/* ---- api_events.c --------------------------------------------------------------------------- */

/* Answer /api/sites/SITE/events. The caller has checked that the request may read the site. */
enum MHD_Result api_events(const struct web *web, struct http_request *request,
                           struct place *place);

/* Return a site's newest pageviews and custom events, at most `limit`, newest first; empty where
 * none are kept. */
json_t *api_newest_events(const struct web *web, const struct place *place, size_t limit);

#endif
