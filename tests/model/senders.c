#include "senders.h"

#include <stdlib.h>
#include <string.h>

#include "model_clock.h"
#include "scenario.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- beats ------------------------------------------------------------------------------- */

static void choose_place(struct scenario *scenario, struct beat *beat)
{
    for (int place = 0; place < PLACES; place++) {
        unsigned count = scenario->variant->names[place];
        bool is_given = count && (place == PLACE_SITE || random_one_in(&scenario->random, 2));
        beat->names[place] = is_given ? (int)random_below(&scenario->random, count) : -1;
    }
}

static void choose_visitors(struct scenario *scenario, struct beat *beat, bool are_many)
{
    struct random_source *random = &scenario->random;
    unsigned all = scenario->variant->visitors;
    unsigned nearby = all < 16 ? all : 16; /* most come back soon */
    unsigned first = scenario->step / 8;

    beat->visitors = 1;
    if (!scenario->variant->table_may_fill && random_one_in(random, 3))
        beat->visitors = are_many && random_one_in(random, 8)
                             ? random_between(random, 1, BEAT_VISITORS_MAX)
                             : random_between(random, 1, 12);
    bool anybody = random_one_in(random, 3);
    for (unsigned i = 0; i < beat->visitors; i++)
        beat->visitor[i] =
            anybody ? random_below(random, all) : (first + random_below(random, nearby)) % all;
}

static struct beat choose_beat(struct scenario *scenario, bool are_many)
{
    static const char *const events[] = {
        "sign-up",
        "sign up",
        "e",
        "\"quoted\" = \\",
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "of the greatest length, which is sixty-three bytes: ...........",
    };
    static const enum beat_kind kinds[] = {
        BEAT_HEARTBEAT, BEAT_HEARTBEAT, BEAT_HEARTBEAT, BEAT_HEARTBEAT,
        BEAT_PAGEVIEW,  BEAT_EVENT,     BEAT_LEAVE,     BEAT_LEAVE,
    };
    struct beat beat = {.kind = kinds[random_below(&scenario->random, LENGTH(kinds))]};

    if (beat.kind == BEAT_EVENT)
        beat.event = events[random_below(&scenario->random, LENGTH(events))];
    choose_place(scenario, &beat);
    choose_visitors(scenario, &beat, are_many);
    return beat;
}

/* ---- datagrams --------------------------------------------------------------------------- */

/* Choose how a datagram is signed by whoever has the key. Most are as they must be. */
static struct signature choose_signature(struct scenario *scenario, uint8_t key_id)
{
    struct random_source *random = &scenario->random;
    unsigned keys = scenario->variant->keys;
    uint32_t now = (uint32_t)(model_clock_microseconds() / 1000000);
    struct signature signature = {
        .key_id = key_id,
        .sent_at = now + random_between(random, 0, 60) - 30,
        .is_valid = !random_one_in(random, 16),
    };

    if (keys == 0) /* nobody looks at it */
        return (struct signature){
            .key_id = random_one_in(random, 4) ? (uint8_t)random_between(random, 1, 255) : 0,
            .sent_at = (uint32_t)random_next(random),
        };
    if (random_one_in(random, 12))
        signature.key_id =
            random_one_in(random, 2) ? 0 : (uint8_t)random_between(random, keys + 1, 255);
    if (random_one_in(random, 12))
        signature.sent_at = random_one_in(random, 2) ? now - 31 : now + 31;
    else if (random_one_in(random, 24))
        signature.sent_at = (uint32_t)random_next(random);
    return signature;
}

static uint8_t choose_key(struct scenario *scenario)
{
    unsigned keys = scenario->variant->keys;

    return keys ? (uint8_t)random_between(&scenario->random, 1, keys) : 0;
}

static void encode_packet(struct scenario *scenario, struct packet *packet)
{
    static uint8_t bytes[ENCODE_MAX + 1];
    struct random_source *random = &scenario->random;

    switch (packet->format) {
    case PACKET_TEXT:
        packet->length = encode_text(&scenario->names, packet->beats, random, bytes);
        break;
    case PACKET_V1:
        packet->length = encode_v1(&scenario->names, packet, random, bytes);
        break;
    case PACKET_V2:
        packet->length = encode_v2(&scenario->names, packet, random, bytes);
        break;
    case PACKET_INVALID:
        packet->length = encode_rejected(random, bytes, &packet->rejection);
        break;
    }
    packet->bytes = malloc(packet->length);
    if (packet->length)
        memcpy(packet->bytes, bytes, packet->length);
}

static void make_invalid(struct scenario *scenario, struct packet *ret)
{
    *ret = (struct packet){.format = PACKET_INVALID};
    encode_packet(scenario, ret);
}

/* Make a datagram of one place: text or version 1. */
static void make_single(struct scenario *scenario, struct packet *ret)
{
    *ret = (struct packet){.format = PACKET_V1, .records = 1};
    ret->beats = malloc(sizeof(*ret->beats));
    *ret->beats = choose_beat(scenario, true);
    if (encode_text_can_carry(&scenario->names, ret->beats) && random_one_in(&scenario->random, 2))
        ret->format = PACKET_TEXT;
    ret->signature = choose_signature(scenario, choose_key(scenario));
    encode_packet(scenario, ret);
}

static unsigned choose_records(struct scenario *scenario)
{
    struct random_source *random = &scenario->random;

    if (scenario->variant->table_may_fill)
        return random_one_in(random, 8) ? 0 : 1;
    if (random_one_in(random, 16))
        return random_between(random, 5, PACKET_RECORDS_MAX);
    return random_below(random, 5);
}

