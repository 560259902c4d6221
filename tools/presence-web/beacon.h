/* beacon.h - GET /beacon.gif: a heartbeat from a page without scripts, as the address of a picture.
 */
#ifndef PRESENCE_WEB_BEACON_H
#define PRESENCE_WEB_BEACON_H

#include "web.h"

/* Handles GET /beacon.gif. */
enum MHD_Result beacon_handle(void *web, struct http_request *request);

#endif
