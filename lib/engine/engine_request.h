/* engine_request.h - commands for Redis or Valkey, ready to be sent in one piece. One thread at a
 * time.
 *
 * Running out of memory is remembered, and found out once, by engine_link_call: no caller checks
 * each argument. */
#ifndef PRESENCE_ENGINE_REQUEST_H
#define PRESENCE_ENGINE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Commands. Zeroed, it has none. */
struct engine_request {
    char *bytes; /* in the engine's protocol, RESP2 */
    size_t length, capacity;
    size_t commands; /* and so many replies */
    bool failed;     /* out of memory */
    /* It depends on a WATCH of the call before: without that connection the call fails. */
    bool same_connection;
};

/* Begin a command of so many arguments, its name included; exactly so many must follow. */
void engine_request_begin(struct engine_request *request, size_t arguments);

/* Add an argument: bytes, a string, an integer. */
void engine_request_bytes(struct engine_request *request, const void *bytes, size_t length);
void engine_request_text(struct engine_request *request, const char *text);
void engine_request_integer(struct engine_request *request, int64_t value);

/* Add a command of strings alone; ends with NULL. */
void engine_request_add(struct engine_request *request, ...) __attribute__((sentinel));

/* Remove all commands, and clear `same_connection`, but keep the memory; and free that. */
void engine_request_clear(struct engine_request *request);
void engine_request_free(struct engine_request *request);

#endif
