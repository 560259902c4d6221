/* http_handshake.h - judge a request to go on as a WebSocket (RFC 6455, 4.2). Any thread. */
#ifndef PRESENCE_HTTP_HANDSHAKE_H
#define PRESENCE_HTTP_HANDSHAKE_H

#include "http_server.h"

#define HTTP_HANDSHAKE_ANSWER_SIZE 29 /* 20 bytes in base64, and a zero */

/* Write the value of Sec-WebSocket-Accept, and return 0; or the status to refuse the request with,
 * 400, 426 or 501, and why in `*ret_problem`, which is static. */
unsigned http_handshake_answer(const struct http_request *request,
                               char ret[HTTP_HANDSHAKE_ANSWER_SIZE], const char **ret_problem);

/* Answer with such a status. */
enum MHD_Result http_handshake_refuse(struct http_request *request, unsigned status,
                                      const char *problem);

#endif
