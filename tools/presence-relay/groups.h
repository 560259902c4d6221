/* groups.h - the groups of collectors that --to names. The main thread. */
#ifndef PRESENCE_RELAY_GROUPS_H
#define PRESENCE_RELAY_GROUPS_H

#include "common/address.h"
#include "common/options.h"

#define GROUPS_MAX      16
#define SHARDS_MAX      64 /* of a group */
#define GROUP_NAME_SIZE 64

/* A complete copy: collectors that each have the visitors of one hash range (R9). */
struct group {
    char name[GROUP_NAME_SIZE];
    uint32_t shards;
    char addresses[SHARDS_MAX][ADDRESS_SIZE]; /* HOST:PORT, numeric, in canonical form */
};

/* Parse the values of --to, GROUP=ADDR:PORT[,ADDR:PORT...] each; blanks may stand around names,
 * addresses and commas. A value without a group goes on with the one before, if that ends with a
 * comma: so a line of a file may be continued. No group and no collector may be given twice, and
 * there is at least one. With OPTION_RUN free `*ret`, which has `*ret_count` groups; with
 * OPTION_WRONG one line says what is wrong and what to do. */
enum option_verdict groups_parse(const struct option_list *values, struct group **ret,
                                 unsigned *ret_count);

/* Check that no collector is at `listen`, where the relay itself receives: what it sends there
 * would come back for ever. An address of all interfaces stands for those that the machine has now,
 * by `local_addresses`, of local_address_open; negative: for those of loopback. OPTION_WRONG: one
 * line says which it is. */
enum option_verdict groups_check_loop(const struct group *groups, unsigned count,
                                      const struct sockaddr_storage *listen, int local_addresses);

/* Check that a running relay may go from some groups to others: a group that stays has as many
 * shards as before, and a collector that stays is the same shard of the same group. Otherwise
 * visitors would count where they did not before. False: one line says what to do. */
bool groups_check_change(const struct group *from, unsigned from_count, const struct group *to,
                         unsigned to_count);

/* True if both are the same groups in the same order, with the same collectors. */
bool groups_are_same(const struct group *a, unsigned a_count, const struct group *b,
                     unsigned b_count);

/* Write the groups' names and numbers of collectors, as many as fit into `size` bytes. */
void groups_describe(const struct group *groups, unsigned count, char *ret, size_t size);

#endif
