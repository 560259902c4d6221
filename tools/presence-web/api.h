/* api.h - GET /api: the numbers, for clients that may read them. */
#ifndef PRESENCE_WEB_API_H
#define PRESENCE_WEB_API_H

#include <jansson.h>

#include "web.h"

struct place;
struct presence;
struct presence_reading;
struct problem;

/* Handlers of type http_handler. */

/* Answer /api/sites. */
enum MHD_Result api_sites(void *web, struct http_request *request);

/* Answer /api/sites/SITE/live-user-count, /events and /history: all under /api/sites/. */
enum MHD_Result api_site(void *web, struct http_request *request);

/* Answer /api/analytics/sites/SITE/realtime. */
enum MHD_Result api_realtime(void *web, struct http_request *request);

/* Answer /api/status. */
enum MHD_Result api_status(void *web, struct http_request *request);

/* Get the segment, if the request may read it; otherwise fill in the problem and return false. */
bool api_get_presence(const struct web *web, const struct http_request *request,
                      struct presence **ret, struct problem *problem);

/* ---- api_senders.c -------------------------------------------------------------------------- */

/* Answer /api/senders. A handler of type http_handler. */
enum MHD_Result api_senders(void *web, struct http_request *request);

/* Return whether edges are alive, {"alive": 2, "gone": 0, "gone_for_s": null}, for a site with this
 * reading; null if it is stale or the site does not exist. */
json_t *api_edges(const struct web *web, const struct presence_reading *reading);

/* ---- api_events.c --------------------------------------------------------------------------- */

/* Answer /api/sites/SITE/events. The caller has checked that the request may read the site. */
enum MHD_Result api_events(const struct web *web, struct http_request *request,
                           struct place *place);

/* Return the newest events of a site, at most `limit`, newest first; empty where none are kept. */
json_t *api_newest_events(const struct web *web, const struct place *place, size_t limit);

#endif
