#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_reply.h"

/* Only ASCII: nothing that a terminal or a page would act on stands in the text. */
#define JSON_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII)

bool problem_set(struct problem *ret, unsigned status, const char *code, const char *message, ...)
{
    va_list arguments;

    *ret = (struct problem){.status = status, .code = code};
    va_start(arguments, message);
    vsnprintf(ret->message, sizeof(ret->message), message, arguments);
    va_end(arguments);
    return false;
}

static void allow_other_sites(const struct web *web, const struct http_request *request,
                              struct MHD_Response *response)
{
    const char *origin = http_request_header(request, "Origin");

    if (web->options.origins.count == 0) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
        return;
    }
    MHD_add_response_header(response, "Vary", "Origin");
    if (origin && options_allow(&web->options.origins, origin))
        MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
}

enum MHD_Result reply(const struct web *web, struct http_request *request, unsigned status,
                      struct MHD_Response *response)
{
    if (response)
        allow_other_sites(web, request, response);
    return http_reply(request, status, response);
}

static struct MHD_Response *json_response(json_t *object)
{
    char *text = json_dumps(object, JSON_FLAGS);
    struct MHD_Response *response = NULL;

    json_decref(object);
    if (text)
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return NULL;
    }
    MHD_add_response_header(response, "Content-Type", "application/json; charset=utf-8");
    return response;
}

enum MHD_Result reply_json(const struct web *web, struct http_request *request, json_t *object)
{
    return reply(web, request, MHD_HTTP_OK, json_response(object));
}

enum MHD_Result reply_problem(const struct web *web, struct http_request *request,
                              const struct problem *problem)
{
    struct MHD_Response *response =
        json_response(json_pack("{ssss}", "error", problem->code, "message", problem->message));
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
    return reply(web, request, problem->status, response);
}

enum MHD_Result reply_preflight(const struct web *web, struct http_request *request,
                                const char *methods)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Allow", methods);
    MHD_add_response_header(response, "Access-Control-Allow-Methods", methods);
    MHD_add_response_header(response, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, Last-Event-ID");
    MHD_add_response_header(response, "Access-Control-Max-Age", "86400");
    return reply(web, request, MHD_HTTP_NO_CONTENT, response);
}
