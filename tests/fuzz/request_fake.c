#include "request_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define VALUES_MAX 256

static struct value {
    enum MHD_ValueKind kind;
    char *name, *value;
} values[VALUES_MAX];

static unsigned count;
static struct sockaddr_storage peer;

bool request_fake_add(enum MHD_ValueKind kind, const char *name, const char *value)
{
    if (count == VALUES_MAX)
        return false;
    values[count++] = (struct value){kind, strdup(name), strdup(value)};
    return true;
}

void request_fake_clear(void)
{
    for (; count > 0; count--) {
        free(values[count - 1].name);
        free(values[count - 1].value);
    }
}

void request_fake_from(const char *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;

    memset(&peer, 0, sizeof(peer));
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        peer.ss_family = AF_INET;
    } else {
        fuzz_check(inet_pton(AF_INET6, address, &v6->sin6_addr) == 1);
        peer.ss_family = AF_INET6;
    }
}

struct http_request *request_fake(void)
{
    static struct http_request request;

    request = (struct http_request){.method = "GET", .path = "/", .body = ""};
    return &request;
}

/* ---- libmicrohttpd -------------------------------------------------------------------------- */

const char *__wrap_MHD_lookup_connection_value(struct MHD_Connection *connection,
                                               enum MHD_ValueKind kind, const char *name);
enum MHD_Result __wrap_MHD_lookup_connection_value_n(struct MHD_Connection *connection,
                                                     enum MHD_ValueKind kind, const char *name,
                                                     size_t name_length, const char **value,
                                                     size_t *length);
int __wrap_MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                     MHD_KeyValueIterator iterator, void *context);
int __wrap_MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                       MHD_KeyValueIteratorN iterator, void *context);
const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType what,
                                                               ...);

const char *__wrap_MHD_lookup_connection_value(struct MHD_Connection *connection,
                                               enum MHD_ValueKind kind, const char *name)
{
    (void)connection;
    for (unsigned i = 0; i < count; i++) {
        if (values[i].kind == kind && strcasecmp(values[i].name, name) == 0)
            return values[i].value;
    }
    return NULL;
}

enum MHD_Result __wrap_MHD_lookup_connection_value_n(struct MHD_Connection *connection,
                                                     enum MHD_ValueKind kind, const char *name,
                                                     size_t name_length, const char **value,
                                                     size_t *length)
{
    (void)name_length;
    *value = __wrap_MHD_lookup_connection_value(connection, kind, name);
    *length = *value ? strlen(*value) : 0;
    return *value ? MHD_YES : MHD_NO;
}

int __wrap_MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                     MHD_KeyValueIterator iterator, void *context)
{
    int called = 0;

    (void)connection;
    for (unsigned i = 0; i < count; i++) {
        if (values[i].kind != kind)
            continue;
        called++;
        if (iterator(context, kind, values[i].name, values[i].value) == MHD_NO)
            break;
    }
    return called;
}

int __wrap_MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                       MHD_KeyValueIteratorN iterator, void *context)
{
    int called = 0;

    (void)connection;
    for (unsigned i = 0; i < count; i++) {
        const struct value *value = &values[i];
        if (value->kind != kind)
            continue;
        called++;
        if (iterator(context, kind, value->name, strlen(value->name), value->value,
                     strlen(value->value)) == MHD_NO)
            break;
    }
    return called;
}

const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType what,
                                                               ...)
{
    static union MHD_ConnectionInfo info;

    (void)connection;
    fuzz_check(what == MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    info.client_addr = (struct sockaddr *)&peer;
    return &info;
}
