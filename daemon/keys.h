/* keys.h - load the keys that datagrams are signed with, and check their tags.
 *
 * A loaded set of keys never changes, so workers use it without a lock. A set that is replaced is
 * freed after every worker has passed a batch boundary.
 */
#ifndef PRESENCED_KEYS_H
#define PRESENCED_KEYS_H

#include "common/key_file.h"
#include "core/siphash.h"
#include "core/wire.h"

#define KEYS_MAX        KEY_ID_MAX
#define KEYS_CLOCK_SKEW 30 /* seconds that `sent at` may differ from our clock, either way */

struct keys {
    unsigned count;
    bool known[KEYS_MAX + 1];              /* by key id */
    struct siphash_key keys[KEYS_MAX + 1]; /* by key id */
};

/* Load a key file. Errors and `ret_problem` are those of key_file_load. Release `*ret` with
 * keys_free. */
int keys_load(const char *path, struct keys **ret, char ret_problem[KEY_FILE_PROBLEM_SIZE]);

/* Overwrite and free. NULL is fine. */
void keys_free(struct keys *keys);

/* Judge a native datagram that the decoder of its version has accepted with these `key_id` and
 * `sent_at`: WIRE_UNAUTHENTICATED (no tag, an unknown key, a wrong tag), WIRE_STALE (`sent at` more
 * than KEYS_CLOCK_SKEW from `wall_now`, Unix seconds) or WIRE_ACCEPTED. Any thread. */
enum wire_reason keys_verify(const struct keys *keys, const uint8_t *datagram, uint32_t length,
                             uint8_t key_id, uint32_t sent_at, int64_t wall_now);

#endif
