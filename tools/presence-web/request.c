#include "request.h"

#include <jansson.h>
#include <jwt.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "limiter.h"

/* ---- who sends it --------------------------------------------------------------------------- */

#define FORWARDED_MAX 16 /* X-Forwarded-For headers of a request; more are cut off */

struct forwarded {
    size_t count;
    const char *values[FORWARDED_MAX];
};

static bool is_trusted(const struct options *options, const struct host *host)
{
    for (size_t i = 0; i < options->proxy_count; i++) {
        if (network_contains(&options->proxies[i], host))
            return true;
    }
    return false;
}

static enum MHD_Result collect(void *context, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    struct forwarded *forwarded = context;

    (void)kind;
    if (!value || strcasecmp(name, "X-Forwarded-For") != 0)
        return MHD_YES;
    if (forwarded->count == FORWARDED_MAX) /* keep the last ones */
        memmove(forwarded->values, forwarded->values + 1,
                --forwarded->count * sizeof(forwarded->values[0]));
    forwarded->values[forwarded->count++] = value;
    return MHD_YES;
}

/* Parse an address of a list: bare or [in brackets], perhaps with a port. */
static bool parse_address(const char *text, size_t length, struct host *ret)
{
    char address[INET6_ADDRSTRLEN + 8];

    while (length && (*text == ' ' || *text == '\t' || *text == '[')) {
        text++;
        length--;
    }
    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    address[strcspn(address, " \t]")] = '\0';
    char *colon = strchr(address, ':');
    if (colon && !strchr(colon + 1, ':'))
        *colon = '\0'; /* the port of an IPv4 address */
    return host_parse(address, ret) == 0;
}

/* Walk one header's list from its end. True if the client is found: the first address that is no
 * trusted proxy. The walk also ends at what can't be parsed; the last address before it counts. */
static bool walk_back(const struct options *options, const char *list, struct host *client)
{
    const char *end = list + strlen(list);

    for (;;) {
        const char *begin = end;
        while (begin > list && begin[-1] != ',')
            begin--;
        if (!parse_address(begin, (size_t)(end - begin), client) || !is_trusted(options, client))
            return true;
        if (begin == list)
            return false;
        end = begin - 1;
    }
}

static void warn_untrusted_once(void)
{
    static bool noted;

    if (!noted)
        log_line("ignoring X-Forwarded-For: name the proxy in front with --trusted-proxy");
    noted = true;
}

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
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct client client = {0};
    struct forwarded forwarded = {0};

    host_of(info->client_addr, &client.host);
    client.proxied = is_trusted(&web->options, &client.host);
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, collect, &forwarded);
    if (!client.proxied && forwarded.count)
        warn_untrusted_once();
    if (!client.proxied)
        return client;
    client.country = find_country(web, request);
    while (forwarded.count-- &&
           !walk_back(&web->options, forwarded.values[forwarded.count], &client.host))
        ;
    return client;
}

bool request_charge(const struct web *web, const struct http_request *request, struct client *ret,
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

bool request_is_secure(const struct http_request *request, const struct client *client)
{
    const char *scheme = http_request_header(request, "X-Forwarded-Proto");

    return client->proxied && scheme && strcasecmp(scheme, "https") == 0;
}

/* ---- what it asks for ----------------------------------------------------------------------- */

bool request_check_origin(const struct web *web, const struct http_request *request,
                          struct problem *problem)
{
    const char *origin = http_request_header(request, "Origin");

    if (!origin || options_allow(&web->options.origins, origin))
        return true;
    return problem_set(problem, MHD_HTTP_FORBIDDEN, "origin_not_allowed",
                       "this server does not answer pages of that origin: see --origin");
}

bool request_admit(const struct web *web, const struct http_request *request, struct client *ret,
                   struct problem *problem)
{
    return request_check_origin(web, request, problem) &&
           request_charge(web, request, ret, problem);
}

bool request_parse_site(const struct web *web, const char *name, struct place *ret,
                        struct problem *problem)
{
    struct place place = {0};

    if (!name || !place_parse_site(name, place.site))
        return problem_bad_request(
            problem, "site must have 1 to 253 bytes of UTF-8 without control characters");
    if (!options_allow(&web->options.sites, place.site))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "site_not_allowed",
                           "this server does not serve that site: see --site");
    *ret = place;
    return true;
}

bool request_parse_path_site(const struct web *web, const struct http_request *request,
                             const char *before, const char *after, struct place *ret,
                             struct problem *problem)
{
    size_t length = strlen(request->path), skip = strlen(before), tail = strlen(after);
    char name[PLACE_SITE_MAX + 2]; /* a byte more than a site: a longer name is refused, not cut */

    if (length < skip + tail || strcmp(request->path + length - tail, after) != 0)
        return problem_set(problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
    length -= skip + tail;
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
    const char *text = http_request_query(request, name);
    const char *digits = text && *text == '-' ? text + 1 : text;

    if (!text) {
        *ret = otherwise;
        return true;
    }
    if (!*digits || digits[strspn(digits, "0123456789")])
        return problem_bad_request(problem, "%s must be a whole number from %u to %u", name, least,
                                   most);
    uint32_t number = digits > text ? 0 : parse_digits(digits);
    *ret = number < least ? least : number > most ? most : number;
    return true;
}

bool request_parse_window(const struct http_request *request, uint32_t *ret_s,
                          struct problem *problem)
{
    uint32_t minutes;

