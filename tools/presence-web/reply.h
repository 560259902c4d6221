/* reply.h - answers in JSON, for pages of other sites too (CORS). */
#ifndef PRESENCE_WEB_REPLY_H
#define PRESENCE_WEB_REPLY_H

#include <jansson.h>

#include "web.h"

/* Why a request is refused. */
struct problem {
    unsigned status;
    const char *code;
    char message[160];
    unsigned retry_s;  /* 0: nothing is said about when */
    const char *allow; /* methods; NULL: nothing is said about them */
};

/* Note a problem; returns false. */
__attribute__((format(printf, 4, 5))) bool problem_set(struct problem *ret, unsigned status,
                                                       const char *code, const char *message, ...);

/* Queue a response of our own making and release it; other sites may read it. */
enum MHD_Result reply(const struct web *web, struct http_request *request, unsigned status,
                      struct MHD_Response *response);

/* Answer with an object, which is released. */
enum MHD_Result reply_json(const struct web *web, struct http_request *request, json_t *object);

enum MHD_Result reply_problem(const struct web *web, struct http_request *request,
                              const struct problem *problem);

/* Answer a preflight. `methods` as in Allow. */
enum MHD_Result reply_preflight(const struct web *web, struct http_request *request,
                                const char *methods);

#endif
