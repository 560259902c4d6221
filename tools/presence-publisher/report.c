#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/monotonic.h"

#define LOSS_NS (60 * NS_PER_S) /* without another loss, after which one is logged again */

void report_trouble(struct publisher *publisher, const char *what)
{
    char text[sizeof(publisher->trouble.text)];

    snprintf(text, sizeof(text), "%s%s", what, publisher->transaction.problem);
    if (strcmp(text, publisher->trouble.text) != 0)
        log_line("cannot use the engine %s: %s", publisher->options->engine.url, text);
    publisher->trouble = (struct publisher_trouble){0};
    memcpy(publisher->trouble.text, text, sizeof(text));
}

void report_success(struct publisher *publisher)
{
    const struct options *options = publisher->options;

    if (publisher->is_publishing)
        return;
    log_line("publishing shard %" PRIu32 " of %" PRIu32 " of the group %s to %s%s", options->shard,
             options->shards, options->group, engine_link_peer(publisher->link),
             publisher->trouble.text[0] ? " again" : "");
    publisher->trouble.text[0] = '\0';
}

void report_registered(struct publisher *publisher)
{
    const struct transaction *transaction = &publisher->transaction;
    uint32_t other = transaction->registered == transaction->shards ? 0 : transaction->registered;

    if (other && other != publisher->registered)
        log_line("the engine knows the group %s with %" PRIu32 " shard%s, not %" PRIu32
                 ": nobody reads this shard. Give all publishers of a group the same N of "
                 "--shard K/N; for another N begin a new group, or stop its publishers and "
                 "remove it with presencectl forget %s",
                 transaction->group, other, other == 1 ? "" : "s", transaction->shards,
                 transaction->group);
    publisher->registered = other;
}

void report_loss(struct publisher *publisher)
{
    const struct transaction_look *look = &publisher->transaction.look;
    int64_t now = monotonic_ns();

    if (look->connection == publisher->connection && look->evicted > publisher->evicted) {
        report_eviction(publisher);
        return;
    }
    if (!publisher->lost_ns || now - publisher->lost_ns > LOSS_NS)
        log_line("the engine %s has lost what was written, or the connection: writing all of it "
                 "anew",
                 publisher->options->engine.url);
    publisher->lost_ns = now;
}

void report_eviction(struct publisher *publisher)
{
    if (!publisher->was_evicted)
        log_line("the engine %s has removed counts of this shard: writing all of them anew. Set "
                 "its maxmemory-policy to noeviction, or give it more memory",
                 publisher->options->engine.url);
    publisher->was_evicted = true;
}

void publisher_describe(const struct publisher *publisher, char ret[PUBLISHER_STATUS_SIZE])
{
    const struct options *options = publisher->options;
    char what[64];

    snprintf(what, sizeof(what), "shard %" PRIu32 "/%" PRIu32, options->shard, options->shards);
    if (publisher->rival.owner[0])
        snprintf(ret, PUBLISHER_STATUS_SIZE, "waiting: another publisher owns %s of %s", what,
                 options->group);
    else if (!publisher->is_publishing && publisher->trouble.text[0])
        snprintf(ret, PUBLISHER_STATUS_SIZE, "not publishing %s of %s: see the log", what,
                 options->group);
    else if (!publisher->moment.exists)
        snprintf(ret, PUBLISHER_STATUS_SIZE, "waiting for the segment %s", options->segment);
    else
        snprintf(ret, PUBLISHER_STATUS_SIZE, "publishing %s of %s%s", what, options->group,
                 publisher->moment.stale ? ", whose collector is stale" : "");
}