    if (!request_parse_number(request, "minutes", 1, REQUEST_MINUTES_MAX, REQUEST_MINUTES_DEFAULT,
                              &minutes, problem))
        return false;
    *ret_s = minutes * 60;
    return true;
}

/* ---- whether it may ------------------------------------------------------------------------- */

/* Return the token if one of the keys has signed it, or NULL. */
static jwt_t *verify(const struct secrets *keys, const char *token)
{
    for (size_t i = 0; i < keys->count; i++) {
        const char *key = keys->items[i];
        jwt_t *jwt;
        if (jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key)) != 0)
            continue;
        if (jwt_get_alg(jwt) == JWT_ALG_HS256)
            return jwt;
        jwt_free(jwt);
    }
    return NULL;
}

/* Return the claims as a JSON object, or NULL. */
static json_t *claims_of(jwt_t *jwt)
{
    char *text = jwt_get_grants_json(jwt, NULL);
    json_t *claims = text ? json_loads(text, 0, NULL) : NULL;

    free(text);
    return claims;
}

/* True if the claim is this text or absent. A claim of another type allows nothing. */
static bool is_or_absent(const json_t *claim, const char *wanted)
{
    const char *text = json_string_value(claim);

    return !claim || (text && strcmp(text, wanted) == 0);
}

static bool allows_place(const json_t *claims, const struct token_use *use)
{
    const char *site = json_string_value(json_object_get(claims, "site"));
    const json_t *room = json_object_get(claims, "room");
    struct place place = {0};

    if (!site || !place_parse_site(site, place.site) || strcmp(place.site, use->place->site) != 0)
        return false;
    if (!room || (use->leaves_site && json_is_string(room)))
        return true;
    const char *name = json_string_value(room);
    if (name && *name && !place_parse_room(name, place.room))
        return false;
    return name && strcmp(place.room, use->place->room) == 0;
}

static bool refuse_token(struct problem *problem)
{
    return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_invalid",
                       "invalid token: it must be a JWT signed with HS256, with site and exp");
}

static bool check_claims(const json_t *claims, const struct token_use *use, int64_t *ret_expires,
                         struct problem *problem)
{
    const json_t *expires = json_object_get(claims, "exp"),
                 *begins = json_object_get(claims, "nbf");
    const json_t *subject = json_object_get(claims, "sub");
    double now = (double)time(NULL);

    if (!json_is_number(expires) || (begins && !json_is_number(begins)))
        return refuse_token(problem);
    if (now >= json_number_value(expires))
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_expired", "get a new token");
    if (begins && now < json_number_value(begins))
        return refuse_token(problem);
    if (!allows_place(claims, use))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "token_other_place",
                           "this token is for another site or room");
    if (use->visitor ? !is_or_absent(subject, use->visitor) : subject && !json_is_string(subject))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "token_other_visitor",
                           "this token is for another visitor");
    double until = json_number_value(expires);
    *ret_expires = until < (double)INT64_MAX ? (int64_t)until : INT64_MAX;
    return true;
}

static bool check_token(const struct secrets *keys, const char *token, const struct token_use *use,
                        int64_t *ret_expires, struct problem *problem)
{
    jwt_t *jwt = verify(keys, token);

    if (!jwt)
        return refuse_token(problem);
    json_t *claims = claims_of(jwt);
    bool good = claims ? check_claims(claims, use, ret_expires, problem) : refuse_token(problem);
    json_decref(claims);
    jwt_free(jwt);
    return good;
}

/* Return what follows "Bearer" in Authorization, or NULL. */
static const char *bearer(const struct http_request *request)
{
    const char *value = http_request_header(request, "Authorization");

    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    return value + 7 + strspn(value + 7, " ");
}

bool request_has_api_key(const struct web *web, const struct http_request *request)
{
    const char *key = bearer(request);

    return key && secrets_have(&web->api_keys, key);
}

bool request_may_read(const struct web *web, const struct http_request *request,
                      struct problem *problem)
{
    if (web->api_keys.count == 0 || request_has_api_key(web, request))
        return true;
    return bearer(request) ? problem_set(problem, MHD_HTTP_UNAUTHORIZED, "key_invalid",
                                         "this API key is not one of this server's")
                           : problem_set(problem, MHD_HTTP_UNAUTHORIZED, "key_missing",
                                         "send an API key, as in Authorization: Bearer KEY");
}

bool request_may_use(const struct web *web, const struct http_request *request, const char *token,
                     const struct token_use *use, int64_t *ret_expires, struct problem *problem)
{
    *ret_expires = INT64_MAX;
    if (web->jwt_keys.count == 0)
        return true;
    if (!token || !*token)
        token = bearer(request);
    if (!token)
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_missing",
                           "send a token for this place, as token or in Authorization: Bearer");
    return check_token(&web->jwt_keys, token, use, ret_expires, problem);
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
           request_parse_window(request, &ret->window_s, problem) &&
           check_tokens(web, request, ret, problem);
}
