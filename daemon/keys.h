/* keys.h - the keys that authenticated datagrams are signed with, and the judgement of their tags.
 *
 * A set of keys never changes once it is read: workers may use it without a lock. Whoever replaces
 * the set that they use frees the old one after every worker has passed a batch boundary.
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

/* Read a key file: a line `ID HEX32` for each key, ID 1 to 255 in decimal, 32 hex digits for the
 * key's bytes 0 to 15 in order; # begins a comment; at least one key, and no id twice. It has to be
 * a regular file that belongs to the user we run as, and nobody else may have any right on it.
 * `*ret` is to be freed with keys_free. When it fails, `ret_problem` (KEYS_PROBLEM_SIZE bytes) says
 * in one line what is wrong and where, never what a key is.
 * Errors: -EBADMSG a line is wrong, or there is no key; -EPERM owner or mode; -EINVAL no regular
 * file; -EFBIG; -ENOMEM; those of open and read. */
int keys_read(const char *path, struct keys **ret, char *ret_problem);

/* Overwrite and free. NULL is fine. */
void keys_free(struct keys *keys);

/* Judge a native datagram that wire_decode has accepted as `heartbeat`: WIRE_UNAUTHENTICATED (no
 * tag, an unknown key, a wrong tag), WIRE_STALE (`sent at` more than KEYS_CLOCK_SKEW from
 * `wall_now`, Unix seconds) or WIRE_ACCEPTED. Any thread. */
enum wire_reason keys_verify(const struct keys *keys, const uint8_t *datagram, uint32_t length,
                             const struct wire_heartbeat *heartbeat, int64_t wall_now);

#endif
