#include "response.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_whole.h"
#include "common/time_text.h"
#include "http/http_reply.h"

/* Escape all but ASCII, so that no terminal or page acts on what a name contains. */
#define JSON_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY)

bool problem_set(struct problem *ret, unsigned status, const char *code, const char *message, ...)
{
    va_list arguments;

    *ret = (struct problem){.status = status, .code = code};
    va_start(arguments, message);
    vsnprintf(ret->message, sizeof(ret->message), message, arguments);
    va_end(arguments);
    return false;
}

/* Let pages of this origin, or of any ("*"), read the response, also those that embed only what
 * allows it (COEP): a leave is sent without CORS. */
static void share(struct MHD_Response *response, const char *origin)
{
    MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    if (!MHD_get_response_header(response, "Cross-Origin-Resource-Policy"))
        MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "cross-origin");
}

static void allow_other_sites(const struct web *web, const struct http_request *request,
                              struct MHD_Response *response)
{
    const char *origin = http_request_header(request, "Origin");

    if (web->options.origins.count == 0) {
        share(response, "*");
        return;
    }
    MHD_add_response_header(response, "Vary", "Origin");
    if (origin && options_allow(&web->options.origins, origin))
        share(response, origin);
}

enum MHD_Result respond(const struct web *web, struct http_request *request, unsigned status,
                        struct MHD_Response *response)
{
    if (response)
        allow_other_sites(web, request, response);
    return http_reply(request, status, response);
}

static struct MHD_Response *json_response(json_t *object)
{
    char *text = json_whole_text(object, JSON_FLAGS);
    struct MHD_Response *response = NULL;

    if (text)
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return NULL;
    }
    MHD_add_response_header(response, "Content-Type", "application/json; charset=utf-8");
    return response;
}

enum MHD_Result respond_json(const struct web *web, struct http_request *request, json_t *object)
{
    return respond(web, request, MHD_HTTP_OK, json_response(object));
}

enum MHD_Result respond_number(const struct web *web, struct http_request *request,
                               const struct number *number, json_t *object)
{
    struct MHD_Response *response = json_response(object);

    if (web->options.no_compat || number_is_fresh(number))
        return respond(web, request, MHD_HTTP_OK, response);
    if (response)
        MHD_add_response_header(response, "Retry-After", "5");
    return respond(web, request, MHD_HTTP_SERVICE_UNAVAILABLE, response);
}

enum MHD_Result respond_problem(const struct web *web, struct http_request *request,
                                const struct problem *problem)
{
    return respond_problem_as(
        web, request, problem,
        json_pack("{ssss}", "error", problem->code, "message", problem->message));
}

enum MHD_Result respond_problem_as(const struct web *web, struct http_request *request,
                                   const struct problem *problem, json_t *object)
{
    struct MHD_Response *response = json_response(object);
    char seconds[16];

    if (!response)
        return MHD_NO;
    if (problem->retry_s) {
        snprintf(seconds, sizeof(seconds), "%u", problem->retry_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    if (problem->allow)
        MHD_add_response_header(response, "Allow", problem->allow);
    if (problem->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"presence\"");
    return respond(web, request, problem->status, response);
}

enum MHD_Result respond_preflight(const struct web *web, struct http_request *request,
                                  const char *methods, const char *headers)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Allow", methods);
    MHD_add_response_header(response, "Access-Control-Allow-Methods", methods);
    MHD_add_response_header(
        response, "Access-Control-Allow-Headers",
        headers ? headers : "Authorization, Content-Type, Last-Event-ID, X-Umami-Api-Key");
    MHD_add_response_header(response, "Access-Control-Max-Age", "86400");
    return respond(web, request, MHD_HTTP_NO_CONTENT, response);
}

/* ---- numbers in JSON ------------------------------------------------------------------------ */

json_t *build_count(const struct number *number)
{
    return number->known ? json_of_number(number->count) : json_null();
}

void add_marks(json_t *object, const struct marks *marks)
{
    json_object_set_new(object, "stale", json_boolean(marks->stale));
    json_object_set_new(object, "warming", json_boolean(marks->warming));
    json_object_set_new(object, "partial", json_boolean(marks->partial));
    json_object_set_new(object, "as_of",
                        marks->has_time ? json_string(show_time(marks->as_of).text) : json_null());
}

void add_marks_of(json_t *object, const struct number *number)
{
    add_marks(object, &(struct marks){.stale = number->stale,
                                      .warming = number->warming,
                                      .partial = number->partial,
                                      .has_time = number->has_time,
                                      .as_of = number->as_of});
}

void add_number(json_t *object, const struct place *place, const struct number *number)
{
    json_object_set_new(object, "site", json_string(place->site));
    json_object_set_new(object, "room", place->room[0] ? json_string(place->room) : json_null());
    json_object_set_new(object, "window_s", json_integer(number->window_s));
    json_object_set_new(object, "last_heartbeat_s",
                        number->has_heartbeat ? json_integer((json_int_t)number->last_heartbeat_s)
                                              : json_null());
    add_marks_of(object, number);
}

json_t *build_place_count(const struct place *place, const struct number *number)
{
    json_t *object = json_object();

    json_object_set_new(object, "count", build_count(number));
    add_number(object, place, number);
    return object;
}
