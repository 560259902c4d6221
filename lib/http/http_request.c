/* http_request.c - read a request's headers, parameters and cookies. */
#include <string.h>

#include "http_server.h"

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct header_list {
    const char *name;
    char *text;
    size_t used, size;
    bool found;
};

static enum MHD_Result append_header(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct header_list *list = context;
    size_t length = value ? strlen(value) : 0;

    (void)kind;
    if (strcasecmp(name, list->name) != 0)
        return MHD_YES;
    list->found = true;
    if (length && list->used + length + sizeof(",") <= list->size) {
        if (list->used)
            list->text[list->used++] = ',';
        memcpy(list->text + list->used, value, length + 1);
        list->used += length;
    }
    return MHD_YES;
}

const char *http_request_header_list(const struct http_request *request, const char *name,
                                     char *ret, size_t size)
{
    struct header_list list = {.name = name, .text = ret, .size = size};

    *ret = '\0';
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, append_header, &list);
    return list.found ? ret : NULL;
}

static const char *text_of(const char *value, size_t length)
{
    return value && strlen(value) != length ? HTTP_NO_TEXT : value;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    const char *value;
    size_t length;

    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name,
                                      strlen(name), &value, &length) != MHD_YES)
        return NULL;
    return text_of(value, length);
}

struct repeated {
    const char *name, **values;
    size_t count, capacity;
};

static enum MHD_Result collect_value(void *context, enum MHD_ValueKind kind, const char *name,
                                     size_t name_length, const char *value, size_t length)
{
    struct repeated *repeated = context;

    (void)kind;
    (void)name_length;
    if (strcasecmp(name, repeated->name) != 0)
        return MHD_YES;
    if (repeated->count < repeated->capacity)
        repeated->values[repeated->count] = value ? text_of(value, length) : "";
    repeated->count++;
    return MHD_YES;
}

size_t http_request_query_all(const struct http_request *request, const char *name,
                              const char **ret, size_t capacity)
{
    struct repeated repeated = {.name = name, .values = ret, .capacity = capacity};

    MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, collect_value,
                                &repeated);
    return repeated.count;
}

/* ---- cookies ----------------------------------------------------------------------------- */

struct wanted_cookie {
    const char *name;
    char *value;
    size_t size;
    bool found;
};

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Find the value of a pair, NAME=VALUE, that ends at `end`. NULL: it has another name. */
static const char *value_of(const char *pair, const char *end, const char *name)
{
    const char *after = pair + strlen(name);

    if (strncmp(pair, name, strlen(name)) != 0)
        return NULL;
    after = skip_blanks(after);
    return after < end && *after == '=' ? skip_blanks(after + 1) : NULL;
}

static void copy_value(const char *value, const char *end, struct wanted_cookie *wanted)
{
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t length = end > value ? (size_t)(end - value) : 0;
    if (length >= wanted->size)
        length = wanted->size - 1;
    memcpy(wanted->value, value, length);
    wanted->value[length] = '\0';
}

/* Search one Cookie header; a proxy may have split one into several. */
static enum MHD_Result find_cookie(void *context, enum MHD_ValueKind kind, const char *header,
                                   const char *pairs)
{
    struct wanted_cookie *wanted = context;

    (void)kind;
    if (!pairs || strcasecmp(header, "Cookie") != 0)
        return MHD_YES;
    while (*pairs && !wanted->found) {
        const char *pair = skip_blanks(pairs), *end = pair + strcspn(pair, ";");
        const char *value = value_of(pair, end, wanted->name);
        if (value)
            copy_value(value, end, wanted);
        wanted->found = value != NULL;
        pairs = *end ? end + 1 : end;
    }
    return wanted->found ? MHD_NO : MHD_YES;
}

bool http_request_cookie(const struct http_request *request, const char *name, char *ret,
                         size_t size)
{
    struct wanted_cookie wanted = {.name = name, .value = ret, .size = size};

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, find_cookie, &wanted);
    return wanted.found;
}
