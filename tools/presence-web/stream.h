/* stream.h - GET /stream: the counts of places as server-sent events, pushed when they change.
 *
 * A place is counted once a period, however many streams show it. A stream is woken when one of its
 * places has changed, or for a keep-alive. A stream has no queue: a slow one misses numbers in
 * between, but never the last. While there is nothing to send, its connection is suspended and
 * costs only memory; clients that went away meanwhile are found once a period as well.
 */
#ifndef PRESENCE_WEB_STREAM_H
#define PRESENCE_WEB_STREAM_H

#include "web.h"

/* Open the set of streams, empty. Errors: -ENOMEM, and those of epoll_create1(2). */
int streams_open(struct web *web, struct streams **ret);

/* End all streams; they are over when their connections are served next. */
void streams_end(struct streams *streams);
void streams_close(struct streams *streams);

/* Handle GET /stream. */
enum MHD_Result streams_handle(void *web, struct http_request *request);

/* Count the places and wake the streams if it is time. Return when it is next, or INT64_MAX while
 * there is no stream. */
int64_t streams_run_timers(struct streams *streams, int64_t now_ns);

#endif
