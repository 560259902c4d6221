#include "arrivals.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "encode.h"
#include "model_clock.h"
#include "scenario.h"

/* ---- what the collector accepts -------------------------------------------------------------- */

static void add_keys(struct admission *admission, unsigned count)
{
    uint8_t key[16];

    if (count == 0)
        return;
    admission->keys = calloc(1, sizeof(*admission->keys));
    admission->keys->count = count;
    for (unsigned i = 1; i <= count; i++) {
        encode_key(i, key);
        admission->keys->known[i] = true;
        admission->keys->keys[i] = siphash_key(key);
    }
}

static bool is_counted(const struct scenario *scenario, int site)
{
    const struct variant *variant = scenario->variant;

    return (unsigned)site < variant->names[PLACE_SITE] - variant->refused_sites;
}

static void add_sites(struct admission *admission, const struct scenario *scenario)
{
    char text[NAME_MAX_BYTES + 1];

    for (int i = 0; scenario->variant->refused_sites && is_counted(scenario, i); i++) {
        const struct name *name = &scenario->names.names[PLACE_SITE][i];
        memcpy(text, name->bytes, name->length);
        text[name->length] = '\0';
        if (sites_add(&admission->sites, text) < 0)
            scenario_fail(scenario, "sites_add %s", text);
    }
}

struct admission *arrivals_admission(struct scenario *scenario)
{
    struct admission *admission = calloc(1, sizeof(*admission));
    struct network networks[2];

    add_keys(admission, scenario->variant->keys);
    add_sites(admission, scenario);
    if (!scenario->variant->has_networks)
        return admission;
    if (network_parse("10.0.0.0/8", &networks[0]) < 0 ||
        network_parse("2001:db8::/32", &networks[1]) < 0 ||
        networks_build(networks, 2, &admission->networks) < 0)
        scenario_fail(scenario, "the networks can't be built");
    return admission;
}

void arrivals_admission_free(struct admission *admission)
{
    if (admission)
        admission_close(admission);
    free(admission);
}

/* ---- arriving ------------------------------------------------------------------------------ */

static struct arrival choose_arrival(struct scenario *scenario)
{
    struct random_source *random = &scenario->random;
    bool has_networks = scenario->variant->has_networks;
    struct arrival arrival = {
        .is_allowed = !has_networks || !random_one_in(random, 12),
        .sender = {.family = random_one_in(random, 2) ? 4 : 6,
                   .port = (uint16_t)random_between(random, 1, 65535)},
    };

    if (!has_networks && random_one_in(random, 12)) {
        arrival.sender = (struct oracle_sender){0};
    } else if (arrival.sender.family == 4) {
        memcpy(arrival.sender.address, arrival.is_allowed ? "\x0a\0\0" : "\xc0\0\2", 3);
        arrival.sender.address[3] = (uint8_t)random_below(random, 4);
    } else {
        memcpy(arrival.sender.address, arrival.is_allowed ? "\x20\1\x0d\xb8" : "\x20\1\x0d\xb9", 4);
        arrival.sender.address[15] = (uint8_t)random_below(random, 4);
    }
    return arrival;
}

/* Write the address as a socket of either family shows it. */
static void make_address(struct random_source *random, const struct oracle_sender *sender,
                         struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (void *)ret;
    struct sockaddr_in6 *v6 = (void *)ret;

    *ret = (struct sockaddr_storage){0};
    if (sender->family == 4 && random_one_in(random, 2)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(sender->port);
        memcpy(&v4->sin_addr, sender->address, 4);
        return;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(sender->port);
    if (sender->family == 6) {
        memcpy(&v6->sin6_addr, sender->address, 16);
    } else {
        memcpy(&v6->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        memcpy(v6->sin6_addr.s6_addr + 12, sender->address, 4);
    }
}

struct arrival arrivals_ingest(struct scenario *scenario, struct ingest *ingest,
                               const struct packet *packet)
{
    struct arrival arrival = choose_arrival(scenario);
    struct sockaddr_storage address;

    make_address(&scenario->random, &arrival.sender, &address);
    ingest_from(ingest, arrival.sender.family ? (const struct sockaddr *)&address : NULL);
    ingest_datagram(ingest, packet->bytes, packet->length);
    return arrival;
}

/* ---- what the oracle makes of it ---------------------------------------------------------------
 */

/* Reject, if they must be, datagrams that are not signed as they must be. */
static bool is_authenticated(struct scenario *scenario, const struct packet *packet)
{
    struct oracle_counters *counters = &scenario->oracle.counters;
    const struct signature *signature = &packet->signature;
    int64_t now = (int64_t)(model_clock_microseconds() / 1000000);
    const struct variant *variant = scenario->variant;

    if (variant->keys == 0)
        return true;
    if (packet->format == PACKET_TEXT) {
        counters->unauthenticated += !variant->has_networks;
        return variant->has_networks;
    }
    if (signature->key_id == 0 || signature->key_id > variant->keys || !signature->is_valid) {
        counters->unauthenticated++;
        return false;
    }
    int64_t age = now - signature->sent_at;
    counters->stale += age > 30 || age < -30;
    return age <= 30 && age >= -30;
}

static bool is_no_duplicate(struct scenario *scenario, const struct packet *packet,
                            const struct arrival *arrival)
{
    struct oracle_arrival arrived = {
        .key = {.id = packet->stream,
                .target = packet->target,
                .key = scenario->variant->keys ? packet->signature.key_id : 0},
        .sequence = packet->sequence,
        .sender = arrival->sender,
    };

    if (packet->format != PACKET_V2 || packet->stream == 0)
        return true;
    for (unsigned i = 0; i < packet->records; i++)
        arrived.heartbeats += packet->beats[i].visitors;
    bool is_new = oracle_streams_arrive(&scenario->oracle.streams, &arrived, scenario->tick);
    scenario->oracle.counters.duplicate += !is_new;
    return is_new;
}

/* Apply the records of sites that are counted. */
static void apply_records(struct scenario *scenario, const struct packet *packet,
                          struct oracle_refusal refusal)
{
    struct oracle_counters *counters = &scenario->oracle.counters;
    unsigned refused = 0;

    for (unsigned i = 0; i < packet->records; i++) {
        const struct beat *beat = &packet->beats[i];
        if (is_counted(scenario, beat->names[PLACE_SITE])) {
            oracle_apply(&scenario->oracle, beat, scenario->tick, refusal);
            continue;
        }
        refused++;
        counters->site_refused += packet->format == PACKET_V2 ? beat->visitors : 0;
    }
    if (refused && refused == packet->records)
        counters->site++;
    else
        counters->accepted++;
    counters->empty += packet->records == 0;
}

void arrivals_expect(struct scenario *scenario, const struct packet *packet, struct arrival arrival,
                     struct oracle_refusal refusal)
{
    struct oracle_counters *counters = &scenario->oracle.counters;

    counters->received++;
    if (!arrival.is_allowed) {
        counters->sender++;
    } else if (packet->format == PACKET_INVALID) {
        counters->version += packet->rejection == REJECTED_VERSION;
        counters->malformed += packet->rejection == REJECTED_MALFORMED;
        counters->visitor += packet->rejection == REJECTED_VISITOR;
    } else if (is_authenticated(scenario, packet) && is_no_duplicate(scenario, packet, &arrival)) {
        apply_records(scenario, packet, refusal);
    }
}
