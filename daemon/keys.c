#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_key(void *context, const struct key *key)
{
    struct keys *keys = context;

    keys->known[key->id] = true;
    keys->keys[key->id] = siphash_key(key->bytes);
    keys->count++;
}

int keys_load(const char *path, struct keys **ret, char ret_problem[KEY_FILE_PROBLEM_SIZE])
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (!keys) {
        snprintf(ret_problem, KEY_FILE_PROBLEM_SIZE, "%.400s: %s", path, strerror(ENOMEM));
        return -ENOMEM;
    }
    int r = key_file_load(path, add_key, keys, ret_problem);
    if (r == 0)
        *ret = keys;
    else
        keys_free(keys);
    return r;
}

void keys_free(struct keys *keys)
{
    if (keys)
        explicit_bzero(keys, sizeof(*keys));
    free(keys);
}

enum wire_reason keys_verify(const struct keys *keys, const uint8_t *datagram, uint32_t length,
                             uint8_t key_id, uint32_t sent_at, int64_t wall_now)
{
    uint32_t signed_length = length - WIRE_TAG_SIZE;

    /* Without a tag, the key id is 0, which no key has. */
    if (!keys->known[key_id] ||
        !siphash_tag_matches(keys->keys[key_id], datagram, signed_length, datagram + signed_length))
        return WIRE_UNAUTHENTICATED;
    int64_t difference = wall_now - (int64_t)sent_at;
    if (difference > KEYS_CLOCK_SKEW || difference < -KEYS_CLOCK_SKEW)
        return WIRE_STALE;
    return WIRE_ACCEPTED;
}
