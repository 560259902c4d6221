#include "accounts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define VERSION     1u
#define COUNT_MAX   (UINT64_C(1) << 60) /* no sum of four overflows */

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* Add to a number that this thread alone stores. Pairs with accounts_load. */
static void add(uint64_t *number, uint64_t value)
{
    if (value)
        __atomic_store_n(number, *number + value, __ATOMIC_RELAXED);
}

static uint64_t sum_of_gone(const struct account *account)
{
    return account->heartbeats + account->dropped + account->lost;
}

/* ---- what the last relay left --------------------------------------------------------------- */

static bool is_terminated(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

/* True if a relay can have left this account, wherever it was killed. */
static bool is_sound(const struct account *account)
{
    if (account->group[0] == '\0')
        return true;
    return is_terminated(account->group, sizeof(account->group)) &&
           is_terminated(account->address, sizeof(account->address)) && account->shards >= 1 &&
           account->shards <= SHARDS_MAX && account->shard >= 1 &&
           account->shard <= account->shards && account->queued <= COUNT_MAX &&
           account->heartbeats <= COUNT_MAX && account->dropped <= COUNT_MAX &&
           account->lost <= COUNT_MAX && sum_of_gone(account) <= account->queued &&
           account->datagrams <= COUNT_MAX && account->failed <= COUNT_MAX &&
           account->refused <= COUNT_MAX;
}

static bool is_same(const struct account *account, const char *group, uint32_t shard,
                    uint32_t shards)
{
    return strcmp(account->group, group) == 0 && account->shard == shard &&
           account->shards == shards;
}

static bool is_double(const struct accounts_memory *memory, uint32_t index)
{
    const struct account *account = &memory->all[index];

    for (uint32_t i = 0; account->group[0] && i < index; i++) {
        if (is_same(&memory->all[i], account->group, account->shard, account->shards))
            return true;
    }
    return false;
}

static bool are_counts_sound(const struct accounts_memory *memory)
{
    const struct decoder_counts *counts = &memory->counts;
    const uint64_t others[] = {memory->socket_drops,       counts->datagrams_received,
                               counts->datagrams_accepted, counts->datagrams_empty,
                               counts->heartbeats,         counts->labels_invalid,
                               counts->rooms_too_long,     counts->streams_expected,
                               counts->streams_received,   counts->streams_full};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i] > COUNT_MAX)
            return false;
    }
    for (unsigned i = 0; i < DECODER_REASONS; i++) {
        if (counts->datagrams_rejected[i] > COUNT_MAX)
            return false;
    }
    return true;
}

/* Return what makes it impossible to go on with the memory, or NULL. */
static const char *find_fault(const struct accounts_memory *memory)
{
    if (memory->version != VERSION)
        return "this version of presence-relay did not write them";
    if (memory->used > ACCOUNTS_MAX || !are_counts_sound(memory))
        return "they have impossible numbers";
    for (uint32_t i = 0; i < memory->used; i++) {
        if (!is_sound(&memory->all[i]))
            return "one of them is impossible";
        if (is_double(memory, i))
            return "two of them are for one shard";
    }
    return NULL;
}

/* Count as lost what waited when the last relay was killed: one that ends leaves nothing. */
static void settle(struct account *account)
{
    uint64_t waited = account->queued - sum_of_gone(account);

    if (!account->group[0] || !waited)
        return;
    account->lost += waited;
    log_line("the last relay was killed while up to %" PRIu64 " heartbeats for %s/%" PRIu32
             " %s waited: lost",
             waited, account->group, account->shard, account->address);
}

int accounts_open(void *memory, struct accounts **ret)
{
    struct accounts *accounts = calloc(1, sizeof(*accounts));

    if (!accounts)
        return -ENOMEM;
    accounts->memory = memory;
    const char *fault = accounts->memory->version ? find_fault(memory) : NULL;
    if (fault)
        log_line("cannot go on with the last relay's accounts: %s; beginning at 0", fault);
    if (fault || accounts->memory->version == 0)
        memset(memory, 0, sizeof(*accounts->memory));
    accounts->memory->version = VERSION;
    for (uint32_t i = 0; i < accounts->memory->used; i++)
        settle(&accounts->memory->all[i]);
    *ret = accounts;
    return 0;
}

