#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/key_file.h"

/* Add the key of a line. Returns NULL, or what is wrong with it. */
static const char *add_line(struct keys *keys, const char *line)
{
    struct key key;

    if (key_parse(line, ' ', &key) < 0)
        return "a line is ID HEX32: a number from 1 to 255, and 32 hex digits";
    bool is_new = !keys->known[key.id];
    if (is_new) {
        keys->known[key.id] = true;
        keys->keys[key.id] = siphash_key(key.bytes);
        keys->count++;
    }
    explicit_bzero(&key, sizeof(key));
    return is_new ? NULL : "a second key with this id";
}

/* Add the keys of all lines. `*ret_line`: the number of the wrong one; 0: it is the whole file. */
static int add_lines(struct keys *keys, const char *path, unsigned *ret_line,
                     const char **ret_problem)
{
    struct key_file file;
    int r = key_file_open(path, &file, ret_problem);

    if (r < 0)
        return r;
    for (char *line; !*ret_problem && (line = key_file_line(&file)) != NULL;) {
        *ret_problem = add_line(keys, line);
        *ret_line = *ret_problem ? file.line : 0;
    }
    key_file_close(&file);
    if (!*ret_problem && keys->count == 0)
        *ret_problem = "has no key: nothing could be authenticated";
    return *ret_problem ? -EBADMSG : 0;
}

int keys_load(const char *path, struct keys **ret, char *ret_problem)
{
    const char *problem = NULL;
    unsigned line = 0;
    struct keys *keys = calloc(1, sizeof(*keys));
    int r = keys ? add_lines(keys, path, &line, &problem) : -ENOMEM;

    if (r == 0) {
        *ret = keys;
        return 0;
    }
    keys_free(keys);
    if (!problem)
        problem = strerror(-r);
    if (line)
        snprintf(ret_problem, KEYS_PROBLEM_SIZE, "%.400s:%u: %s", path, line, problem);
    else
        snprintf(ret_problem, KEYS_PROBLEM_SIZE, "%.400s: %s", path, problem);
    return r;
}

void keys_free(struct keys *keys)
{
    if (keys)
        explicit_bzero(keys, sizeof(*keys));
    free(keys);
}

enum wire_reason keys_verify(const struct keys *keys, const uint8_t *datagram, uint32_t length,
                             const struct wire_heartbeat *heartbeat, int64_t wall_now)
{
    uint8_t id = heartbeat->key_id;

    if (!heartbeat->authenticated || !keys->known[id] ||
        !siphash_tag_matches(keys->keys[id], datagram, length - WIRE_TAG_SIZE, heartbeat->tag))
        return WIRE_UNAUTHENTICATED;
    int64_t difference = wall_now - (int64_t)heartbeat->sent_at;
    if (difference > KEYS_CLOCK_SKEW || difference < -KEYS_CLOCK_SKEW)
        return WIRE_STALE;
    return WIRE_ACCEPTED;
}
