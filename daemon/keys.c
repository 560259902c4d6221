#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/key_text.h"

#define FILE_BYTES_MAX 65536 /* 255 keys take 10 KB */
#define BLANK          " \t\r"

struct reading {
    const char *path;
    struct keys *keys;
    char *problem;
    unsigned line;
};

static int wrong(const struct reading *reading, int error, const char *what)
{
    if (reading->line)
        snprintf(reading->problem, KEYS_PROBLEM_SIZE, "%.400s:%u: %s", reading->path, reading->line,
                 what);
    else
        snprintf(reading->problem, KEYS_PROBLEM_SIZE, "%.400s: %s", reading->path, what);
    return error;
}

/* A key gives whoever reads it the right to change the count. */
static int check_file(const struct reading *reading, int descriptor)
{
    struct stat status;

    if (fstat(descriptor, &status) < 0)
        return wrong(reading, -errno, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return wrong(reading, -EINVAL, "not a regular file");
    if (status.st_uid != geteuid())
        return wrong(reading, -EPERM, "belongs to another user: chown it to the collector's");
    if (status.st_mode & 07177)
        return wrong(reading, -EPERM, "its mode gives more than its owner needs: chmod 600");
    return 0;
}

/* Read the whole file into `text` of FILE_BYTES_MAX bytes, and end it with a zero. */
static int read_text(const struct reading *reading, int descriptor, char *text)
{
    size_t length = 0;

    for (;;) {
        ssize_t r = read(descriptor, text + length, FILE_BYTES_MAX - length);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return wrong(reading, -errno, strerror(errno));
        if (r == 0)
            break;
        length += (size_t)r;
        if (length == FILE_BYTES_MAX)
            return wrong(reading, -EFBIG, "too long for a key file");
    }
    text[length] = '\0';
    if (strlen(text) != length)
        return wrong(reading, -EBADMSG, "has a zero byte: not a key file");
    return 0;
}

static int load_text(const struct reading *reading, char *text)
{
    /* O_NONBLOCK: a FIFO must not hold us up. */
    int descriptor = open(reading->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (descriptor < 0)
        return wrong(reading, -errno, strerror(errno));
    int r = check_file(reading, descriptor);
    if (r == 0)
        r = read_text(reading, descriptor, text);
    close(descriptor);
    return r;
}

static bool parse_key(const char *word, struct siphash_key *ret)
{
    uint8_t bytes[SIPHASH_KEY_SIZE];
    bool valid = key_text_bytes(word, (uint32_t)strlen(word), bytes);

    if (valid)
        *ret = siphash_key(bytes);
    explicit_bzero(bytes, sizeof(bytes));
    return valid;
}

static int take_line(struct reading *reading, char *line)
{
    char *rest = NULL;

    line[strcspn(line, "#")] = '\0';
    const char *id_word = strtok_r(line, BLANK, &rest);
    if (!id_word)
        return 0;
    const char *key_word = strtok_r(NULL, BLANK, &rest);
    if (!key_word || strtok_r(NULL, BLANK, &rest))
        return wrong(reading, -EBADMSG, "a line is a key's id and its 32 hex digits");
    uint8_t id = key_text_id(id_word, (uint32_t)strlen(id_word));
    if (id == 0)
        return wrong(reading, -EBADMSG, "a key's id is a number from 1 to 255");
    if (reading->keys->known[id])
        return wrong(reading, -EBADMSG, "a second key with this id");
    if (!parse_key(key_word, &reading->keys->keys[id]))
        return wrong(reading, -EBADMSG, "a key is 32 hex digits");
    reading->keys->known[id] = true;
    reading->keys->count++;
    return 0;
}

static int take_lines(struct reading *reading, char *text)
{
    int r = 0;

    while (r == 0 && text) {
        char *line = strsep(&text, "\n");
        reading->line++;
        r = take_line(reading, line);
    }
    if (r == 0 && reading->keys->count == 0) {
        reading->line = 0;
        r = wrong(reading, -EBADMSG, "has no key: nothing could be authenticated");
    }
    return r;
}

int keys_read(const char *path, struct keys **ret, char *ret_problem)
{
    struct reading reading = {.path = path, .problem = ret_problem};
    char *text = calloc(1, FILE_BYTES_MAX);
    int r;

    reading.keys = calloc(1, sizeof(*reading.keys));
    if (!text || !reading.keys)
        r = wrong(&reading, -ENOMEM, strerror(ENOMEM));
    else
        r = load_text(&reading, text);
    if (r == 0)
        r = take_lines(&reading, text);
    if (text)
        explicit_bzero(text, FILE_BYTES_MAX);
    free(text);
    if (r < 0)
        keys_free(reading.keys);
    else
        *ret = reading.keys;
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
        !siphash_tag_is(keys->keys[id], datagram, length - WIRE_TAG_SIZE, heartbeat->tag))
        return WIRE_UNAUTHENTICATED;
    int64_t difference = wall_now - (int64_t)heartbeat->sent_at;
    if (difference > KEYS_CLOCK_SKEW || difference < -KEYS_CLOCK_SKEW)
        return WIRE_STALE;
    return WIRE_ACCEPTED;
}