/* Make a datagram of many places, which is of no stream yet. */
static void make_many(struct scenario *scenario, struct packet *ret)
{
    unsigned records = choose_records(scenario);

    *ret = (struct packet){.format = PACKET_V2, .records = records};
    ret->beats = calloc(records + 1, sizeof(*ret->beats));
    for (unsigned i = 0; i < records; i++)
        ret->beats[i] = choose_beat(scenario, records < 5);
}

/* ---- programs that number them ------------------------------------------------------------- */

/* Start, or restart, a program. At times it has the stream of another one, by chance or because it
 * means harm: that is the same stream only if it has the same key. */
static void start_sender(struct scenario *scenario, struct sender *sender)
{
    static const uint32_t beginnings[] = {1, 1, 1, 0, UINT32_MAX, UINT32_MAX - 20, INT32_MAX};
    struct random_source *random = &scenario->random;
    const struct sender *other = &scenario->senders.senders[random_below(random, SENDERS)];

    bool is_stolen = !scenario->variant->is_honest && other->stream && random_one_in(random, 4);
    sender->stream = is_stolen ? other->stream : random_next(random) | 1;
    sender->key_id = choose_key(scenario);
    for (unsigned i = 0; i < SENDER_TARGETS; i++) {
        sender->targets[i] =
            random_one_in(random, 8) ? (uint16_t)(random_next(random) << 2 | i) : (uint16_t)i;
        sender->next[i] = beginnings[random_below(random, LENGTH(beginnings))];
    }
}

/* Return how far the next sequence is ahead: more than one if many datagrams were lost at once. */
static uint32_t choose_jump(const struct scenario *scenario, struct random_source *random)
{
    static const uint32_t jumps[] = {2,    3,         64,        500,           1022, 1023,
                                     1024, 1025,      2047,      2048,          5000, 1U << 20,
                                     0,    INT32_MAX, 1U << 31U, (1U << 31) + 1};

    if (!scenario->senders.disorder || !random_one_in(random, 40))
        return 1;
    return jumps[random_below(random, scenario->variant->is_honest ? 4 : LENGTH(jumps))];
}

/* Let a program send a datagram. */
static void send_numbered(struct scenario *scenario, struct packet *ret)
{
    struct random_source *random = &scenario->random;
    struct sender *sender = &scenario->senders.senders[random_below(random, SENDERS)];
    unsigned target = random_below(random, SENDER_TARGETS);

    if (random_one_in(random, 60))
        start_sender(scenario, sender);
    make_many(scenario, ret);
    ret->signature = choose_signature(scenario, sender->key_id);
    if (!random_one_in(random, 12)) { /* otherwise it is a program that sends one datagram */
        ret->stream = sender->stream;
        ret->sequence = sender->next[target];
        sender->next[target] += choose_jump(scenario, random);
    }
    ret->target = sender->targets[target];
    encode_packet(scenario, ret);
}

/* ---- the network --------------------------------------------------------------------------- */

static void drop(struct senders *senders, unsigned flight)
{
    packet_free(&senders->flights[flight]);
    senders->in_flight--;
    memmove(&senders->flights[flight], &senders->flights[flight + 1],
            (senders->in_flight - flight) * sizeof(*senders->flights));
}

static void fly(struct scenario *scenario)
{
    struct senders *senders = &scenario->senders;

    if (senders->in_flight == SENDERS_FLIGHTS) {
        if (!senders->disorder)
            return;
        drop(senders, random_below(&scenario->random, SENDERS_FLIGHTS));
    }
    send_numbered(scenario, &senders->flights[senders->in_flight++]);
}

/* Somebody without the key sends again what they have seen, with a sequence or a tag of their own.
 */
static void forge(struct scenario *scenario, struct packet *packet)
{
    struct random_source *random = &scenario->random;

    if (!packet->signature.key_id || !scenario->variant->keys || !random_one_in(random, 16))
        return;
    packet->signature.is_valid = false;
    if (packet->stream && random_one_in(random, 2))
        packet->bytes[20 + random_below(random, 4)] ^= 1; /* another sequence */
    else
        packet->bytes[packet->length - 1 - random_below(random, 8)] ^= 0x10;
}

/* Let a datagram arrive; it may stay in flight, to arrive again. */
static void deliver(struct scenario *scenario)
{
    struct senders *senders = &scenario->senders;
    struct random_source *random = &scenario->random;
    bool is_disturbed = senders->disorder && random_below(random, 4) < senders->disorder;

    while (senders->in_flight == 0 || random_one_in(random, 2))
        fly(scenario);
    if (is_disturbed && senders->in_flight > 1 && random_one_in(random, 4))
        drop(senders, random_below(random, senders->in_flight));
    unsigned flight = is_disturbed ? random_below(random, senders->in_flight) : 0;
    senders->delivered = packet_copy(&senders->flights[flight]);
    if (!is_disturbed || random_one_in(random, 2))
        drop(senders, flight);
    else
        forge(scenario, &senders->delivered);
}

/* ---- all of them --------------------------------------------------------------------------- */

void senders_open(struct scenario *scenario)
{
    scenario->senders.disorder = random_below(&scenario->random, 4);
    for (unsigned i = 0; i < SENDERS; i++)
        start_sender(scenario, &scenario->senders.senders[i]);
}

void senders_close(struct scenario *scenario)
{
    while (scenario->senders.in_flight)
        drop(&scenario->senders, 0);
    packet_free(&scenario->senders.delivered);
}

const struct packet *senders_next(struct scenario *scenario)
{
    struct packet *packet = &scenario->senders.delivered;

    packet_free(packet);
    if (!scenario->variant->table_may_fill && random_one_in(&scenario->random, 12))
        make_invalid(scenario, packet);
    else if (random_one_in(&scenario->random, 2))
        make_single(scenario, packet);
    else
        deliver(scenario);
    return packet;
}
