/* request_access.c - check keys and tokens: whether a request may read, or use a place. */
#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "request.h"

#define TOKEN_LEEWAY_S 30 /* by which the issuer's clock may differ */

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

/* True if the token demands no extension (`crit`; RFC 7515, 4.1.11): none is understood here. */
static bool is_plain(jwt_t *jwt)
{
    char *text = jwt_get_headers_json(jwt, NULL);
    json_t *header = text ? json_loads(text, 0, NULL) : NULL;
    bool plain = header && !json_object_get(header, "crit");

    json_decref(header);
    free(text);
    return plain;
}

/* True if the claim `sub` allows the visitor: it is their id, as a text or a whole number, or
 * absent. A claim of another type allows nothing. */
static bool allows_visitor(const json_t *subject, const struct token_use *use)
{
    const char *text = json_string_value(subject);
    char number[32];

    if (json_is_integer(subject)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(subject));
        text = number;
    }
    if (subject && (!text || (use->visitor && strcmp(text, use->visitor) != 0)))
        return false;
    if (use->ret_subject)
        strcpy(use->ret_subject, text && strlen(text) <= PLACE_ID_MAX ? text : "");
    return true;
}

static bool allows_site(const struct web *web, const json_t *claim, const struct token_use *use)
{
    const char *site = json_string_value(claim);
    struct place place;

    if (!claim)
        return use->any_place;
    return site && request_find_site(web, site, place.site) &&
           strcmp(place.site, use->place->site) == 0;
}

static bool allows_place(const struct web *web, const json_t *claims, const struct token_use *use)
{
    const json_t *room = json_object_get(claims, "room");
    struct place place = {0};

    if (!allows_site(web, json_object_get(claims, "site"), use))
        return false;
    if (!room || (use->leaves_site && json_is_string(room)))
        return true;
    const char *name = json_string_value(room);
    if (name && *name && !place_parse_room(name, place.room))
        return false;
    return name && strcmp(place.room, use->place->room) == 0;
}

#define INVALID "invalid token: it must be a JWT signed with HS256, "

static bool refuse_token(const struct token_use *use, struct problem *problem)
{
    return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_invalid",
                       use->any_place ? INVALID "with sub and exp, and without crit"
                                      : INVALID "with site and exp, and without crit");
}

static bool is_time_or_absent(const json_t *claim)
{
    return !claim || json_is_number(claim);
}

/* True if a time, if there is one, is still to come. */
static bool is_ahead(const json_t *claim, double now)
{
    return claim && now + TOKEN_LEEWAY_S < json_number_value(claim);
}

static bool check_claims(const struct web *web, const json_t *claims, const struct token_use *use,
                         int64_t *ret_expires, struct problem *problem)
{
    const json_t *expires = json_object_get(claims, "exp");
    double now = (double)time(NULL), until = json_number_value(expires) + TOKEN_LEEWAY_S;

    if (!json_is_number(expires) || !is_time_or_absent(json_object_get(claims, "nbf")) ||
        !is_time_or_absent(json_object_get(claims, "iat")))
        return refuse_token(use, problem);
    if (now >= until)
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_expired",
                           "this token has expired: get a new one");
    if (is_ahead(json_object_get(claims, "nbf"), now) ||
        is_ahead(json_object_get(claims, "iat"), now))
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_invalid",
                           "this token is not valid yet: compare the clocks");
    if (!allows_place(web, claims, use))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "token_other_place",
                           "this token is for another site or room");
    if (!allows_visitor(json_object_get(claims, "sub"), use))
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "token_other_visitor",
                           "this token is for another visitor");
    if (now < json_number_value(expires)) /* in time: a stream ends without leeway */
        until = json_number_value(expires);
    *ret_expires = until < (double)INT64_MAX ? (int64_t)until : INT64_MAX;
    return true;
}

static bool check_token(const struct web *web, const char *token, const struct token_use *use,
                        int64_t *ret_expires, struct problem *problem)
{
    jwt_t *jwt = verify(&web->jwt_keys, token);

    if (!jwt)
        return refuse_token(use, problem);
    json_t *claims = is_plain(jwt) ? claims_of(jwt) : NULL;
    bool good =
        claims ? check_claims(web, claims, use, ret_expires, problem) : refuse_token(use, problem);
    json_decref(claims);
    jwt_free(jwt);
    return good;
}

const char *request_bearer(const struct http_request *request)
{
    const char *value = http_request_header(request, "Authorization");

    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    return value + 7 + strspn(value + 7, " ");
}

/* The API keys that a request has, where clients put them; NULL: not there. */
struct sent_keys {
    const char *all[3];
};

#define SENT_KEYS (sizeof(((struct sent_keys *)0)->all) / sizeof(const char *))

static struct sent_keys find_keys(const struct http_request *request)
{
    return (struct sent_keys){{
        request_bearer(request), http_request_header(request, "x-umami-api-key"),
        http_request_query(request, "api_key"), /* Rybbit's */
    }};
}

bool request_has_api_key(const struct web *web, const struct http_request *request)
{
    struct sent_keys keys = find_keys(request);
    bool found = false;

    for (size_t i = 0; i < SENT_KEYS; i++)
        found |= keys.all[i] && secrets_have(&web->api_keys, keys.all[i]);
    return found;
}

bool request_may_read(const struct web *web, const struct http_request *request,
                      struct problem *problem)
{
    if (web->api_keys.count == 0 || request_has_api_key(web, request))
        return true;
    struct sent_keys keys = find_keys(request);
    return keys.all[0] || keys.all[1] || keys.all[2]
               ? problem_set(problem, MHD_HTTP_UNAUTHORIZED, "key_invalid",
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
        token = request_bearer(request);
    if (!token)
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_missing",
                           "send a token for this place, as token or in Authorization: Bearer");
    return check_token(web, token, use, ret_expires, problem);
}
