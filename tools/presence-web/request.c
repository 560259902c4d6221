#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"
#include "http/http_client.h"
#include "limiter.h"
#include "live.h"
#include "totals.h"

#define RETRY_S 5 /* for a client beyond a limit of streams */

/* ---- who sends it --------------------------------------------------------------------------- */

/* Return the country that the proxy names, two letters, or NULL. */
static const char *find_country(const struct web *web, const struct http_request *request)
{
    const char *header = web->options.country_header;
    const char *country = header ? http_request_header(request, header) : NULL;
    char code[3];

    /* XX and similar codes mean that the proxy doesn't know. */
    return country && place_parse_country(country, code) && code[0] ? country : NULL;
}

struct client request_client(const struct web *web, const struct http_request *request)
{
    const struct options *options = &web->options;
    struct http_client found = http_client_find(request, options->proxies, options->proxy_count);

    return (struct client){
        .host = found.host,
        .is_secure = found.is_secure,
        .country = found.is_proxied ? find_country(web, request) : NULL,
    };
}

/* ---- what it asks for ----------------------------------------------------------------------- */

#define ORIGIN_SIZE 512 /* a longer one is no page's: names in the DNS have at most 253 bytes */

/* The page that asks, as its browser tells. */
struct page {
    bool is_named;
    bool is_named_by_origin;
    char origin[ORIGIN_SIZE]; /* in lower case, such as https://example.com:8443 */
    const char *relation;     /* Sec-Fetch-Site: from its site to ours; "": not sent */
};

/* Find the page. Browsers send Origin where the answer can be read or something is posted;
 * otherwise, as with pictures, they send only Referer. To HTTPS and to this machine they send
 * Sec-Fetch-Site. */
static struct page find_page(const struct http_request *request)
{
    const char *origin = http_request_header(request, "Origin");
    const char *referer = http_request_header(request, "Referer");
    const char *relation = http_request_header(request, "Sec-Fetch-Site");
    const char *name = origin && *origin ? origin : referer ? referer : "";
    const char *host = strstr(name, "://");
    size_t length = host ? (size_t)(host + 3 - name) + strcspn(host + 3, "/?#") : strlen(name);
    struct page page = {
        .is_named = *name != '\0',
        .is_named_by_origin = origin && *origin,
        .relation = relation ? relation : "",
    };

    if (length >= ORIGIN_SIZE)
        length = 0;
    for (size_t i = 0; i < length; i++)
        page.origin[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    return page;
}

/* Return the host and port of a page, or "". */
static const char *authority_of(const struct page *page)
{
    const char *host = strstr(page->origin, "://");

    return host ? host + 3 : "";
}

/* True unless a page of another origin asks: no page does, or one that this server has served. */
static bool is_ours(const struct page *page, const struct http_request *request)
{
    const char *host = http_request_header(request, "Host");

    if (strcmp(page->relation, "same-origin") == 0 || strcmp(page->relation, "none") == 0)
        return true;
    return page->is_named ? host && *host && strcasecmp(authority_of(page), host) == 0
                          : !*page->relation;
}

/* True if the page's host is the site, or belongs to it as www.example.com to example.com. */
static bool is_on_site(const struct page *page, const char *site)
{
    const char *authority = authority_of(page);
    const char *port = strrchr(authority, ':');
    size_t length = port && !strchr(port, ']') ? (size_t)(port - authority) : strlen(authority);
    size_t domain = strlen(site);

    if (strcasecmp(authority, site) == 0)
        return true;
    if (!domain || length < domain || strncasecmp(authority + length - domain, site, domain) != 0)
        return false;
    return length == domain || (authority[length - domain - 1] == '.' && strchr(site, '.'));
}

bool request_check_origin(const struct web *web, const struct http_request *request,
                          struct problem *problem)
{
    struct page page = find_page(request);

