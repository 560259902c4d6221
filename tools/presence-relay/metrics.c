#include "metrics.h"

#include <stdio.h>

#define NUMBER_SIZE 12

/* ---- what arrives --------------------------------------------------------------------------- */

static void write_counter(struct exposition *exposition, const char *name, const char *help,
                          uint64_t value)
{
    exposition_family(exposition, name, FAMILY_COUNTER, help);
    exposition_sample(exposition, NULL, 0, value);
}

/* A relay has no other reasons. */
static const enum decoder_reason reasons[] = {
    DECODER_SENDER, DECODER_VERSION, DECODER_MALFORMED, DECODER_VISITOR, DECODER_DUPLICATE,
};

static void write_rejected(struct exposition *exposition, const struct decoder_counts *counts)
{
    exposition_family(exposition, "relay_datagrams_rejected", FAMILY_COUNTER,
                      "Datagrams that were not passed on.");
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        const struct label label = {"reason", decoder_reason_name(reasons[i])};
        exposition_sample(exposition, &label, 1, counts->datagrams_rejected[reasons[i]]);
    }
}

static void write_skipped(struct exposition *exposition, const struct decoder_counts *counts)
{
    const struct label invalid = {"reason", "invalid"}, too_long = {"reason", "room_too_long"};

    exposition_family(exposition, "relay_labels_skipped", FAMILY_COUNTER,
                      "Rooms, countries and sources of text heartbeats that no collector would "
                      "count. The heartbeat is passed on without them.");
    exposition_sample(exposition, &invalid, 1, counts->labels_invalid);
    exposition_sample(exposition, &too_long, 1, counts->rooms_too_long);
}

static void write_arrivals(struct exposition *exposition, const struct accounts_view *view)
{
    const struct decoder_counts *counts = &view->counts;

    write_counter(exposition, "relay_datagrams_received",
                  "Datagrams received: each is accepted or rejected.", counts->datagrams_received);
    write_counter(exposition, "relay_datagrams_accepted",
                  "Datagrams whose heartbeats were passed on.", counts->datagrams_accepted);
    write_rejected(exposition, counts);
    write_counter(exposition, "relay_datagrams_empty",
                  "Accepted datagrams of senders that had nothing to say but that they are alive.",
                  counts->datagrams_empty);
    write_counter(exposition, "relay_socket_drops",
                  "Datagrams that found the socket's buffer full. They are not among the received "
                  "ones. The kernel counts a train of datagrams as one.",
                  view->socket_drops);
    write_counter(exposition, "relay_heartbeats_accepted",
                  "Heartbeats of accepted datagrams: each goes to one collector of every group.",
                  counts->heartbeats);
    write_skipped(exposition, counts);
    write_counter(exposition, "relay_streams_expected",
                  "Datagrams that senders with sequence numbers have sent to the relay.",
                  counts->streams_expected);
    write_counter(exposition, "relay_streams_received",
                  "How many of those came, each counted once.", counts->streams_received);
    write_counter(exposition, "relay_streams_full",
                  "Datagrams of streams that were too many to be followed: they were passed on, "
                  "repeated or not.",
                  counts->streams_full);
}

/* ---- collectors ----------------------------------------------------------------------------- */

static void write_groups(struct exposition *exposition, const struct accounts_view *view)
{
    exposition_family(exposition, "relay_group_shards", FAMILY_GAUGE,
                      "How many collectors a group has. All relays have to agree.");
    for (uint32_t i = 0; i < view->count; i++) {
        const struct account *account = &view->all[i];
        const struct label label = {"group", account->group};
        if (account->shard == 1)
            exposition_sample(exposition, &label, 1, account->shards);
    }
}

/* A family with a sample for each collector. */
struct family {
    const char *name;
    enum family_type type;
    const char *help;
    uint64_t (*value_of)(const struct account *account);
};

static uint64_t queued_of(const struct account *account)
{
    return account->queued;
}

static uint64_t heartbeats_of(const struct account *account)
{
    return account->heartbeats;
}

static uint64_t dropped_of(const struct account *account)
{
    return account->dropped;
}

static uint64_t lost_of(const struct account *account)
{
    return account->lost;
}

static uint64_t datagrams_of(const struct account *account)
{
    return account->datagrams;
}

static uint64_t failed_of(const struct account *account)
{
    return account->failed;
}

static uint64_t refused_of(const struct account *account)
{
    return account->refused;
}

static const struct family families[] = {
    {"relay_target_heartbeats_accepted", FAMILY_COUNTER,
     "Accepted heartbeats that are for this collector: those handed over, dropped, lost and "
     "waiting.",
     queued_of},
    {"relay_target_heartbeats", FAMILY_COUNTER,
     "Heartbeats that were handed to the kernel for this collector.", heartbeats_of},
    {"relay_target_heartbeats_dropped", FAMILY_COUNTER,
     "Heartbeats that the kernel did not take: in the failed datagrams.", dropped_of},
    {"relay_target_heartbeats_lost", FAMILY_COUNTER,
     "Heartbeats that waited when a relay was killed. The kernel may have taken some of them.",
     lost_of},
    {"relay_target_heartbeats_waiting", FAMILY_GAUGE,
     "Heartbeats that wait for others, for at most --hold.", account_waiting},
    {"relay_target_datagrams", FAMILY_COUNTER,
     "Datagrams that were handed to the kernel for this collector.", datagrams_of},
    {"relay_target_datagrams_failed", FAMILY_COUNTER,
     "Datagrams that the kernel did not take: the socket was full, or there was no route.",
     failed_of},
    {"relay_target_datagrams_refused", FAMILY_COUNTER,
     "Reports that no collector receives there or that there is no route. Not every datagram "
     "causes one.",
     refused_of},
};

static void write_family(struct exposition *exposition, const struct accounts_view *view,
                         const struct family *family)
{
    exposition_family(exposition, family->name, family->type, family->help);
    for (uint32_t i = 0; i < view->count; i++) {
        const struct account *account = &view->all[i];
        char shard[NUMBER_SIZE];
        snprintf(shard, sizeof(shard), "%u", account->shard);
        const struct label labels[] = {
            {"group", account->group}, {"shard", shard}, {"target", account->address}};
        exposition_sample(exposition, labels, 3, family->value_of(account));
    }
}

void metrics_write(struct exposition *exposition, const struct accounts_view *view)
{
    const struct label version = {"version", PRESENCE_VERSION};

    exposition_family(exposition, "relay_build", FAMILY_INFO, "The relay's version.");
    exposition_sample(exposition, &version, 1, 1);
    write_arrivals(exposition, view);
    write_groups(exposition, view);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        write_family(exposition, view, &families[i]);
    exposition_end(exposition);
}
