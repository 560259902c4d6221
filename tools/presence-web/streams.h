/* streams.h - GET /stream: the count of a place as server-sent events, pushed when it changes.
 *
 * A place is looked at once a period, however many streams show it. A stream has no queue: one that
 * is slow misses numbers in between, and never the last. While there is nothing to say its
 * connection is suspended and costs memory only; where the client goes away meanwhile is found out
 * once a period as well.
 */
#ifndef PRESENCE_WEB_STREAMS_H
#define PRESENCE_WEB_STREAMS_H

#include "web.h"

#define STREAMS_PERIOD_NS     (250 * NS_PER_MS)
#define STREAMS_KEEP_ALIVE_NS (15 * NS_PER_S)

/* Errors: -ENOMEM, and those of epoll_create1(2). */
int streams_open(struct web *web, struct streams **ret);

/* End all streams; they are over when their connections have been served once more. */
void streams_end(struct streams *streams);
void streams_close(struct streams *streams);

/* Handles GET /stream. */
enum MHD_Result streams_handle(void *web, struct http_request *request);

/* Look at what is due. Returns when there will be something next; INT64_MAX: not before a stream
 * has begun. */
int64_t streams_look(struct streams *streams, int64_t now_ns);

size_t streams_count(const struct streams *streams);

#endif