void accounts_close(struct accounts *accounts)
{
    free(accounts);
}

/* ---- accounts ------------------------------------------------------------------------------- */

/* Begin an account in a free place, or return NULL. The name is stored last: until then the place
 * is nobody's, wherever the relay is killed. */
static struct account *begin(struct accounts_memory *memory, const char *group, uint32_t shard,
                             uint32_t shards)
{
    uint32_t i = 0;

    while (i < memory->used && memory->all[i].group[0])
        i++;
    if (i == ACCOUNTS_MAX)
        return NULL;
    memset(&memory->all[i], 0, sizeof(memory->all[i]));
    memory->all[i].shard = shard;
    memory->all[i].shards = shards;
    if (i == memory->used)
        memory->used++;
    snprintf(memory->all[i].group, GROUP_NAME_SIZE, "%s", group);
    return &memory->all[i];
}

bool accounts_is_held(const struct accounts *accounts, uint32_t index)
{
    /* Pairs with accounts_release: what was recorded before is seen. */
    return accounts->memory->all[index].group[0] &&
           __atomic_load_n(&accounts->users[index], __ATOMIC_ACQUIRE) > 0;
}

/* Find an account of the group with another number of shards, or return `used`. */
static uint32_t find_other(const struct accounts_memory *memory, const char *group, uint32_t shards)
{
    uint32_t i = 0;

    while (i < memory->used &&
           (strcmp(memory->all[i].group, group) != 0 || memory->all[i].shards == shards))
        i++;
    return i;
}

static int find_or_begin(struct accounts *accounts, const char *group, uint32_t shard,
                         uint32_t shards, struct account **ret)
{
    struct accounts_memory *memory = accounts->memory;
    uint32_t other = find_other(memory, group, shards);

    for (uint32_t i = 0; i < memory->used; i++) {
        if (is_same(&memory->all[i], group, shard, shards)) {
            *ret = &memory->all[i];
            return 0;
        }
    }
    if (other < memory->used && accounts_is_held(accounts, other))
        return -EBUSY;
    if (other < memory->used && shard == 1)
        log_line("group %s has %" PRIu32 " instead of %" PRIu32
                 " shards now: most visitors count in two of them until a window has passed; begin "
                 "a new group instead",
                 group, shards, memory->all[other].shards);
    *ret = begin(memory, group, shard, shards);
    return *ret ? 0 : -ENOSPC;
}

int accounts_hold(struct accounts *accounts, const char *group, uint32_t shard, uint32_t shards,
                  const char *address, struct account **ret)
{
    struct account *account;
    int r = find_or_begin(accounts, group, shard, shards, &account);

    if (r < 0)
        return r;
    snprintf(account->address, sizeof(account->address), "%s", address);
    /* Pairs with accounts_release. */
    __atomic_fetch_add(&accounts->users[account - accounts->memory->all], 1, __ATOMIC_ACQUIRE);
    *ret = account;
    return 0;
}

void accounts_release(struct accounts *accounts, const struct account *account)
{
    /* Pairs with accounts_is_held: what was recorded is seen by whoever finds it free. */
    __atomic_fetch_sub(&accounts->users[account - accounts->memory->all], 1, __ATOMIC_RELEASE);
}

static void log_end(const struct account *account)
{
    char text[ACCOUNT_TEXT_SIZE];

    account_describe(account, text);
    log_line("no longer sends to %s", text);
}

void accounts_forget(struct accounts *accounts)
{
    struct accounts_memory *memory = accounts->memory;

    for (uint32_t i = 0; i < memory->used; i++) {
        struct account *account = &memory->all[i];
        if (!account->group[0] || accounts_is_held(accounts, i))
            continue;
        if (account->queued || account->datagrams)
            log_end(account);
        account->group[0] = '\0';
    }
}

