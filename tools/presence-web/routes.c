#include "routes.h"

#include <stdlib.h>
#include <string.h>

#include "beacon.h"
#include "files.h"
#include "http_reply.h"
#include "read.h"
#include "reply.h"
#include "streams.h"
#include "touches.h"

#define TOUCH "/touch"

static enum MHD_Result handle_healthy(void *web, struct http_request *request)
{
    (void)web;
    return http_reply_line(request, MHD_HTTP_OK, "presence-web is healthy");
}

static enum MHD_Result handle_preflight(void *context, struct http_request *request)
{
    const struct web *web = context;
    bool touch = strcmp(request->path, TOUCH) == 0;

    return reply_preflight(web, request, touch ? "POST, OPTIONS" : "GET, HEAD, OPTIONS");
}

static enum MHD_Result handle_nothing(void *web, struct http_request *request)
{
    return routes_refuse(web, request, MHD_HTTP_NOT_FOUND, NULL);
}

static const struct http_route fixed[] = {
    {"GET", "/api/sites/*", read_site},
    {"GET", "/api/sites", read_sites},
    {"GET", "/api/analytics/sites/*", read_realtime},
    {"GET", "/api/status", read_status},
    {"GET", "/api/*", handle_nothing},
    {"GET", "/stream", streams_handle},
    {"GET", "/beacon.gif", beacon_handle},
    {"GET", "/-/healthy", handle_healthy},
    {"POST", TOUCH, touches_handle},
    {"OPTIONS", TOUCH, handle_preflight},
    {"OPTIONS", "/stream", handle_preflight},
    {"OPTIONS", "/beacon.gif", handle_preflight},
    {"OPTIONS", "/badge.js", handle_preflight},
    {"OPTIONS", "/api/*", handle_preflight},
};

#define FIXED (sizeof(fixed) / sizeof(fixed[0]))

struct http_route *routes_new(size_t *ret_count)
{
    struct http_route *routes = calloc(FIXED + files_count, sizeof(*routes));

    if (!routes)
        return NULL;
    memcpy(routes, fixed, sizeof(fixed));
    for (size_t i = 0; i < files_count; i++)
        routes[FIXED + i] = (struct http_route){"GET", files[i].path, files_handle};
    *ret_count = FIXED + files_count;
    return routes;
}

enum MHD_Result routes_refuse(void *context, struct http_request *request, unsigned status,
                              const char *allow)
{
    const struct web *web = context;
    struct problem problem;

    switch (status) {
    case MHD_HTTP_NOT_FOUND:
        problem_set(&problem, status, "not_found", "there is nothing here");
        break;
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        problem_set(&problem, status, "method_not_allowed", "ask with %s", allow);
        break;
    case MHD_HTTP_CONTENT_TOO_LARGE:
        problem_set(&problem, status, "too_large", "a body has at most %d bytes",
                    TOUCHES_BODY_BYTES);
        break;
    default:
        problem_set(&problem, status, "bad_request", "this is not HTTP/1.1 as it should be");
    }
    problem.allow = allow;
    return reply_problem(web, request, &problem);
}
