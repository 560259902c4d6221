#include "reach.h"

#include <inttypes.h>
#include <string.h>

#include "common/log.h"

static void log_away(const struct account *account, bool has_failed)
{
    log_line("cannot reach %s, shard %" PRIu32 " of group %s: %s; what it misses is not sent again",
             account->address, account->shard, account->group,
             has_failed ? "there is no route, or the socket's buffer is full"
                        : "no collector receives there, or a firewall rejects it");
}

static void log_back(const struct account *account)
{
    log_line("no more errors from %s, shard %" PRIu32 " of group %s", account->address,
             account->shard, account->group);
}

/* Check one account. Returns true if that logs a line. */
static bool check(struct reach *reach, const struct account *account, uint32_t index)
{
    /* Both pair with account_record. */
    uint64_t failed = __atomic_load_n(&account->failed, __ATOMIC_RELAXED);
    uint64_t refused = __atomic_load_n(&account->refused, __ATOMIC_RELAXED);
    typeof(&reach->all[0]) state = &reach->all[index];
    bool has_failed = state->is_known && failed != state->failed;
    bool has_errors = has_failed || (state->is_known && refused != state->refused);
    bool was_away = state->is_away;

    state->is_known = true;
    state->failed = failed;
    state->refused = refused;
    state->quiet = has_errors ? 0 : state->quiet + 1;
    state->is_away = has_errors || (was_away && state->quiet < REACH_QUIET);
    if (state->is_away && !was_away)
        log_away(account, has_failed);
    else if (!state->is_away && was_away)
        log_back(account);
    return state->is_away != was_away;
}

void reach_check(struct reach *reach, const struct accounts *accounts)
{
    unsigned lines = 0;

    for (uint32_t i = 0; i < accounts->memory->used && lines < REACH_LINES; i++) {
        if (!accounts_is_held(accounts, i))
            memset(&reach->all[i], 0, sizeof(reach->all[i]));
        else if (check(reach, &accounts->memory->all[i], i))
            lines++;
    }
}
