/* http_framing.h - refuse requests whose end another server in front might see elsewhere.
 *
 * Where a proxy and this server disagree about the end of a request, a stranger's bytes become the
 * next client's request (request smuggling). RFC 9112 says what a server has to refuse for that
 * reason, and libmicrohttpd does not refuse all of it. Any thread.
 */
#ifndef PRESENCE_HTTP_FRAMING_H
#define PRESENCE_HTTP_FRAMING_H

#include <stdbool.h>

#include "http_server.h"

/* True if the headers of a request are as RFC 9112 requires: one Host, at most one Content-Length,
 * not beside Transfer-Encoding, which is `chunked` alone and not in HTTP/1.0; no blank before a
 * colon, no folded line, no control character. Sets `request->closes` if nothing may be read behind
 * the request: it is refused, or its body is in chunks. */
bool http_framing_judge(struct http_request *request, const char *version);

#endif
