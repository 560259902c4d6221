#include "compat.h"

#include <string.h>

#include "api.h"
#include "request.h"
#include "response.h"

/* ---- shapes ---------------------------------------------------------------------------------- */

static json_t *shape_number(uint64_t count)
{
    return json_integer((json_int_t)count);
}

static json_t *shape_visitors(uint64_t count)
{
    return json_pack("{s:I}", "visitors", (json_int_t)count);
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* A count of another system: where a request names the site, and the shape of the answer. */
struct count_route {
    const char *before, *after; /* of the site in the path; the whole path if `parameter` is set */
    const char *parameter;      /* the one that names the site; NULL: the path does */
    json_t *(*shape)(uint64_t count);
};

static const struct count_route count_routes[] = {
    {"/api/v1/stats/realtime/visitors", "", "site_id", shape_number}, /* Plausible */
    {"/api/websites/", "/active", NULL, shape_visitors},              /* Umami */
};

/* Find the route of a path, or return NULL. */
static const struct count_route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(count_routes) / sizeof(count_routes[0]); i++) {
        const struct count_route *route = &count_routes[i];
        size_t before = strlen(route->before), after = strlen(route->after), length = strlen(path);
        if (route->parameter
                ? strcmp(path, route->before) == 0
                : length >= before + after && strncmp(path, route->before, before) == 0 &&
                      strcmp(path + length - after, route->after) == 0)
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
    enum MHD_Result result;
    struct problem problem;
    struct number number;
    struct place place;

    if (!route) {
        problem_set(&problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
        return respond_problem(web, request, &problem);
    }
    if (!api_may_read(web, request, &problem) || !parse_site(web, request, route, &place, &problem))
        return respond_problem(web, request, &problem);
    if (!api_count_known(web, request, &place, 0, &number, &result))
        return result;
    return respond_json(web, request, route->shape(number.count));
}

/* ---- all routes ------------------------------------------------------------------------------ */

const struct http_route compat_routes[] = {
    {"GET", "/api/v1/stats/realtime/visitors", handle_count},
    {"GET", "/api/websites/*", handle_count},
};

const size_t compat_routes_count = sizeof(compat_routes) / sizeof(compat_routes[0]);
