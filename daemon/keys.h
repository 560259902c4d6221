/* keys.h - load the keys that datagrams are signed with, and check their tags.
 *
 * A loaded set of keys never changes, so workers use it without a lock. A set that is replaced is
 * freed after every worker has passed a batch boundary.
 */
#ifndef PRESENCED_KEYS_H
#define PRESENCED_KEYS_H

#include "core/siphash.h"
#include "core/wire.h"

#define KEYS_MAX          255
#define KEYS_CLOCK_SKEW   30  /* seconds that `sent at` may differ from our clock, either way */
#define KEYS_PROBLEM_SIZE 512 /* bytes of the longest line that says what is wrong */

struct keys {
    unsigned count;
    bool known[KEYS_MAX + 1];              /* by key id */
    struct siphash_key keys[KEYS_MAX + 1]; /* by key id */
};

/* Load a key file (key_file.h): a line `ID HEX32` for each key, ID 1 to 255 in decimal, 32 hex
 * digits for the key's bytes 0 to 15 in order; at least one key, and no id twice. Release `*ret`
 * with keys_free. On failure `ret_problem` (KEYS_PROBLEM_SIZE bytes) says in one line what is wrong
 * and where, never what a key is. Errors: -EBADMSG a line is wrong, or there is no key; those of
 * key_file_open. */
int keys_load(const char *path, struct keys **ret, char *ret_problem);

/* Overwrite and free. NULL is fine. */
void keys_free(struct keys *keys);

/* Judge a native datagram that wire_decode has accepted as `heartbeat`: WIRE_UNAUTHENTICATED (no
 * tag, an unknown key, a wrong tag), WIRE_STALE (`sent at` more than KEYS_CLOCK_SKEW from
 * `wall_now`, Unix seconds) or WIRE_ACCEPTED. Any thread. */
enum wire_reason keys_verify(const struct keys *keys, const uint8_t *datagram, uint32_t length,
                             const struct wire_heartbeat *heartbeat, int64_t wall_now);

#endif
