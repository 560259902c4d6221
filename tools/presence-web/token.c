#include "token.h"

#include <errno.h>
#include <jwt.h>
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

/* A claim in Unix seconds. 0, -ENOENT: it is not there, -EINVAL: it is no whole number. */
static int time_claim(jwt_t *jwt, const char *name, int64_t *ret)
{
    errno = 0;
    long value = jwt_get_grant_int(jwt, name);
    if (errno)
        return -errno;
    *ret = value;
    return 0;
}

/* Claims that are no text allow nothing. */
static bool allows_place(jwt_t *jwt, const struct token_use *use)
{
    const char *site = jwt_get_grant(jwt, "site");

    if (!site || strcasecmp(site, use->place->site) != 0)
        return false;
    errno = 0;
    const char *room = jwt_get_grant(jwt, "room");
    if (!room)
        return errno == ENOENT;
    return use->leaves_site || strcmp(room, use->place->room) == 0;
}

static bool allows_visitor(jwt_t *jwt, const struct token_use *use)
{
    errno = 0;
    const char *subject = jwt_get_grant(jwt, "sub");
    if (!subject)
        return errno == ENOENT;
    return !use->visitor || strcmp(subject, use->visitor) == 0;
}

static enum token_verdict judge(jwt_t *jwt, const struct token_use *use, int64_t now,
                                int64_t *ret_expires)
{
    int64_t expires = 0, begins = 0;
    int r = time_claim(jwt, "nbf", &begins);

    if (time_claim(jwt, "exp", &expires) < 0 || (r < 0 && r != -ENOENT))
        return TOKEN_INVALID;
    if (now >= expires)
        return TOKEN_EXPIRED;
    if (now < begins)
        return TOKEN_EARLY;
    if (!allows_place(jwt, use))
        return TOKEN_OTHER_PLACE;
    if (!allows_visitor(jwt, use))
        return TOKEN_OTHER_VISITOR;
    *ret_expires = expires;
    return TOKEN_GOOD;
}

enum token_verdict token_judge(const struct secrets *keys, const char *token,
                               const struct token_use *use, int64_t now, int64_t *ret_expires)
{
    jwt_t *jwt = verify(keys, token);

    if (!jwt)
        return TOKEN_INVALID;
    enum token_verdict verdict = judge(jwt, use, now, ret_expires);
    jwt_free(jwt);
    return verdict;
}
