#include "forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http_log.h"
#include "common/monotonic.h"

#define COMPLAINT_NS (60 * NS_PER_S) /* between two of the same */

struct target {
    const char *address;
    struct presence_sender *sender;
    uint64_t lost; /* as of the last complaint */
    int64_t complained_at_ns;
};

struct forwarder {
    bool queued;
    size_t count;
    struct target targets[];
};

static int open_sender(const char *address, const struct signing_key *key,
                       struct presence_sender **ret)
{
    struct presence_sender_options options = {.key_id = key->id};

    memcpy(options.key, key->bytes, sizeof(options.key));
    int r = presence_sender_open(address, &options, ret);
    explicit_bzero(&options, sizeof(options));
    return r;
}

int forwarder_open(char *const *addresses, size_t count, const struct signing_key *key,
                   struct forwarder **ret, const char **ret_failed)
{
    struct forwarder *forwarder =
        calloc(1, sizeof(*forwarder) + count * sizeof(forwarder->targets[0]));

    *ret_failed = addresses[0];
    if (!forwarder)
        return -ENOMEM;
    for (; forwarder->count < count; forwarder->count++) {
        struct target *target = &forwarder->targets[forwarder->count];
        *target = (struct target){.address = addresses[forwarder->count],
                                  .complained_at_ns = INT64_MIN / 2};
        int r = open_sender(target->address, key, &target->sender);
        if (r < 0) {
            *ret_failed = target->address;
            forwarder_close(forwarder);
            return r;
        }
    }
    *ret = forwarder;
    return 0;
}

void forwarder_close(struct forwarder *forwarder)
{
    if (!forwarder)
        return;
    for (size_t i = 0; i < forwarder->count; i++)
        presence_sender_close(forwarder->targets[i].sender);
    free(forwarder);
}

int forwarder_sign(struct forwarder *forwarder, const struct signing_key *key)
{
    for (size_t i = 0; i < forwarder->count; i++) {
        struct target *target = &forwarder->targets[i];
        struct presence_sender *sender;
        int r = open_sender(target->address, key, &sender);

        if (r < 0)
            return r;
        presence_sender_close(target->sender);
        target->sender = sender;
        target->lost = 0;
    }
    return 0;
}

int forwarder_send(struct forwarder *forwarder, const struct presence_place *place,
                   const char *visitor)
{
    for (size_t i = 0; i < forwarder->count; i++) {
        int r = presence_send(forwarder->targets[i].sender, place, visitor);
        if (r < 0)
            return r; /* of the names or the id: the first finds out */
    }
    forwarder->queued = true;
    return 0;
}

static void complain_of_losses(struct target *target)
{
    struct presence_sender_totals totals;
    int64_t now_ns = monotonic_ns();

    presence_sender_totals(target->sender, &totals);
    uint64_t lost = totals.refused + totals.failed;
    if (lost == target->lost || now_ns - target->complained_at_ns < COMPLAINT_NS)
        return;
    http_log("heartbeats do not reach %s: no collector there? start presenced, or see --to",
             target->address);
    target->lost = lost;
    target->complained_at_ns = now_ns;
}

void forwarder_flush(struct forwarder *forwarder)
{
    if (!forwarder->queued)
        return;
    for (size_t i = 0; i < forwarder->count; i++) {
        presence_sender_flush(forwarder->targets[i].sender);
        complain_of_losses(&forwarder->targets[i]);
    }
    forwarder->queued = false;
}
