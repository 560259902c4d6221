#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "common/shard.h"
#include "sender.h"

/* The most that every network of IPv6 passes in one piece: 1280 bytes with the headers of IPv6 and
 * UDP. */
#define DATAGRAM_BYTES 1232
#define NEVER_MS       UINT32_MAX /* the relay flushes itself */

static unsigned count_targets(const struct group *groups, unsigned count)
{
    unsigned targets = 0;

    for (unsigned i = 0; i < count; i++)
        targets += groups[i].shards;
    return targets;
}

/* Open the senders of a group; `options` are those of the last target. */
static int open_route(struct routes *routes, const struct group *group,
                      struct presence_sender_options *options)
{
    struct route *route = &routes->all[routes->count++];

    route->shards = group->shards;
    route->targets = &routes->targets[routes->target_count];
    for (uint32_t i = 0; i < group->shards; i++) {
        options->target = (uint16_t)routes->target_count;
        int r = presence_sender_open(group->addresses[i], options, &route->targets[i].sender);
        if (r < 0) {
            log_line("cannot send to %s, shard %u of group %s: %s%s", group->addresses[i], i + 1,
                     group->name, strerror(-r),
                     r == -EMFILE ? "; allow the relay more (LimitNOFILE=, ulimit -Hn)" : "");
            return r;
        }
        routes->target_count++;
    }
    return 0;
}

/* Hold the accounts of a group's targets, which show its addresses from then on: once all senders
 * are open, since those in use show theirs until then. */
static int hold_accounts(struct routes *routes, struct route *route, const struct group *group)
{
    for (uint32_t i = 0; i < group->shards; i++) {
        int r = accounts_hold(routes->accounts, group->name, i + 1, group->shards,
                              group->addresses[i], &route->targets[i].account);
        if (r < 0) {
            log_line("cannot keep an account of %s, shard %u of group %s: %s", group->addresses[i],
                     i + 1, group->name, strerror(-r));
            return r;
        }
    }
    return 0;
}

static int draw_stream(uint64_t *ret)
{
    while (*ret == 0) {
        if (getrandom(ret, sizeof(*ret), 0) < 0 && errno != EINTR) {
            log_line("cannot draw a random number: %s", strerror(errno));
            return -errno;
        }
    }
    return 0;
}

int routes_open(const struct group *groups, unsigned count, const struct key *key,
                struct accounts *accounts, struct routes **ret)
{
    struct presence_sender_options options = {
        .datagram_bytes = DATAGRAM_BYTES,
        .max_age_ms = NEVER_MS,
        .no_wait = true,
        .key_id = key->id,
    };
    struct routes *routes = calloc(1, sizeof(*routes));
    int r = draw_stream(&options.stream);

    memcpy(options.key, key->bytes, sizeof(options.key));
    if (r == 0 && routes)
        routes->targets = calloc(count_targets(groups, count), sizeof(*routes->targets));
    if (r == 0 && (!routes || !routes->targets)) {
        r = -ENOMEM;
        log_line("cannot open the senders: %s", strerror(ENOMEM));
    }
    if (routes) {
        routes->stream = options.stream;
        routes->accounts = accounts;
    }
    for (unsigned i = 0; r == 0 && i < count; i++)
        r = open_route(routes, &groups[i], &options);
    for (unsigned i = 0; r == 0 && i < count; i++)
        r = hold_accounts(routes, &routes->all[i], &groups[i]);
    explicit_bzero(options.key, sizeof(options.key));
    if (r < 0) {
        routes_close(routes);
        return r;
    }
    *ret = routes;
    return 0;
}

static void flush(struct target *target)
{
    presence_sender_flush(target->sender);
    account_record(target->account, &target->progress, target->sender, true);
    target->is_waiting = false;
}

/* Let a target go on from the socket that `former` has for its address, if there is one. Most are
 * at the same `index` there. */
static void follow(const struct target *target, unsigned index, const struct routes *former)
{
    for (unsigned i = 0; i < former->target_count; i++) {
        unsigned next = (index + i) % former->target_count;
        if (sender_swap_sockets(target->sender, former->targets[next].sender))
            return;
    }
}

void routes_follow(struct routes *routes, struct routes *former)
{
    routes_flush(former);
    for (unsigned i = 0; i < routes->target_count; i++)
        follow(&routes->targets[i], i, former);
}

void routes_close(struct routes *routes)
{
    if (!routes)
        return;
    for (unsigned i = 0; i < routes->target_count; i++) {
        struct target *target = &routes->targets[i];
        if (target->account)
            flush(target);
        presence_sender_close(target->sender);
        if (target->account)
            accounts_release(routes->accounts, target->account);
    }
    free(routes->targets);
    free(routes);
}

void routes_queue(struct routes *routes, const struct decoded *heartbeats)
{
    for (unsigned i = 0; i < routes->count; i++) {
        const struct route *route = &routes->all[i];
        for (uint32_t j = 0; j < heartbeats->count; j++) {
            const uint8_t *visitor = heartbeats->visitors + (size_t)j * 16;
            struct target *target = &route->targets[shard_of(visitor, route->shards)];
            account_queue(target->account, &target->progress);
            presence_send_id(target->sender, &heartbeats->place, visitor);
            target->is_waiting = true;
        }
    }
}

void routes_record(struct routes *routes)
{
    for (unsigned i = 0; i < routes->target_count; i++) {
        struct target *target = &routes->targets[i];
        if (target->is_waiting)
            account_record(target->account, &target->progress, target->sender, false);
    }
}

static void send_full(struct target *target)
{
    presence_sender_flush_aged(target->sender);
    account_record(target->account, &target->progress, target->sender, false);
}

void routes_send_full(struct routes *routes)
{
    for (unsigned i = 0; i < routes->target_count; i++) {
        if (routes->targets[i].is_waiting)
            send_full(&routes->targets[i]);
    }
}

void routes_flush(struct routes *routes)
{
    for (unsigned i = 0; i < routes->target_count; i++) {
        if (routes->targets[i].is_waiting)
            flush(&routes->targets[i]);
    }
}

void routes_keep_alive(struct routes *routes)
{
    for (unsigned i = 0; i < routes->target_count; i++)
        send_full(&routes->targets[i]);
}
