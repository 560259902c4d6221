/* request_fake.h - a request without a connection: libmicrohttpd's functions that look up what a
 * client has sent are replaced by the linker (meson.build). */
#ifndef PRESENCE_FUZZ_REQUEST_FAKE_H
#define PRESENCE_FUZZ_REQUEST_FAKE_H

#include <http/http_server.h>

#include "fuzz.h"

/* Add a header or a parameter, which are copied. Returns false if there is no room. */
bool request_fake_add(enum MHD_ValueKind kind, const char *name, const char *value);

/* Forget all of them. */
void request_fake_clear(void);

/* Set the numeric address that the client has connected from. */
void request_fake_from(const char *address);

/* Return the request. */
struct http_request *request_fake(void);

#endif
