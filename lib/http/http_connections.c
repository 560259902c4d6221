#include "http_connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"

#define STREAM_TIMEOUT_MS (120 * 1000)
#define KEEPALIVE_IDLE_S  60

enum phase {
    FREE,
    WAITING,   /* for a request, or for the rest of one */
    ANSWERING, /* a request is complete */
    STREAMING,
    ENDED, /* by us; the library has yet to find out */
};

struct http_connection {
    enum phase phase;
    int socket;
    uint8_t network[16];
    int64_t since_ns; /* when the phase began */
};

struct http_connections {
    pthread_mutex_t mutex;
    unsigned limit, limit_per_address;
    int64_t patience_ns, pressure_ns;
    unsigned capacity;
    struct http_connection all[];
};

/* What counts as one client: an IPv4 address, or the /64 that an IPv6 host is in. */
static void read_network(const struct sockaddr *address, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        memcpy(ret + 12, &v4->sin_addr, 4);
        memset(ret + 10, 0xff, 2); /* as it would be mapped into IPv6 */
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(ret, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8);
    }
}

struct http_connections *http_connections_new(unsigned limit, unsigned limit_per_address,
                                              unsigned patience_s, unsigned pressure_ms)
{
    unsigned capacity = limit + HTTP_CONNECTIONS_SLACK;
    struct http_connections *connections =
        calloc(1, sizeof(*connections) + capacity * sizeof(connections->all[0]));

    if (!connections)
        return NULL;
    pthread_mutex_init(&connections->mutex, NULL);
    connections->limit = limit;
    connections->limit_per_address = limit_per_address ? limit_per_address : limit;
    connections->patience_ns = patience_s * NS_PER_S;
    connections->pressure_ns = pressure_ms * NS_PER_MS;
    connections->capacity = capacity;
    return connections;
}

void http_connections_free(struct http_connections *connections)
{
    if (!connections)
        return;
    pthread_mutex_destroy(&connections->mutex);
    free(connections);
}

/* The library finds the end of its input, or that it can't write, and closes the connection. */
static void end(struct http_connection *connection)
{
    shutdown(connection->socket, SHUT_RDWR);
    connection->phase = ENDED;
}

static bool is_from(const struct http_connection *connection, const uint8_t *network)
{
    return !network || memcmp(connection->network, network, 16) == 0;
}

static unsigned count(const struct http_connections *connections, const uint8_t *network)
{
    unsigned found = 0;

    for (unsigned i = 0; i < connections->capacity; i++) {
        const struct http_connection *connection = &connections->all[i];
        found +=
            connection->phase != FREE && connection->phase != ENDED && is_from(connection, network);
    }
    return found;
}

static struct http_connection *find_oldest(struct http_connections *connections, enum phase phase,
                                           const uint8_t *network)
{
    struct http_connection *oldest = NULL;

    for (unsigned i = 0; i < connections->capacity; i++) {
        struct http_connection *connection = &connections->all[i];
        if (connection->phase == phase && is_from(connection, network) &&
            (!oldest || connection->since_ns < oldest->since_ns))
            oldest = connection;
    }
    return oldest;
}

/* Let one of this network's connections (NULL: of all) make room, if there are so many. */
static bool make_room(struct http_connections *connections, const uint8_t *network, unsigned limit)
{
    if (count(connections, network) < limit)
        return true;
    struct http_connection *victim = find_oldest(connections, WAITING, network);
    if (!victim) {
        victim = find_oldest(connections, ANSWERING, network);
        if (!victim || monotonic_ns() - victim->since_ns < connections->pressure_ns)
            return false;
    }
    end(victim);
    return true;
}

/* NULL: there is none, or nobody who could make room. */
static struct http_connection *find_room(struct http_connections *connections,
                                         const uint8_t *network)
{
    for (unsigned i = 0; i < connections->capacity; i++) {
        if (connections->all[i].phase == FREE)
            return make_room(connections, network, connections->limit_per_address) &&
                           make_room(connections, NULL, connections->limit)
                       ? &connections->all[i]
                       : NULL;
    }
    return NULL;
}

bool http_connections_admit(struct http_connections *connections, const struct sockaddr *address)
{
    uint8_t network[16];

    read_network(address, network);
    pthread_mutex_lock(&connections->mutex);
    bool admitted = find_room(connections, network) != NULL;
    pthread_mutex_unlock(&connections->mutex);
    return admitted;
}

struct http_connection *http_connections_begin(struct http_connections *connections, int socket,
                                               const struct sockaddr *address)
{
    uint8_t network[16];

    read_network(address, network);
    pthread_mutex_lock(&connections->mutex);
    /* The room that it was admitted to may be taken: by what another thread admitted as well. */
    struct http_connection *begun = find_room(connections, network);
    if (begun) {
        *begun = (struct http_connection){WAITING, socket, {0}, monotonic_ns()};
        memcpy(begun->network, network, sizeof(network));
    } else {
        shutdown(socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&connections->mutex);
    return begun;
}

void http_connections_end(struct http_connections *connections, struct http_connection *connection)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connections->mutex);
    connection->phase = FREE;
    pthread_mutex_unlock(&connections->mutex);
}

static void enter(struct http_connections *connections, struct http_connection *connection,
                  enum phase phase)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connections->mutex);
    if (connection->phase != ENDED) {
        connection->phase = phase;
        connection->since_ns = monotonic_ns();
    }
    pthread_mutex_unlock(&connections->mutex);
}

void http_connections_asked(struct http_connections *connections,
                            struct http_connection *connection)
{
    enter(connections, connection, ANSWERING);
}

void http_connections_answered(struct http_connections *connections,
                               struct http_connection *connection)
{
    enter(connections, connection, WAITING);
}

void http_connections_streams(struct http_connections *connections,
                              struct http_connection *connection)
{
    const int on = 1, idle_s = KEEPALIVE_IDLE_S;
    const unsigned timeout_ms = STREAM_TIMEOUT_MS;

    if (!connection)
        return;
    setsockopt(connection->socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    enter(connections, connection, STREAMING);
}

void http_connections_sweep(struct http_connections *connections)
{
    pthread_mutex_lock(&connections->mutex);
    int64_t now = monotonic_ns();
    for (unsigned i = 0; i < connections->capacity; i++) {
        struct http_connection *connection = &connections->all[i];
        if ((connection->phase == WAITING || connection->phase == ANSWERING) &&
            now - connection->since_ns > connections->patience_ns)
            end(connection);
    }
    pthread_mutex_unlock(&connections->mutex);
}

unsigned http_connections_count(struct http_connections *connections)
{
    pthread_mutex_lock(&connections->mutex);
    unsigned found = count(connections, NULL);
    pthread_mutex_unlock(&connections->mutex);
    return found;
}
