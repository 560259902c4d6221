/* senders.h - random datagrams of all formats, and the network that carries them.
 *
 * Programs that send version 2 number their datagrams. The network loses, delays and repeats some,
 * so that they arrive in any order. A program that is restarted begins another stream.
 */
#ifndef PRESENCE_TESTS_SENDERS_H
#define PRESENCE_TESTS_SENDERS_H

#include "packet.h"
#include "random_source.h"

#define SENDERS         6
#define SENDER_TARGETS  3
#define SENDERS_FLIGHTS 24

struct scenario;

/* A program. Its targets are all the same collector. */
struct sender {
    uint64_t stream;
    uint8_t key_id;
    uint16_t targets[SENDER_TARGETS];
    uint32_t next[SENDER_TARGETS]; /* the sequence of its next datagram */
};

struct senders {
    struct sender senders[SENDERS];
    struct packet flights[SENDERS_FLIGHTS]; /* from the oldest on */
    unsigned in_flight;
    unsigned disorder;       /* 0: nothing is lost, repeated or overtaken */
    struct packet delivered; /* the last one */
};

void senders_open(struct scenario *scenario);
void senders_close(struct scenario *scenario);

/* Return the datagram that arrives next; it is valid until the next call. In a variant whose table
 * may fill it has at most one visitor. */
const struct packet *senders_next(struct scenario *scenario);

#endif
