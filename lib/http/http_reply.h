/* http_reply.h - answers, with the headers that keep a browser from doing harm with them. */
#ifndef PRESENCE_HTTP_REPLY_H
#define PRESENCE_HTTP_REPLY_H

#include "http_server.h"

/* Queue a response and release it (one that is kept for several requests has a reference of its
 * own). Adds, where the response has none of its own: Content-Security-Policy, with which a page
 * may load, run and be framed by nothing; X-Content-Type-Options; Referrer-Policy; and
 * Cache-Control: no-store. NULL: no memory, the connection is closed. */
enum MHD_Result http_reply(struct http_request *request, unsigned status,
                           struct MHD_Response *response);

/* Answer with text of that type. `body` was made by malloc, and is taken over whatever happens;
 * NULL: no memory, the connection is closed. */
enum MHD_Result http_reply_owned(struct http_request *request, unsigned status, const char *type,
                                 char *body, size_t length);

/* Answer with a text that outlives the server. */
enum MHD_Result http_reply_static(struct http_request *request, unsigned status, const char *type,
                                  const char *body, size_t length);

/* Answer with one line of plain text: what is wrong. The line is copied. */
enum MHD_Result http_reply_line(struct http_request *request, unsigned status, const char *line);

#endif
