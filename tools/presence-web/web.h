/* web.h - the state of presence-web. Only the one thread that serves uses it. */
#ifndef PRESENCE_WEB_WEB_H
#define PRESENCE_WEB_WEB_H

#include "http/http_server.h"
#include "options.h"
#include "secrets.h"

struct limiter;
struct live;
struct outbound;
struct rooms;
struct streams;
struct totals;
struct touches;

struct web {
    struct options options;
    struct totals *totals; /* NULL: numbers are those of one collector */
    struct live *live;
    struct outbound *outbound;
    struct limiter *limiter;
    struct secrets api_keys; /* none: anybody may read */
    struct secrets jwt_keys; /* none: no token is needed */
    struct key key;          /* for heartbeats */
    struct streams *streams;
    struct rooms *rooms;
    struct touches *touches;
    bool ending; /* no connection may be suspended any more */
};

#endif
