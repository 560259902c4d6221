/* web.h - presence-web as a whole. All of it is for the one thread that serves. */
#ifndef PRESENCE_WEB_WEB_H
#define PRESENCE_WEB_WEB_H

#include "forwarder.h"
#include "http_server.h"
#include "limiter.h"
#include "numbers.h"
#include "options.h"
#include "secrets.h"
#include "signing.h"

struct leaves;
struct streams;
struct touches;

struct web {
    struct options options;
    struct numbers *numbers;
    struct forwarder *forwarder;
    struct limiter *limiter;
    struct leaves *leaves;
    struct secrets api_keys; /* none: whoever asks may read */
    struct secrets jwt_keys; /* none: no token is needed */
    struct signing_key key;  /* for heartbeats */
    struct streams *streams;
    struct touches *touches;
    bool ending; /* nothing may be suspended any more */
};

#endif
