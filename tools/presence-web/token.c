#include "token.h"

#include <jansson.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

/* A token that one of the keys has signed; NULL: there is none. */
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

/* The claims as an object; NULL: there are none. */
static json_t *claims_of(jwt_t *jwt)
{
    char *text = jwt_get_grants_json(jwt, NULL);
    json_t *claims = text ? json_loads(text, 0, NULL) : NULL;

    free(text);
    return claims;
}

/* Is it this text? One that is none allows nothing, one that is not there anything. */
static bool is_or_absent(const json_t *claim, const char *wanted)
{
    const char *text = json_string_value(claim);

    return !claim || (text && strcmp(text, wanted) == 0);
}

static bool allows_place(const json_t *claims, const struct token_use *use)
{
    const char *site = json_string_value(json_object_get(claims, "site"));
    const json_t *room = json_object_get(claims, "room");

    if (!site || strcasecmp(site, use->place->site) != 0)
        return false;
    return (use->leaves_site && json_is_string(room)) || is_or_absent(room, use->place->room);
}

static enum token_verdict judge(const json_t *claims, const struct token_use *use, int64_t now,
                                int64_t *ret_expires)
{
    const json_t *expires = json_object_get(claims, "exp"),
                 *begins = json_object_get(claims, "nbf");
    const json_t *subject = json_object_get(claims, "sub");

    if (!json_is_number(expires) || (begins && !json_is_number(begins)))
        return TOKEN_INVALID;
    if ((double)now >= json_number_value(expires))
        return TOKEN_EXPIRED;
    if (begins && (double)now < json_number_value(begins))
        return TOKEN_EARLY;
    if (!allows_place(claims, use))
        return TOKEN_OTHER_PLACE;
    if (use->visitor ? !is_or_absent(subject, use->visitor) : subject && !json_is_string(subject))
        return TOKEN_OTHER_VISITOR;
    double until = json_number_value(expires);
    *ret_expires = until < (double)INT64_MAX ? (int64_t)until : INT64_MAX;
    return TOKEN_GOOD;
}

enum token_verdict token_judge(const struct secrets *keys, const char *token,
                               const struct token_use *use, int64_t now, int64_t *ret_expires)
{
    jwt_t *jwt = verify(keys, token);

    if (!jwt)
        return TOKEN_INVALID;
    json_t *claims = claims_of(jwt);
    enum token_verdict verdict = claims ? judge(claims, use, now, ret_expires) : TOKEN_INVALID;
    json_decref(claims);
    jwt_free(jwt);
    return verdict;
}