    if (options_allow(&web->options.origins, page.origin) ||
        (!page.is_named_by_origin && is_ours(&page, request)))
        return true;
    return problem_set(problem, MHD_HTTP_FORBIDDEN, "origin_not_allowed",
                       "this server does not answer pages of that origin: see --origin");
}

/* True if a browser asks, whose name a page can't change where it shows a picture. */
static bool is_browser(const struct http_request *request)
{
    const char *agent = http_request_header(request, "User-Agent");

    return agent && strncasecmp(agent, "Mozilla/", strlen("Mozilla/")) == 0;
}

bool request_is_from_site(const struct web *web, const struct http_request *request,
                          const char *site)
{
    const struct option_list *origins = &web->options.origins;
    struct page page = find_page(request);
    char found[PLACE_SITE_MAX + 1];
    bool is_site = site && request_find_site(web, site, found);
    /* Over plain HTTP a page can have its browser say nothing of it (Referrer-Policy). */
    bool is_silent = !page.is_named && !*page.relation && is_browser(request);

    return (!is_silent && is_ours(&page, request)) || strcmp(page.relation, "same-site") == 0 ||
           (origins->count && options_allow(origins, page.origin)) ||
           (is_site && is_on_site(&page, found));
}

/* Find the client and charge it for a heartbeat. */
static bool charge(const struct web *web, const struct http_request *request, struct client *ret,
                   struct problem *problem)
{
    struct client client = request_client(web, request);
    unsigned wait_s;

    if (!limiter_charge(web->limiter, &client.host, monotonic_ns(), &wait_s)) {
        problem_set(problem, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited",
                    "too many heartbeats from this client: see --client-rate");
        problem->retry_s = wait_s;
        return false;
    }
    *ret = client;
    return true;
}

bool request_admit(const struct web *web, const struct http_request *request, struct client *ret,
                   struct problem *problem)
{
    return request_check_origin(web, request, problem) && charge(web, request, ret, problem);
}

bool request_open_stream(const struct web *web, const struct client *client, size_t places,
                         struct quota **ret, struct problem *problem)
{
    switch (limiter_open_stream(web->limiter, &client->host, places, ret)) {
    case 0:
        return true;
    case -EDQUOT:
        problem_set(problem, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited",
                    "this client has too many streams: see --client-streams");
        break;
    case -ENOSPC:
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "too_many_streams",
                    "too many streams: see --max-streams");
        break;
    default:
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_memory", "out of memory");
    }
    problem->retry_s = RETRY_S;
    return false;
}

bool request_find_site(const struct web *web, const char *name, char ret[PLACE_SITE_MAX + 1])
{
    if (!place_parse_site(name, ret))
        return false;
    const char *site = options_find_alias(&web->options, ret);
    if (site)
        strcpy(ret, site);
    return true;
}

bool request_parse_site(const struct web *web, const char *name, struct place *ret,
                        struct problem *problem)
{
    struct place place = {0};

    if (!name || !request_find_site(web, name, place.site))
        return problem_bad_request(
            problem, "site must have 1 to 253 bytes of UTF-8 without control characters");
    if (!options_allow(&web->options.sites, place.site))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "site_not_allowed",
                           "this server does not serve that site: see --site");
    *ret = place;
    return true;
}

bool request_parse_rest_site(const struct web *web, struct place *ret, struct problem *problem)
{
    const struct options *options = &web->options;

    if (options->rest_site)
        return request_parse_site(web, options->rest_site, ret, problem);
    if (options->sites.count == 1)
        return request_parse_site(web, options->sites.items[0], ret, problem);
    return problem_set(problem, MHD_HTTP_NOT_FOUND, "site_missing",
                       "the request names no site, and this server serves %s: see --rest-site",
                       options->sites.count ? "several" : "any");
}

bool request_path_fits(const char *path, const char *before, const char *after)
{
    size_t length = strlen(path), skip = strlen(before), tail = strlen(after);

    return length >= skip + tail && strncmp(path, before, skip) == 0 &&
           strcmp(path + length - tail, after) == 0;
}

bool request_parse_path_site(const struct web *web, const struct http_request *request,
                             const char *before, const char *after, struct place *ret,
                             struct problem *problem)
{
    char name[PLACE_SITE_MAX + 2]; /* a byte more than a site: a longer name is refused, not cut */
    size_t skip = strlen(before);

