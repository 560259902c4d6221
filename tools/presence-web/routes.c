#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "compat.h"
#include "http/http_reply.h"
#include "live.h"
#include "picture.h"
#include "request.h"
#include "response.h"
#include "stream.h"
#include "touch.h"

/* ---- built-in files ------------------------------------------------------------------------- */

#define BADGE "/badge.js" /* pages of other sites load it */

#define POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "     \
    "form-action 'none'; frame-ancestors 'self'"

static const struct file *find_file(const char *path)
{
    for (size_t i = 0; i < files_count; i++) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    return NULL;
}

/* True if an Accept-Encoding allows gzip. A weight matters only if it is zero. */
static bool accepts_gzip(const char *header)
{
    const char *coding = header ? strcasestr(header, "gzip") : NULL;

    if (!coding)
        return false;
    const char *weight = coding + strlen("gzip") + strspn(coding + strlen("gzip"), " \t");
    if (*weight != ';')
        return true;
    weight += 1 + strspn(weight + 1, " \t");
    return strncasecmp(weight, "q=", 2) != 0 || strtod(weight + 2, NULL) > 0;
}

/* Answer GET of a built-in file. */
static enum MHD_Result handle_file(void *context, struct http_request *request)
{
    const struct file *file = find_file(request->path);
    bool packed = accepts_gzip(http_request_header(request, "Accept-Encoding"));
    bool fresh =
        file && (request_has_tag(request, file->tag) || request_has_tag(request, file->packed_tag));

    (void)context;
    if (!file)
        return MHD_NO;
    const unsigned char *content = packed ? file->packed : file->content;
    size_t length = packed ? file->packed_length : file->length;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        fresh ? 0 : length, (void *)(uintptr_t)content, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    bool badge = strcmp(file->path, BADGE) == 0;
    MHD_add_response_header(response, "Content-Type", file->type);
    MHD_add_response_header(response, "ETag", packed ? file->packed_tag : file->tag);
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    MHD_add_response_header(response, "Cache-Control", badge ? "public, max-age=300" : "no-cache");
    if (packed && !fresh)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy",
                            badge ? "cross-origin" : "same-origin");
    if (badge) /* pages may load it as a module; its requests are checked on their own */
        MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    return http_reply(request, fresh ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}

/* ---- routes --------------------------------------------------------------------------------- */

#define TOUCH "/touch"

static enum MHD_Result handle_healthy(void *web, struct http_request *request)
{
    (void)web;
    return http_reply_line(request, MHD_HTTP_OK, "presence-web is healthy");
}

/* Answer whether there is a collector whose numbers are fresh. */
static enum MHD_Result handle_ready(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct number number = live_freshness(web->live);
    char line[256];

    if (!number.stale)
        return http_reply_line(request, MHD_HTTP_OK, "presence-web is ready");
    snprintf(line, sizeof(line), "presence-web is not ready: %s",
             touch_reason_stale(web, &number).message);
    return http_reply_line(request, MHD_HTTP_SERVICE_UNAVAILABLE, line);
}

static enum MHD_Result handle_preflight(void *context, struct http_request *request)
{
    const struct web *web = context;
    bool touch = strcmp(request->path, TOUCH) == 0;

    return respond_preflight(web, request, touch ? "POST, OPTIONS" : "GET, HEAD, OPTIONS", NULL);
}

static enum MHD_Result handle_unknown(void *web, struct http_request *request)
{
    return routes_refuse(web, request, MHD_HTTP_NOT_FOUND, NULL);
}

static const struct http_route fixed[] = {
    {"GET", "/api/sites/*", api_site},
    {"GET", "/api/sites", api_sites},
    {"GET", "/api/analytics/sites/*", api_realtime},
    {"GET", "/api/status", api_status},
    {"GET", "/api/senders", api_senders},
    {"GET", "/api/*", handle_unknown},
    {"GET", "/stream", streams_handle},
    {"GET", "/beacon.gif", beacon_handle},
    {"GET", "/badge.svg", picture_handle},
    {"GET", "/badge.json", picture_handle_json},
    {"GET", "/-/healthy", handle_healthy},
    {"GET", "/-/ready", handle_ready},
    {"POST", TOUCH, touches_handle},
    {"OPTIONS", TOUCH, handle_preflight},
    {"OPTIONS", "/stream", handle_preflight},
    {"OPTIONS", "/beacon.gif", handle_preflight},
    {"OPTIONS", "/badge.js", handle_preflight},
    {"OPTIONS", "/badge.svg", handle_preflight},
    {"OPTIONS", "/badge.json", handle_preflight},
    {"OPTIONS", "/api/*", handle_preflight},
};

#define FIXED (sizeof(fixed) / sizeof(fixed[0]))

struct http_route *routes_new(const struct options *options, size_t *ret_count)
{
    size_t count = options->no_compat ? 0 : compat_routes_count; /* first: they are narrower */
    struct http_route *routes = calloc(count + FIXED + files_count, sizeof(*routes));

    if (!routes)
        return NULL;
    memcpy(routes, compat_routes, count * sizeof(*routes));
    memcpy(routes + count, fixed, sizeof(fixed));
    count += FIXED;
    for (size_t i = 0; i < files_count; i++)
        routes[count++] = (struct http_route){"GET", files[i].path, handle_file};
    *ret_count = count;
    return routes;
}

enum MHD_Result routes_refuse(void *context, struct http_request *request, unsigned status,
                              const char *allow)
{
    const struct web *web = context;
    struct problem problem;

    switch (status) {
    case MHD_HTTP_NOT_FOUND:
        problem_set(&problem, status, "not_found", "no such resource");
        break;
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        problem_set(&problem, status, "method_not_allowed", "use %s", allow);
        break;
    case MHD_HTTP_CONTENT_TOO_LARGE:
        problem_set(&problem, status, "too_large", "the body has more than %d bytes",
                    TOUCH_BODY_BYTES);
        break;
    default:
        problem_set(&problem, status, "bad_request", "malformed request");
    }
    problem.allow = allow;
    if (!web->options.no_compat && strncmp(request->path, REST_PATH, strlen(REST_PATH)) == 0)
        return rest_respond_problem(web, request, &problem);
    return respond_problem(web, request, &problem);
}
