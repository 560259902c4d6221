#include "compat.h"

#include <string.h>

#include "api.h"
#include "request.h"
#include "response.h"
#include "rooms.h"

/* ---- shapes ---------------------------------------------------------------------------------- */

static json_t *shape_number(uint64_t count)
{
    return json_of_number(count);
}

static json_t *shape_visitors(uint64_t count)
{
    return json_pack("{s:o}", "visitors", json_of_number(count));
}

static json_t *shape_message(const struct problem *problem)
{
    return json_pack("{s:s}", "error", problem->message);
}

static const char *umami_code(unsigned status)
{
    switch (status) {
    case MHD_HTTP_BAD_REQUEST:
        return "bad-request";
    case MHD_HTTP_UNAUTHORIZED:
        return "unauthorized";
    case MHD_HTTP_FORBIDDEN:
        return "forbidden";
    default:
        return "service-unavailable";
    }
}

static json_t *shape_umami_problem(const struct problem *problem)
{
    return json_pack("{s:{s:s,s:s,s:i}}", "error", "code", umami_code(problem->status), "message",
                     problem->message, "status", (int)problem->status);
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* A count of another system: where a request names the site, and the shapes of the answers. */
struct count_route {
    const char *before, *after; /* of the site in the path; the whole path if `parameter` is set */
    const char *parameter;      /* the one that names the site; NULL: the path does */
    json_t *(*shape)(uint64_t count);
    json_t *(*shape_problem)(const struct problem *problem);
};

static const struct count_route count_routes[] = {
    /* Plausible */
    {"/api/v1/stats/realtime/visitors", "", "site_id", shape_number, shape_message},
    /* Umami */
    {"/api/websites/", "/active", NULL, shape_visitors, shape_umami_problem},
};

/* Find the route of a path, or return NULL. */
static const struct count_route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(count_routes) / sizeof(count_routes[0]); i++) {
        const struct count_route *route = &count_routes[i];
        if (route->parameter ? strcmp(path, route->before) == 0
                             : request_path_fits(path, route->before, route->after))
            return route;
    }
    return NULL;
}

static bool parse_site(const struct web *web, const struct http_request *request,
                       const struct count_route *route, struct place *ret, struct problem *problem)
{
    if (route->parameter)
        return request_parse_site(web, http_request_query(request, route->parameter), ret, problem);
    return request_parse_path_site(web, request, route->before, route->after, ret, problem);
}

static enum MHD_Result handle_count(void *context, struct http_request *request)
{
    const struct web *web = context;
    const struct count_route *route = find_route(request->path);
    struct problem problem;
    bool suspended = false;
    struct number number;
    struct place place;

    if (!route) {
        problem_set(&problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
        return respond_problem(web, request, &problem);
    }
    if (api_may_read(web, request, &problem) && parse_site(web, request, route, &place, &problem) &&
        api_count_known(web, request, &place, 0, &number, &suspended, &problem))
        return respond_json(web, request, route->shape(number.count));
    if (suspended)
        return MHD_YES;
    return respond_problem_as(web, request, &problem, route->shape_problem(&problem));
}

/* ---- all routes ------------------------------------------------------------------------------ */

const struct http_route compat_routes[] = {
    {"GET", "/api/v1/stats/realtime/visitors", handle_count},
    {"GET", "/api/websites/*", handle_count},
    {"GET", "/api/live-user-count/*", api_site}, /* Rybbit */
    {"GET", "/api/events/*", api_site},
    {"POST", REST_PATH "rpc/*", rest_call},
    {"POST", REST_PATH "*", rest_refuse},
    {"GET", REST_PATH "*", rest_refuse},
    {"OPTIONS", REST_PATH "*", rest_preflight},
    {"GET", "/ws", rooms_handle},
    {"GET", ROOMS_POSTS "*", rooms_handle},
};

const size_t compat_routes_count = sizeof(compat_routes) / sizeof(compat_routes[0]);