    if (!request_path_fits(request->path, before, after))
        return problem_set(problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
    size_t length = strlen(request->path) - skip - strlen(after);
    if (length >= sizeof(name))
        length = sizeof(name) - 1;
    memcpy(name, request->path + skip, length);
    name[length] = '\0';
    return request_parse_site(web, name, ret, problem);
}

bool request_parse_room(const char *name, struct place *ret, struct problem *problem)
{
    if (name && *name && !place_parse_room(name, ret->room))
        return problem_bad_request(
            problem, "room must have at most 255 bytes of UTF-8 without control characters");
    return true;
}

/* Parse digits; the result is at most UINT32_MAX. */
static uint32_t parse_digits(const char *digits)
{
    uint64_t number = 0;

    for (; *digits && number <= UINT32_MAX; digits++)
        number = number * 10 + (uint64_t)(*digits - '0');
    return number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

bool request_parse_number(const struct http_request *request, const char *name, uint32_t least,
                          uint32_t most, uint32_t otherwise, uint32_t *ret, struct problem *problem)
{
    const char *text = NULL;
    size_t count = http_request_query_all(request, name, &text, 1);

    if (count == 0) {
        *ret = otherwise;
        return true;
    }
    const char *digits = *text == '-' ? text + 1 : text;
    if (count > 1 || !*digits || digits[strspn(digits, "0123456789")])
        return problem_bad_request(problem, "%s must be one whole number from %u to %u", name,
                                   least, most);
    uint32_t number = digits > text ? 0 : parse_digits(digits);
    *ret = number < least ? least : number > most ? most : number;
    return true;
}

bool request_parse_window(const struct web *web, const struct http_request *request,
                          uint32_t *ret_s, struct problem *problem)
{
    const struct totals *totals = live_totals(web->live);
    uint32_t minutes;

    if (!request_parse_number(request, "minutes", 1, REQUEST_MINUTES_MAX, 0, &minutes, problem))
        return false;
    if (totals && !totals_has_window(totals, minutes * 60))
        return problem_bad_request(problem,
                                   "no totals are published for minutes=%u: the windows are %s s",
                                   minutes, totals_windows(totals));
    *ret_s = minutes * 60;
    return true;
}

bool request_has_tag(const struct http_request *request, const char *tag)
{
    const char *tags = http_request_header(request, "If-None-Match");

    return tags && (strstr(tags, tag) || strcmp(tags, "*") == 0);
}

/* ---- the places of a stream ----------------------------------------------------------------- */

/* A parameter that is given once for each place. */
struct values {
    size_t count; /* in the request, perhaps more than `all` holds */
    const char *all[REQUEST_PLACES_MAX];
};

static struct values find_values(const struct http_request *request, const char *name)
{
    struct values values;

    values.count = http_request_query_all(request, name, values.all, REQUEST_PLACES_MAX);
    return values;
}

/* Return the value for a place, or the last one if there are fewer, or NULL. */
static const char *value_or_last(const struct values *values, size_t place)
{
    if (values->count == 0)
        return NULL;
    return values->all[place < values->count ? place : values->count - 1];
}

static bool parse_places(const struct web *web, const struct http_request *request,
                         struct request_places *ret, struct problem *problem)
{
    struct values sites = find_values(request, "site"), rooms = find_values(request, "room");

    ret->count = sites.count > rooms.count ? sites.count : rooms.count;
    if (ret->count > REQUEST_PLACES_MAX)
        return problem_bad_request(problem,
                                   "a stream shows at most %d places, not %zu: open another one",
                                   REQUEST_PLACES_MAX, ret->count);
    if (ret->count == 0)
        return request_parse_site(web, NULL, &ret->places[0], problem); /* fails */
    for (size_t i = 0; i < ret->count; i++) {
        const char *room = i < rooms.count ? rooms.all[i] : NULL;
        if (!request_parse_site(web, value_or_last(&sites, i), &ret->places[i], problem) ||
            !request_parse_room(room, &ret->places[i], problem))
            return false;
    }
    return true;
}

static bool check_tokens(const struct web *web, const struct http_request *request,
                         struct request_places *query, struct problem *problem)
{
    struct values tokens = find_values(request, "token");

    query->expires = INT64_MAX;
    if (request_has_api_key(web, request))
        return true;
    for (size_t i = 0; i < query->count; i++) {
        struct token_use use = {.place = &query->places[i]};
        int64_t expires;
        if (!request_may_use(web, request, value_or_last(&tokens, i), &use, &expires, problem))
            return false;
        if (expires < query->expires)
            query->expires = expires;
    }
    return true;
}

bool request_parse_places(const struct web *web, const struct http_request *request,
                          struct request_places *ret, struct problem *problem)
{
    return request_check_origin(web, request, problem) &&
           parse_places(web, request, ret, problem) &&
           request_parse_window(web, request, &ret->window_s, problem) &&
           check_tokens(web, request, ret, problem);
}
