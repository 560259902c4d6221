/* read.h - the numbers, for whoever may read them: GET /api. Handlers, as http_handler. */
#ifndef PRESENCE_WEB_READ_H
#define PRESENCE_WEB_READ_H

#include "web.h"

/* /api/sites */
enum MHD_Result read_sites(void *web, struct http_request *request);

/* /api/sites/SITE/live-user-count, /events and /history: what stands under /api/sites/ */
enum MHD_Result read_site(void *web, struct http_request *request);

/* /api/analytics/sites/SITE/realtime */
enum MHD_Result read_realtime(void *web, struct http_request *request);

/* /api/status */
enum MHD_Result read_status(void *web, struct http_request *request);

#endif
