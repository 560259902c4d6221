/* arrivals.h - datagrams reach the collector, and the oracle. */
#ifndef PRESENCE_TESTS_ARRIVALS_H
#define PRESENCE_TESTS_ARRIVALS_H

#include "fixture.h"
#include "oracle.h"
#include "packet.h"

struct scenario;

/* Where a datagram came from. */
struct arrival {
    struct oracle_sender sender;
    bool
        is_allowed; /* it is in the networks from which datagrams are accepted, or there are none */
};

/* Make what decides which datagrams are counted: the variant's keys, sites and networks. */
struct admission *arrivals_admission(struct scenario *scenario);

void arrivals_admission_free(struct admission *admission);

/* Ingest a datagram, from a random address. Inside a batch. */
struct arrival arrivals_ingest(struct scenario *scenario, struct ingest *ingest,
                               const struct packet *packet);

/* Apply the same to the oracle. */
void arrivals_expect(struct scenario *scenario, const struct packet *packet, struct arrival arrival,
                     struct oracle_refusal refusal);

#endif
