/* api.h - GET /api: the numbers, for clients that may read them. */
#ifndef PRESENCE_WEB_API_H
#define PRESENCE_WEB_API_H

#include <jansson.h>

#include "web.h"

struct place;

/* Handlers of type http_handler. */

/* Answer /api/sites. */
enum MHD_Result api_sites(void *web, struct http_request *request);

/* Answer /api/sites/SITE/live-user-count, /events and /history: all under /api/sites/. */
enum MHD_Result api_site(void *web, struct http_request *request);

/* Answer /api/analytics/sites/SITE/realtime. */
enum MHD_Result api_realtime(void *web, struct http_request *request);

/* Answer /api/status. */
enum MHD_Result api_status(void *web, struct http_request *request);

/* Answer /api/senders. */
enum MHD_Result api_senders(void *web, struct http_request *request);

/* ---- api_events.c --------------------------------------------------------------------------- */

/* Answer /api/sites/SITE/events. The caller has checked that the request may read the site. */
enum MHD_Result api_events(const struct web *web, struct http_request *request,
                           struct place *place);

/* Return the newest events of a site, at most `limit`, newest first; empty where none are kept. */
json_t *api_newest_events(const struct web *web, const struct place *place, size_t limit);

#endif
