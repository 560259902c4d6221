#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/monotonic.h"

#define ALIVE_NS (200 * NS_PER_MS) /* how often senders may show that they are alive */
#define FULL_NS  (10 * NS_PER_MS)  /* how long full datagrams may gather under load */

struct relay {
    struct decoder *decoder;
    struct relay_setup *setup;
    struct relay_setup *next; /* NULL: go on with `setup`; see relay_replace */
    int64_t queued_at;        /* when the oldest heartbeat was queued, ns; INT64_MAX: none is */
    int64_t full_at;          /* when full datagrams are sent next, ns */
    int64_t alive_at;         /* when routes_keep_alive is called next, ns */
};

/* ---- setups ---------------------------------------------------------------------------------- */

int relay_setup_open(const struct options *options, const struct key *key,
                     struct accounts *accounts, bool with_routes, struct relay_setup **ret)
{
    struct relay_setup *setup = calloc(1, sizeof(*setup));
    int r = setup ? networks_build(options->allow.items, options->allow.count, &setup->allowed)
                  : -ENOMEM;

    if (r < 0)
        log_line("cannot set up the relay: %s", strerror(-r));
    else if (with_routes)
        r = routes_open(options->groups, options->group_count, key, accounts, &setup->routes);
    if (r < 0) {
        relay_setup_close(setup);
        return r;
    }
    setup->hold_ms = options->hold_ms;
    *ret = setup;
    return 0;
}

void relay_setup_close(struct relay_setup *setup)
{
    if (!setup)
        return;
    routes_close(setup->routes);
    networks_free(&setup->allowed);
    free(setup);
}

/* Give the routes of one setup to another that has none. */
static void keep_routes(struct relay_setup *from, struct relay_setup *to)
{
    if (to->routes)
        return;
    to->routes = from->routes;
    from->routes = NULL;
}

void relay_replace(struct relay *relay, struct relay_setup *setup)
{
    /* Pairs with take_setup. What the worker has not taken yet has nothing queued. */
    struct relay_setup *waiting = __atomic_exchange_n(&relay->next, NULL, __ATOMIC_ACQUIRE);

    if (waiting)
        keep_routes(waiting, setup);
    relay_setup_close(waiting);
    /* Pairs with take_setup, which sees what is behind the pointer. */
    __atomic_store_n(&relay->next, setup, __ATOMIC_RELEASE);
}

/* Take the setup that relay_replace has left, if there is any. */
static void take_setup(struct relay *relay)
{
    /* Pairs with relay_replace. */
    struct relay_setup *setup = __atomic_exchange_n(&relay->next, NULL, __ATOMIC_ACQ_REL);

    if (!setup)
        return;
    if (setup->routes) {
        routes_follow(setup->routes, relay->setup->routes);
        relay->queued_at = INT64_MAX;
    }
    keep_routes(relay->setup, setup);
    decoder_refuse_stream(relay->decoder, setup->routes->stream);
    decoder_allow(relay->decoder, &setup->allowed);
    relay_setup_close(relay->setup);
    relay->setup = setup;
}

/* ---- opening ------------------------------------------------------------------------------ */

int relay_open(struct relay_setup *setup, struct decoder_counts *counts, struct relay **ret)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (!relay)
        return -ENOMEM;
    int r = decoder_open(&setup->allowed, counts, &relay->decoder);
    if (r < 0) {
        free(relay);
        return r;
    }
    decoder_refuse_stream(relay->decoder, setup->routes->stream);
    relay->setup = setup;
    relay->queued_at = INT64_MAX;
    *ret = relay;
    return 0;
}

void relay_flush(struct relay *relay)
{
    routes_flush(relay->setup->routes);
}

void relay_close(struct relay *relay)
{
    if (!relay)
        return;
    relay_setup_close(relay->setup);
    relay_setup_close(relay->next);
    decoder_close(relay->decoder);
    free(relay);
}

/* ---- receiving ---------------------------------------------------------------------------- */

/* Pass on what a buffer holds: one datagram, or with receive offload several of the same size. */
static void pass_on(struct relay *relay, const struct receive_buffer *buffer)
{
    uint32_t offset = 0;
    struct decoded heartbeats;

    decoder_from(relay->decoder, buffer->sender);
    do {
        uint32_t length = receive_buffer_cut(buffer, offset);
        if (decoder_read(relay->decoder, buffer->data + offset, length)) {
            while (decoder_next(relay->decoder, &heartbeats))
                routes_queue(relay->setup->routes, &heartbeats);
        }
        offset += length;
    } while (offset < buffer->length);
}

static int64_t hold_ns(const struct relay *relay)
{
    return relay->setup->hold_ms * NS_PER_MS;
}

/* Send what is due, if anything is queued. Under load full datagrams don't wait for the others: all
 * at once they would be too many for the buffers of a network, and of a busy collector. */
static void send_due(struct relay *relay, int64_t now)
{
    if (relay->queued_at == INT64_MAX)
        return;
    if (now - relay->queued_at >= hold_ns(relay)) {
        routes_flush(relay->setup->routes);
        relay->queued_at = INT64_MAX;
    } else if (now >= relay->full_at) {
        routes_send_full(relay->setup->routes);
    } else {
        return;
    }
    relay->full_at = now + FULL_NS;
}

static void handle(void *context, const struct receive_buffer *buffers, unsigned count,
                   const struct receive_statistics *counted)
{
    struct relay *relay = context;
    int64_t now = monotonic_ns();

    take_setup(relay);
    decoder_set_time(relay->decoder, (uint64_t)(monotonic_of(CLOCK_BOOTTIME) / NS_PER_S));
    for (unsigned i = 0; i < count; i++)
        pass_on(relay, &buffers[i]);
    if (count > 0)
        routes_record(relay->setup->routes);
    decoder_truncated(relay->decoder, counted->truncated);
    if (count > 0 && relay->queued_at == INT64_MAX)
        relay->queued_at = now;
    send_due(relay, now);
    if (now >= relay->alive_at) {
        routes_keep_alive(relay->setup->routes);
        relay->alive_at = now + ALIVE_NS;
    }
}

static int64_t patience(void *context)
{
    const struct relay *relay = context;
    int64_t due = relay->alive_at, now = monotonic_ns();

    if (relay->queued_at != INT64_MAX && relay->queued_at + hold_ns(relay) < due)
        due = relay->queued_at + hold_ns(relay);
    return due > now ? due - now : 0;
}

struct worker_handler relay_handler(struct relay *relay)
{
    return (struct worker_handler){.context = relay, .handle = handle, .patience = patience};
}
