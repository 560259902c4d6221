#include "budget.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/atomics.h"

#define SETS          1024
#define SET_WORDS     8 /* a cache line */
#define USED_BITS     24
#define TICK_BITS     16
#define USED_MASK     ((UINT64_C(1) << USED_BITS) - 1)
#define TICK_MASK     ((UINT64_C(1) << TICK_BITS) - 1)
#define OWNER_SHIFT   (USED_BITS + TICK_BITS)
#define TICKS_TO_COME 2 /* one worker may be so many ticks ahead of another */

_Static_assert(BUDGET_LIMIT_MAX <= USED_MASK, "the limit fits its field");

struct budget {
    uint32_t limit;
    _Alignas(64) uint64_t words[SETS][SET_WORDS];
};

int budget_open(uint32_t limit, struct budget **ret)
{
    struct budget *budget = aligned_alloc(_Alignof(struct budget), sizeof(*budget));

    if (!budget)
        return -ENOMEM;
    memset(budget, 0, sizeof(*budget));
    budget->limit = limit;
    *ret = budget;
    return 0;
}

void budget_close(struct budget *budget)
{
    free(budget);
}

uint64_t budget_sender(uint64_t secret, const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const uint8_t *bytes = (const uint8_t *)"";
    size_t length = 0;

    if (address && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        bytes = (const uint8_t *)&v4.sin_addr;
        length = 4;
    } else if (address && address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        bytes = v6.sin6_addr.s6_addr + (mapped ? 12 : 0);
        length = mapped ? 4 : 8;
    }
    return XXH3_64bits_withSeed(bytes, length, secret);
}

static bool is_current(uint64_t word, uint64_t now)
{
    return word && (((word >> USED_BITS) - now) & TICK_MASK) <= TICKS_TO_COME;
}

/* Choose the sender's word, or else a free one, or else another sender's to share. */
static uint64_t *choose_word(uint64_t *set, uint64_t owner, uint64_t now, uint64_t *ret_word)
{
    uint64_t *chosen = NULL;

    for (unsigned i = 0; i < SET_WORDS; i++) {
        uint64_t word = atomic_load_relaxed(&set[i]); /* checked by the swap */
        bool current = is_current(word, now);
        if (current && word >> OWNER_SHIFT == owner) {
            *ret_word = word;
            return &set[i];
        }
        if (!current && !chosen) {
            *ret_word = word;
            chosen = &set[i];
        }
    }
    if (chosen)
        return chosen;
    chosen = &set[owner % SET_WORDS];
    *ret_word = atomic_load_relaxed(chosen); /* checked by the swap */
    return chosen;
}

bool budget_spend(struct budget *budget, uint64_t sender, uint64_t now)
{
    uint64_t *set = budget->words[sender % SETS];
    uint64_t owner = sender >> OWNER_SHIFT;
    uint64_t first = owner << OWNER_SHIFT | (now & TICK_MASK) << USED_BITS | 1;

    for (;;) {
        uint64_t word;
        uint64_t *chosen = choose_word(set, owner, now, &word);
        bool current = is_current(word, now);
        if (current && (word & USED_MASK) >= budget->limit)
            return false;
        if (atomic_swap_if(chosen, &word, current ? word + 1 : first)) /* pairs with itself */
            return true;
    }
}
