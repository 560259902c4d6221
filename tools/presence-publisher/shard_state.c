#include "shard_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_text(struct transaction *transaction, enum engine_shard_field field,
                     const char *text)
{
    engine_request_text(&transaction->request, engine_shard_fields[field]);
    engine_request_text(&transaction->request, text);
}

static void add_integer(struct transaction *transaction, enum engine_shard_field field,
                        int64_t value)
{
    engine_request_text(&transaction->request, engine_shard_fields[field]);
    engine_request_integer(&transaction->request, value);
}

static void add_windows(struct transaction *transaction, const struct scan_windows *windows)
{
    char text[SCAN_WINDOWS_MAX * 12] = "";
    size_t length = 0;

    for (unsigned i = 0; i < windows->count; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%" PRIu32, i ? " " : "",
                                   windows->seconds[i]);
    add_text(transaction, SHARD_FIELD_WINDOWS, text);
}

static void add_host(struct transaction *transaction)
{
    char host[ENGINE_HOST_SIZE] = "";

    gethostname(host, sizeof(host) - 1);
    add_text(transaction, SHARD_FIELD_HOST, host);
}

/* Let the state live for ENGINE_LIFETIME_MS from now on, which tells its age. */
static void add_expiry(struct transaction *transaction, const char *key)
{
    engine_request_begin(&transaction->request, 3);
    engine_request_text(&transaction->request, "PEXPIRE");
    engine_request_text(&transaction->request, key);
    engine_request_integer(&transaction->request, ENGINE_LIFETIME_MS);
}

int shard_state_add(struct transaction *transaction, const struct shard_state *state)
{
    const struct scan *scan = state->scan;
    char key[ENGINE_KEY_MAX], *streams;
    size_t length;
    int r = engine_shard_format_streams(state->figures->streams, state->figures->count, &streams,
                                        &length);

    if (r < 0)
        return r;
    engine_key_shard(transaction->group, transaction->shard, key);
    engine_request_begin(&transaction->request, 2 + 2 * SHARD_FIELD_COUNT);
    engine_request_text(&transaction->request, "HSET");
    engine_request_text(&transaction->request, key);
    add_integer(transaction, SHARD_FIELD_VERSION, ENGINE_VERSION);
    add_text(transaction, SHARD_FIELD_EPOCH, state->epoch);
    add_integer(transaction, SHARD_FIELD_SHARDS, transaction->shards);
    add_windows(transaction, &scan->windows);
    add_integer(transaction, SHARD_FIELD_STALE, scan->stale);
    add_integer(transaction, SHARD_FIELD_UNKNOWN, scan->unknown);
    add_integer(transaction, SHARD_FIELD_WARMING, scan->warming);
    add_integer(transaction, SHARD_FIELD_AS_OF, scan->as_of);
    add_text(transaction, SHARD_FIELD_SEGMENT, state->segment);
    add_host(transaction);
    engine_request_text(&transaction->request, engine_shard_fields[SHARD_FIELD_STREAMS]);
    engine_request_bytes(&transaction->request, streams, length);
    add_integer(transaction, SHARD_FIELD_STREAMS_FULL, state->streams_full);
    free(streams);
    add_expiry(transaction, key);
    return 0;
}

void shard_state_add_stale(struct transaction *transaction)
{
    char key[ENGINE_KEY_MAX];

    if (!transaction->look.epoch[0])
        return;
    engine_key_shard(transaction->group, transaction->shard, key);
    engine_request_add(&transaction->request, "HSET", key, engine_shard_fields[SHARD_FIELD_STALE],
                       "1", NULL);
    add_expiry(transaction, key);
}
