#include "access.h"

#include <string.h>
#include <time.h>

/* What stands behind "Bearer"; NULL: nothing does. */
static const char *bearer(const struct http_request *request)
{
    const char *value = http_request_header(request, "Authorization");

    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    return value + 7 + strspn(value + 7, " ");
}

bool access_has_key(const struct web *web, const struct http_request *request)
{
    const char *key = bearer(request);

    return key && secrets_have(&web->api_keys, key);
}

bool access_may_read(const struct web *web, const struct http_request *request,
                     struct problem *problem)
{
    if (web->api_keys.count == 0 || access_has_key(web, request))
        return true;
    return bearer(request) ? problem_set(problem, MHD_HTTP_UNAUTHORIZED, "key_invalid",
                                         "this API key is not one of this server's")
                           : problem_set(problem, MHD_HTTP_UNAUTHORIZED, "key_missing",
                                         "send an API key, as in Authorization: Bearer KEY");
}

bool access_may_use(const struct web *web, const struct http_request *request, const char *token,
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
    switch (token_judge(&web->jwt_keys, token, use, time(NULL), ret_expires)) {
    case TOKEN_GOOD:
        return true;
    case TOKEN_EXPIRED:
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_expired", "get a new token");
    case TOKEN_OTHER_PLACE:
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "token_other_place",
                           "this token is for another site or room");
    case TOKEN_OTHER_VISITOR:
        return problem_set(problem, MHD_HTTP_FORBIDDEN, "token_other_visitor",
                           "this token is for another visitor");
    case TOKEN_EARLY:
    case TOKEN_INVALID:
        break;
    }
    return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_invalid",
                       "this token is not valid: an HS256 JWT with site and exp is");
}
