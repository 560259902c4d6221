#include "engine_request.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096
#define HEADER_SIZE    24 /* '*' or '$', a number, CR and LF */

/* Get room for `length` more bytes, or NULL if there is no memory. */
static char *reserve(struct engine_request *request, size_t length)
{
    size_t needed = request->length + length;
    size_t capacity = request->capacity ? request->capacity : FIRST_CAPACITY;

    if (request->failed)
        return NULL;
    while (capacity < needed)
        capacity *= 2;
    if (capacity != request->capacity) {
        char *bytes = realloc(request->bytes, capacity);
        request->failed = !bytes;
        if (!bytes)
            return NULL;
        request->bytes = bytes;
        request->capacity = capacity;
    }
    return request->bytes + request->length;
}

static void add_header(struct engine_request *request, char type, size_t value)
{
    char *to = reserve(request, HEADER_SIZE);

    if (to)
        request->length += (size_t)snprintf(to, HEADER_SIZE, "%c%zu\r\n", type, value);
}

void engine_request_begin(struct engine_request *request, size_t arguments)
{
    add_header(request, '*', arguments);
    request->commands++;
}

void engine_request_bytes(struct engine_request *request, const void *bytes, size_t length)
{
    add_header(request, '$', length);
    char *to = reserve(request, length + 2);
    if (!to)
        return;
    memcpy(to, bytes, length);
    memcpy(to + length, "\r\n", 2);
    request->length += length + 2;
}

void engine_request_text(struct engine_request *request, const char *text)
{
    engine_request_bytes(request, text, strlen(text));
}

void engine_request_integer(struct engine_request *request, int64_t value)
{
    char text[24];

    engine_request_bytes(request, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, value));
}

void engine_request_add(struct engine_request *request, ...)
{
    va_list arguments, counted;
    size_t count = 0;

    va_start(arguments, request);
    va_copy(counted, arguments);
    while (va_arg(counted, const char *))
        count++;
    va_end(counted);
    engine_request_begin(request, count);
    while (count-- > 0)
        engine_request_text(request, va_arg(arguments, const char *));
    va_end(arguments);
}

void engine_request_clear(struct engine_request *request)
{
    request->length = request->commands = 0;
    request->failed = request->same_connection = false;
}

void engine_request_free(struct engine_request *request)
{
    free(request->bytes);
    *request = (struct engine_request){0};
}
