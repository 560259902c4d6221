/* access.h - who may ask: keys for reading, tokens for being counted and for streams. */
#ifndef PRESENCE_WEB_ACCESS_H
#define PRESENCE_WEB_ACCESS_H

#include "reply.h"
#include "token.h"

/* May this request read? True, or false with a problem. */
bool access_may_read(const struct web *web, const struct http_request *request,
                     struct problem *problem);

/* May it use a place? `token` is one that it carries elsewhere than in its headers, or NULL.
 * `ret_expires`: until when, in Unix seconds; INT64_MAX: for ever. */
bool access_may_use(const struct web *web, const struct http_request *request, const char *token,
                    const struct token_use *use, int64_t *ret_expires, struct problem *problem);

/* Is it an API key that the request carries? */
bool access_has_key(const struct web *web, const struct http_request *request);

#endif
