#include "http_routes.h"

#include <string.h>

static bool path_matches(const char *pattern, const char *path)
{
    size_t length = strlen(pattern);

    if (length && pattern[length - 1] == '*')
        return strncmp(pattern, path, length - 1) == 0;
    return strcmp(pattern, path) == 0;
}

static bool method_matches(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void allow_method(char allow[HTTP_ROUTES_ALLOW_MAX], const char *method)
{
    const char *head = strcmp(method, "GET") == 0 ? ", HEAD" : "";

    if (strstr(allow, method) ||
        strlen(allow) + strlen(method) + strlen(head) + 3 > HTTP_ROUTES_ALLOW_MAX)
        return;
    if (*allow)
        strcat(allow, ", ");
    strcat(strcat(allow, method), head);
}

unsigned http_routes_find(const struct http_options *options, const char *method, const char *path,
                          http_handler **ret_handler, char allow[HTTP_ROUTES_ALLOW_MAX])
{
    for (size_t i = 0; i < options->route_count; i++) {
        const struct http_route *route = &options->routes[i];
        if (!path_matches(route->path, path))
            continue;
        if (method_matches(route->method, method)) {
            *ret_handler = route->handler;
            return 0;
        }
        allow_method(allow, route->method);
    }
    return *allow ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
}
