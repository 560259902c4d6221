#include "http_connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"
#include "common/networks.h"

#define STREAM_TIMEOUT_MS (120 * 1000)
#define KEEPALIVE_IDLE_S  60

enum phase {
    FREE,
    WAITING,   /* for a request, or for the rest of one */
    ANSWERING, /* a request is complete */
    STREAMING,
    TAKEN, /* it has another protocol now */
    ENDED, /* shut down by us; the library has not closed it yet */
};

struct http_connection {
    enum phase phase;
    int socket;
    unsigned holders; /* the library, and who has taken it over */
    struct host client;
    int64_t since_ns; /* start of the phase */
};

struct http_connections {
    pthread_mutex_t mutex;
    unsigned limit, limit_per_address;
    int64_t patience_ns, pressure_ns;
    unsigned capacity;
    unsigned open;  /* neither FREE nor ENDED */
    unsigned first; /* all places before it are in use */
    struct http_connection all[];
};

static struct host client_of(const struct sockaddr *address)
{
    struct host host = {0};

    host_of(address, &host);
    return host_client(&host);
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

/* Shut a connection down. The library then reads the end of the input, or fails to write, and
 * closes it. */
static void shut_down(struct http_connections *connections, struct http_connection *connection)
{
    shutdown(connection->socket, SHUT_RDWR);
    connection->phase = ENDED;
    connections->open--;
}

static bool is_from(const struct http_connection *connection, const struct host *client)
{
    return !client || memcmp(&connection->client, client, sizeof(*client)) == 0;
}

/* True if a client (NULL: all together) has as many connections as that. */
static bool is_full(const struct http_connections *connections, const struct host *client,
                    unsigned limit)
{
    unsigned found = 0;

    if (!client || connections->open < limit)
        return connections->open >= limit;
    for (unsigned i = 0; i < connections->capacity; i++) {
        const struct http_connection *connection = &connections->all[i];
        found +=
            connection->phase != FREE && connection->phase != ENDED && is_from(connection, client);
    }
    return found >= limit;
}

static struct http_connection *find_oldest(struct http_connections *connections, enum phase phase,
                                           const struct host *client)
{
    struct http_connection *oldest = NULL;

    for (unsigned i = 0; i < connections->capacity; i++) {
        struct http_connection *connection = &connections->all[i];
        if (connection->phase == phase && is_from(connection, client) &&
            (!oldest || connection->since_ns < oldest->since_ns))
            oldest = connection;
    }
    return oldest;
}

/* If this client (NULL: all) has `limit` connections, shut one down. False: none can be spared. */
static bool make_room(struct http_connections *connections, const struct host *client,
                      unsigned limit)
{
    if (!is_full(connections, client, limit))
        return true;
    struct http_connection *victim = find_oldest(connections, WAITING, client);
    if (!victim) {
        victim = find_oldest(connections, ANSWERING, client);
        if (!victim || monotonic_ns() - victim->since_ns < connections->pressure_ns)
            return false;
    }
    shut_down(connections, victim);
    return true;
}

/* Find a free place for a connection of this client. NULL: there is none, and none can be freed. */
static struct http_connection *find_room(struct http_connections *connections,
                                         const struct host *client)
{
    while (connections->first < connections->capacity &&
           connections->all[connections->first].phase != FREE)
        connections->first++;
    return connections->first < connections->capacity &&
                   make_room(connections, client, connections->limit_per_address) &&
                   make_room(connections, NULL, connections->limit)
               ? &connections->all[connections->first]
               : NULL;
}

bool http_connections_admit(struct http_connections *connections, const struct sockaddr *address)
{
    const struct host client = client_of(address);

    pthread_mutex_lock(&connections->mutex);
    bool admitted = find_room(connections, &client) != NULL;
    pthread_mutex_unlock(&connections->mutex);
    return admitted;
}

struct http_connection *http_connections_begin(struct http_connections *connections, int socket,
                                               const struct sockaddr *address)
{
    const struct host client = client_of(address);

    pthread_mutex_lock(&connections->mutex);
    /* Another thread may have used the place since http_connections_admit. */
    struct http_connection *added = find_room(connections, &client);
    if (added) {
        *added = (struct http_connection){WAITING, socket, 1, client, monotonic_ns()};
        connections->open++;
    } else {
        shutdown(socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&connections->mutex);
    return added;
}

/* Free the place of a connection that is over. */
static void free_place(struct http_connections *connections, struct http_connection *connection)
{
    unsigned place = (unsigned)(connection - connections->all);

    if (connection->phase != ENDED)
        connections->open--;
    connection->phase = FREE;
    if (place < connections->first)
        connections->first = place;
}

void http_connections_end(struct http_connections *connections, struct http_connection *connection)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connections->mutex);
    if (--connection->holders == 0)
        free_place(connections, connection);
    pthread_mutex_unlock(&connections->mutex);
}

static void enter(struct http_connections *connections, struct http_connection *connection,
                  enum phase phase)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connections->mutex);
    if (connection->phase != ENDED && connection->phase != TAKEN) {
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

/* Let the kernel end a connection whose client has vanished or accepts no data. */
static void keep_alive(int socket)
{
    const int on = 1, idle_s = KEEPALIVE_IDLE_S;
    const unsigned timeout_ms = STREAM_TIMEOUT_MS;

    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

void http_connections_streams(struct http_connections *connections,
                              struct http_connection *connection)
{
    if (!connection)
        return;
    keep_alive(connection->socket);
    enter(connections, connection, STREAMING);
}

void http_connections_take(struct http_connections *connections, struct http_connection *connection,
                           int socket)
{
    if (!connection)
        return;
    keep_alive(socket);
    enter(connections, connection, TAKEN);
    pthread_mutex_lock(&connections->mutex);
    connection->socket = socket;
    connection->holders++;
    pthread_mutex_unlock(&connections->mutex);
}

void http_connections_refuse(struct http_connections *connections,
                             struct http_connection *connection, const char *answer)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connections->mutex);
    if (connection->phase != ENDED) {
        send(connection->socket, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
        shut_down(connections, connection);
    }
    pthread_mutex_unlock(&connections->mutex);
}

void http_connections_sweep(struct http_connections *connections)
{
    pthread_mutex_lock(&connections->mutex);
    int64_t now = monotonic_ns();
    for (unsigned i = 0; i < connections->capacity; i++) {
        struct http_connection *connection = &connections->all[i];
        if ((connection->phase == WAITING || connection->phase == ANSWERING) &&
            now - connection->since_ns > connections->patience_ns)
            shut_down(connections, connection);
    }
    pthread_mutex_unlock(&connections->mutex);
}

unsigned http_connections_count(struct http_connections *connections)
{
    pthread_mutex_lock(&connections->mutex);
    unsigned open = connections->open;
    pthread_mutex_unlock(&connections->mutex);
    return open;
}
