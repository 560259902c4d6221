/* events.h - GET /api/sites/SITE/events: what has happened there. */
#ifndef PRESENCE_WEB_EVENTS_H
#define PRESENCE_WEB_EVENTS_H

#include "query.h"

#define EVENTS_PAGE_MAX 500

/* Answer for somebody who may read the site. */
enum MHD_Result events_read(const struct web *web, struct http_request *request,
                            struct place *place);

/* The newest events of a site, at most `limit`, newest first. Empty where none are kept. */
json_t *events_newest(const struct web *web, const struct place *place, size_t limit);

#endif