/* ---- numbers -------------------------------------------------------------------------------- */

void accounts_add_drops(struct accounts *accounts, uint64_t drops)
{
    add(&accounts->memory->socket_drops, drops);
}

void account_record(struct account *account, struct account_progress *progress,
                    const struct presence_sender *sender, bool is_flushed)
{
    struct presence_sender_totals now, *last = &progress->totals;

    presence_sender_totals(sender, &now);
    add(&account->heartbeats, now.heartbeats - last->heartbeats);
    add(&account->datagrams, now.datagrams - last->datagrams);
    add(&account->failed, now.failed - last->failed);
    add(&account->refused, now.refused - last->refused);
    *last = now;
    if (!is_flushed)
        return;
    uint64_t dropped = progress->queued - now.heartbeats;
    add(&account->dropped, dropped - progress->dropped);
    progress->dropped = dropped;
}

/* Copy an account that the worker may store to. */
static void load(const struct account *account, struct account *ret)
{
    memcpy(ret->group, account->group, sizeof(ret->group));
    memcpy(ret->address, account->address, sizeof(ret->address));
    ret->shard = account->shard;
    ret->shards = account->shards;
    ret->heartbeats = LOAD(account->heartbeats);
    ret->dropped = LOAD(account->dropped);
    ret->lost = LOAD(account->lost);
    ret->datagrams = LOAD(account->datagrams);
    ret->failed = LOAD(account->failed);
    ret->refused = LOAD(account->refused);
    ret->queued = LOAD(account->queued); /* the last that is loaded, and the first that is stored */
    if (ret->queued < sum_of_gone(ret))
        ret->queued = sum_of_gone(ret);
}

static void load_counts(const struct decoder_counts *counts, struct decoder_counts *ret)
{
    ret->datagrams_accepted = LOAD(counts->datagrams_accepted);
    ret->datagrams_received = ret->datagrams_accepted;
    for (unsigned i = 0; i < DECODER_REASONS; i++) {
        ret->datagrams_rejected[i] = LOAD(counts->datagrams_rejected[i]);
        ret->datagrams_received += ret->datagrams_rejected[i];
    }
    ret->datagrams_empty = LOAD(counts->datagrams_empty);
    ret->heartbeats = LOAD(counts->heartbeats);
    ret->labels_invalid = LOAD(counts->labels_invalid);
    ret->rooms_too_long = LOAD(counts->rooms_too_long);
    ret->streams_expected = LOAD(counts->streams_expected);
    ret->streams_received = LOAD(counts->streams_received);
    ret->streams_full = LOAD(counts->streams_full);
}

int accounts_load(const struct accounts *accounts, struct accounts_view *ret)
{
    const struct accounts_memory *memory = accounts->memory;
    struct account *all = calloc(memory->used + 1, sizeof(*all));

    if (!all)
        return -ENOMEM;
    *ret = (struct accounts_view){.socket_drops = memory->socket_drops, .all = all};
    load_counts(&memory->counts, &ret->counts);
    for (uint32_t i = 0; i < memory->used; i++) {
        if (accounts_is_held(accounts, i))
            load(&memory->all[i], &all[ret->count++]);
    }
    return 0;
}

void accounts_view_free(struct accounts_view *view)
{
    free(view->all);
    view->all = NULL;
}

uint64_t account_waiting(const struct account *account)
{
    return account->queued - sum_of_gone(account);
}

void account_describe(const struct account *account, char ret[ACCOUNT_TEXT_SIZE])
{
    snprintf(ret, ACCOUNT_TEXT_SIZE,
             "%s/%" PRIu32 " %s: %" PRIu64 " heartbeats in %" PRIu64 " datagrams, %" PRIu64
             " failed, %" PRIu64 " refused; %" PRIu64 " heartbeats dropped, %" PRIu64 " lost",
             account->group, account->shard, account->address, account->heartbeats,
             account->datagrams, account->failed, account->refused, account->dropped,
             account->lost);
}
