/* trends.h - a site at a glance, and its last hours. */
#ifndef PRESENCE_WEB_TRENDS_H
#define PRESENCE_WEB_TRENDS_H

#include "query.h"

/* Answer for somebody who may read the site:
 * /api/analytics/sites/SITE/realtime and /api/sites/SITE/history. */
enum MHD_Result trends_read_realtime(const struct web *web, struct http_request *request,
                                     struct place *place);
enum MHD_Result trends_read_history(const struct web *web, struct http_request *request,
                                    struct place *place);

#endif
