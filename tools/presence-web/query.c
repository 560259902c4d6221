#include "query.h"

#include <string.h>

static bool wrong(struct problem *problem, const char *message)
{
    return problem_set(problem, MHD_HTTP_BAD_REQUEST, "bad_request", "%s", message);
}

bool query_origin(const struct web *web, const struct http_request *request,
                  struct problem *problem)
{
    const char *origin = http_request_header(request, "Origin");

    if (!origin || options_allow(&web->options.origins, origin))
        return true;
    return problem_set(problem, MHD_HTTP_FORBIDDEN, "origin_not_allowed",
                       "pages from there may not ask: see --origin");
}

bool query_take_site(const struct web *web, const char *name, struct place *ret,
                     struct problem *problem)
{
    struct place place = {0};

    if (!name || !place_take_site(&place, name))
        return wrong(problem, "give a site of 1 to 253 bytes of UTF-8 without control characters");
    if (!options_allow(&web->options.sites, place.site))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "site_not_allowed",
                           "this server does not serve that site: see --site");
    *ret = place;
    return true;
}

bool query_path_site(const struct web *web, const struct http_request *request, const char *before,
                     const char *after, struct place *ret, struct problem *problem)
{
    size_t length = strlen(request->path), skip = strlen(before), tail = strlen(after);
    char name[WIRE_SITE_MAX + 2]; /* a byte more than a site: it is then refused */

    if (length < skip + tail || strcmp(request->path + length - tail, after) != 0)
        return problem_set(problem, MHD_HTTP_NOT_FOUND, "not_found", "there is nothing here");
    length -= skip + tail;
    if (length >= sizeof(name))
        length = sizeof(name) - 1;
    memcpy(name, request->path + skip, length);
    name[length] = '\0';
    return query_take_site(web, name, ret, problem);
}

bool query_room(const struct http_request *request, struct place *ret, struct problem *problem)
{
    const char *room = http_request_query(request, "room");

    if (room && *room && !place_take_room(ret, room))
        return wrong(problem, "a room has at most 255 bytes of UTF-8 without control characters");
    return true;
}

bool query_place(const struct web *web, const struct http_request *request, struct place *ret,
                 struct problem *problem)
{
    struct place place;

    if (!query_take_site(web, http_request_query(request, "site"), &place, problem) ||
        !query_room(request, &place, problem))
        return false;
    *ret = place;
    return true;
}

/* Digits as a number, at most UINT32_MAX. */
static uint32_t read_digits(const char *digits)
{
    uint64_t number = 0;

    for (; *digits && number <= UINT32_MAX; digits++)
        number = number * 10 + (uint64_t)(*digits - '0');
    return number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

bool query_number(const struct http_request *request, const char *name, uint32_t least,
                  uint32_t most, uint32_t otherwise, uint32_t *ret, struct problem *problem)
{
    const char *text = http_request_query(request, name);
    const char *digits = text && *text == '-' ? text + 1 : text;

    if (!text) {
        *ret = otherwise;
        return true;
    }
    if (!*digits || digits[strspn(digits, "0123456789")])
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "bad_request",
                           "%s is a whole number from %u to %u", name, least, most);
    uint32_t number = digits > text ? 0 : read_digits(digits);
    *ret = number < least ? least : number > most ? most : number;
    return true;
}

bool query_window(const struct http_request *request, uint32_t *ret_s, struct problem *problem)
{
    uint32_t minutes;

    if (!query_number(request, "minutes", 1, QUERY_MINUTES_MAX, QUERY_MINUTES_DEFAULT, &minutes,
                      problem))
        return false;
    *ret_s = minutes * 60;
    return true;
}
