#include "http_reply.h"

#include <stdio.h>
#include <stdlib.h>

static void add_missing(struct MHD_Response *response, const char *name, const char *value)
{
    if (!MHD_get_response_header(response, name))
        MHD_add_response_header(response, name, value);
}

enum MHD_Result http_reply(struct http_request *request, unsigned status,
                           struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    http_request_add_headers(request, response);
    add_missing(response, "Content-Security-Policy",
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    add_missing(response, "X-Content-Type-Options", "nosniff");
    add_missing(response, "Referrer-Policy", "no-referrer");
    add_missing(response, "Cache-Control", "no-store");
    if (request->closes)
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result reply_typed(struct http_request *request, unsigned status, const char *type,
                                   struct MHD_Response *response)
{
    if (response)
        MHD_add_response_header(response, "Content-Type", type);
    return http_reply(request, status, response);
}

enum MHD_Result http_reply_owned(struct http_request *request, unsigned status, const char *type,
                                 char *body, size_t length)
{
    if (!body)
        return MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE);

    if (!response)
        free(body);
    return reply_typed(request, status, type, response);
}

enum MHD_Result http_reply_static(struct http_request *request, unsigned status, const char *type,
                                  const char *body, size_t length)
{
    return reply_typed(
        request, status, type,
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_PERSISTENT));
}

enum MHD_Result http_reply_line(struct http_request *request, unsigned status, const char *line)
{
    char *body;
    int length = asprintf(&body, "%s\n", line);

    return http_reply_owned(request, status, "text/plain; charset=utf-8", length < 0 ? NULL : body,
                            length < 0 ? 0 : (size_t)length);
}
