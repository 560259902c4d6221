#include "relay.h"

#include <errno.h>
#include <stdlib.h>

#include "common/monotonic.h"

#define ALIVE_NS (200 * NS_PER_MS) /* how often senders may show that they are alive */

struct relay {
    struct decoder *decoder;
    struct routes *routes;
    struct routes *next; /* NULL: go on with `routes`; see relay_replace_routes */
    int64_t hold_ns;
    int64_t queued_at; /* when the oldest heartbeat was queued, ns; INT64_MAX: none is */
    int64_t alive_at;  /* when routes_keep_alive is called next, ns */
};

int relay_open(const struct networks *allowed, uint32_t hold_ms, struct routes *routes,
               struct decoder_counts *counts, struct relay **ret)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (!relay)
        return -ENOMEM;
    int r = decoder_open(allowed, counts, &relay->decoder);
    if (r < 0) {
        free(relay);
        return r;
    }
    relay->routes = routes;
    relay->hold_ns = hold_ms * NS_PER_MS;
    relay->queued_at = INT64_MAX;
    *ret = relay;
    return 0;
}

void relay_close(struct relay *relay)
{
    if (!relay)
        return;
    routes_close(relay->routes);
    routes_close(relay->next);
    decoder_close(relay->decoder);
    free(relay);
}

void relay_replace_routes(struct relay *relay, struct routes *routes)
{
    /* Pairs with take_routes, which sees the routes behind the pointer. Those that the worker has
     * not taken yet have nothing queued. */
    routes_close(__atomic_exchange_n(&relay->next, routes, __ATOMIC_ACQ_REL));
}

/* Take the routes that relay_replace_routes has left, if there are any. */
static void take_routes(struct relay *relay)
{
    /* Pairs with relay_replace_routes. */
    struct routes *routes = __atomic_exchange_n(&relay->next, NULL, __ATOMIC_ACQ_REL);

    if (!routes)
        return;
    routes_close(relay->routes);
    relay->routes = routes;
    relay->queued_at = INT64_MAX;
}

/* Pass on what a buffer holds: one datagram, or with receive offload several of the same size. */
static void pass_on(struct relay *relay, const struct receive_buffer *buffer)
{
    uint32_t step = buffer->segment_bytes ? buffer->segment_bytes : buffer->length;
    uint32_t offset = 0;
    struct decoded heartbeats;

    decoder_from(relay->decoder, buffer->sender);
    do {
        uint32_t rest = buffer->length - offset;
        if (decoder_read(relay->decoder, buffer->data + offset, rest < step ? rest : step)) {
            while (decoder_next(relay->decoder, &heartbeats))
                routes_queue(relay->routes, &heartbeats);
        }
        offset += step;
    } while (offset < buffer->length);
}

static void handle(void *context, const struct receive_buffer *buffers, unsigned count,
                   const struct receive_statistics *counted)
{
    struct relay *relay = context;
    int64_t now = monotonic_ns();

    take_routes(relay);
    decoder_set_time(relay->decoder, (uint64_t)(monotonic_of(CLOCK_BOOTTIME) / NS_PER_S));
    for (unsigned i = 0; i < count; i++)
        pass_on(relay, &buffers[i]);
    if (count > 0)
        routes_record(relay->routes);
    decoder_truncated(relay->decoder, counted->truncated);
    if (count > 0 && relay->queued_at == INT64_MAX)
        relay->queued_at = now;
    if (relay->queued_at != INT64_MAX && now - relay->queued_at >= relay->hold_ns) {
        routes_flush(relay->routes);
        relay->queued_at = INT64_MAX;
    }
    if (now >= relay->alive_at) {
        routes_keep_alive(relay->routes);
        relay->alive_at = now + ALIVE_NS;
    }
}

static int64_t patience(void *context)
{
    const struct relay *relay = context;
    int64_t due = relay->alive_at, now = monotonic_ns();

    if (relay->queued_at != INT64_MAX && relay->queued_at + relay->hold_ns < due)
        due = relay->queued_at + relay->hold_ns;
    return due > now ? due - now : 0;
}

struct worker_handler relay_handler(struct relay *relay)
{
    return (struct worker_handler){.context = relay, .handle = handle, .patience = patience};
}
