/* touches.h - POST /touch: heartbeats from browsers.
 *
 * A touch is sent to the collector as a datagram. Its connection is then suspended until the
 * visitor is in the count, which is looked for once a millisecond, or TOUCHES_WAIT_NS have passed;
 * others are served meanwhile.
 */
#ifndef PRESENCE_WEB_TOUCHES_H
#define PRESENCE_WEB_TOUCHES_H

#include "web.h"

#define TOUCHES_WAIT_NS    (20 * NS_PER_MS)
#define TOUCHES_WINDOW_S   300
#define TOUCHES_BODY_BYTES 4096

/* NULL: no memory. */
struct touches *touches_new(struct web *web);

/* Let all that wait be answered now; they are when their connections have been served once more. */
void touches_end(struct touches *touches);
void touches_free(struct touches *touches);

/* Handles POST /touch. */
enum MHD_Result touches_handle(void *web, struct http_request *request);

/* Look for those that are counted. Returns when to look again; INT64_MAX: not
 * before there is something new. */
int64_t touches_look(struct touches *touches, int64_t now_ns);

#endif
