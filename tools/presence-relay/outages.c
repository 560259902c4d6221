#include "outages.h"

#include <inttypes.h>
#include <string.h>

#include "common/log.h"

static void log_begin(const struct account *account, bool has_failed)
{
    log_line("cannot reach %s, shard %" PRIu32 " of group %s: %s; what it misses is not sent again",
             account->address, account->shard, account->group,
             has_failed ? "there is no route, or the socket's buffer is full"
                        : "no collector receives there, or a firewall rejects it");
}

static void log_end(const struct account *account)
{
    log_line("no error from %s, shard %" PRIu32 " of group %s, for a minute", account->address,
             account->shard, account->group);
}

/* Check one account. Returns true if that logs a line. */
static bool check(struct outages *outages, const struct account *account, uint32_t index)
{
    /* Both pair with account_record. */
    uint64_t failed = __atomic_load_n(&account->failed, __ATOMIC_RELAXED);
    uint64_t refused = __atomic_load_n(&account->refused, __ATOMIC_RELAXED);
    struct outage *state = &outages->all[index];
    bool has_failed = state->is_known && failed != state->failed;
    bool has_errors = has_failed || (state->is_known && refused != state->refused);
    bool was_out = state->is_out;

    state->is_known = true;
    state->failed = failed;
    state->refused = refused;
    state->quiet = has_errors ? 0 : state->quiet + 1;
    state->is_out = has_errors || (was_out && state->quiet < OUTAGES_QUIET);
    if (state->is_out && !was_out)
        log_begin(account, has_failed);
    else if (!state->is_out && was_out)
        log_end(account);
    return state->is_out != was_out;
}

void outages_check(struct outages *outages, const struct accounts *accounts)
{
    unsigned lines = 0;

    for (uint32_t i = 0; i < accounts->memory->used && lines < OUTAGES_LINES; i++) {
        if (!accounts_is_held(accounts, i))
            memset(&outages->all[i], 0, sizeof(outages->all[i]));
        else if (check(outages, &accounts->memory->all[i], i))
            lines++;
    }
}
