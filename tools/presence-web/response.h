/* response.h - answer in JSON, also to pages of other sites (CORS). */
#ifndef PRESENCE_WEB_RESPONSE_H
#define PRESENCE_WEB_RESPONSE_H

#include <jansson.h>

#include "common/json_number.h"
#include "live.h"
#include "web.h"

/* The reason why a request is refused. */
struct problem {
    unsigned status;
    const char *code;
    char message[160];
    unsigned retry_s;  /* for Retry-After; 0: none */
    const char *allow; /* for Allow: methods; NULL: none */
};

/* Fill in a problem and return false. */
__attribute__((format(printf, 4, 5))) bool problem_set(struct problem *ret, unsigned status,
                                                       const char *code, const char *message, ...);

#define problem_bad_request(ret, ...) \
    problem_set(ret, MHD_HTTP_BAD_REQUEST, "bad_request", __VA_ARGS__)

/* Queue a response that any allowed origin may read, and release it. */
enum MHD_Result respond(const struct web *web, struct http_request *request, unsigned status,
                        struct MHD_Response *response);

/* Answer with a JSON value, and release it. */
enum MHD_Result respond_json(const struct web *web, struct http_request *request, json_t *object);

/* Answer with a JSON object that has a number and its marks, and release it. Clients of other
 * systems take any number for a fresh one: a stale or unknown one comes with 503, unless they are
 * not served (--no-compat). */
enum MHD_Result respond_number(const struct web *web, struct http_request *request,
                               const struct number *number, json_t *object);

enum MHD_Result respond_problem(const struct web *web, struct http_request *request,
                                const struct problem *problem);

/* Answer with a problem in the shape that another system's clients expect, `object`, and release
 * that. */
enum MHD_Result respond_problem_as(const struct web *web, struct http_request *request,
                                   const struct problem *problem, json_t *object);

/* Answer a CORS preflight. `methods` is as in Allow; `headers` are allowed, NULL: those that this
 * server uses. */
enum MHD_Result respond_preflight(const struct web *web, struct http_request *request,
                                  const char *methods, const char *headers);

/* ---- numbers in JSON ----------------------------------------------------------------------- */

/* Return the count, or null if it is unknown. */
json_t *build_count(const struct number *number);

/* Add what qualifies a count: the place, the window, and the marks. */
void add_number(json_t *object, const struct place *place, const struct number *number);

/* Return {"count": ...} with all that add_number() adds. */
json_t *build_place_count(const struct place *place, const struct number *number);

/* The marks of a number: how far it can be relied on. */
struct marks {
    bool stale, warming, partial;
    bool has_time; /* false: there is no segment */
    int64_t as_of; /* Unix seconds */
};

void add_marks(json_t *object, const struct marks *marks);
void add_marks_of(json_t *object, const struct number *number);

#endif
