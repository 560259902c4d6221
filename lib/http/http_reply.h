/* http_reply.h - send answers, with headers that restrict what a browser does with them. */
#ifndef PRESENCE_HTTP_REPLY_H
#define PRESENCE_HTTP_REPLY_H

#include "http_server.h"

/* Queue a response and release it (a caller that sends one response to several requests keeps a
 * reference of its own). Adds the server's headers, and these where they are missing: a
 * Content-Security-Policy that allows nothing; X-Content-Type-Options; Referrer-Policy;
 * Cache-Control: no-store. A `response` of NULL, out of memory, closes the connection. */
enum MHD_Result http_reply(struct http_request *request, unsigned status,
                           struct MHD_Response *response);

/* Answer with a body of that type, which malloc has allocated and which is freed in any case. A
 * `body` of NULL, out of memory, closes the connection. */
enum MHD_Result http_reply_owned(struct http_request *request, unsigned status, const char *type,
                                 char *body, size_t length);

/* Answer with a body that outlives the server. */
enum MHD_Result http_reply_static(struct http_request *request, unsigned status, const char *type,
                                  const char *body, size_t length);

/* Answer with one line of plain text, which is copied. */
enum MHD_Result http_reply_line(struct http_request *request, unsigned status, const char *line);

#endif
