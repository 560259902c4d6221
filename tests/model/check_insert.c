/* check_insert.c - every interleaving of the protocol in insert_protocol.h, for a few writers.
 *
 * All reachable states are visited, breadth first, so that a violation comes with a shortest trace.
 * The protocols that were found to be wrong are searched, too, and the search must find their
 * faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "insert_protocol.h"

#define WRITER_BITS (4 + 2 + 2 + 2 * SLOTS_MAX)

/* The states found, packed, in the order of discovery, and an index by hash. */
struct search {
    uint64_t *states;
    uint32_t *parents;
    uint32_t *index; /* `base` + state's number; below `base`: none, or one of an earlier search */
    uint32_t base, count, capacity;
};

static uint64_t pack_writer(const struct writer *writer)
{
    uint64_t packed = writer->step;

    packed = packed << 2 | writer->slot;
    packed = packed << 1 | writer->is_raised;
    packed = packed << 1 | writer->is_late;

    for (unsigned j = 0; j < SLOTS_MAX; j++)
        packed = packed << 2 | writer->seen[j];
    return packed;
}

/* Pack a state. Writers with the same tick are equivalent, so they are packed in one order. */
static uint64_t pack(const struct setup *setup, const struct state *state)
{
    uint64_t writers[WRITERS_MAX], packed = 0;

    for (unsigned i = 0; i < WRITERS_MAX; i++) {
        unsigned place = i;
        uint64_t writer = pack_writer(&state->writers[i]);
        for (; place > 0 && i < setup->writers && setup->ticks[place - 1] == setup->ticks[i] &&
               writers[place - 1] > writer;
             place--)
            writers[place] = writers[place - 1];
        writers[place] = writer;
    }
    for (unsigned i = 0; i < WRITERS_MAX; i++)
        packed = packed << WRITER_BITS | writers[i];
    for (unsigned j = 0; j < SLOTS_MAX; j++)
        packed = packed << 2 | state->slots[j];
    return packed;
}

static unsigned unpack_bits(uint64_t *packed, unsigned bits)
{
    unsigned value = (unsigned)(*packed & ((1U << bits) - 1));

    *packed >>= bits;
    return value;
}

static struct state unpack(uint64_t packed)
{
    struct state state;

    for (unsigned j = SLOTS_MAX; j-- > 0;)
        state.slots[j] = (uint8_t)unpack_bits(&packed, 2);
    for (unsigned i = WRITERS_MAX; i-- > 0;) {
        struct writer *writer = &state.writers[i];
        for (unsigned j = SLOTS_MAX; j-- > 0;)
            writer->seen[j] = (uint8_t)unpack_bits(&packed, 2);
        writer->is_late = unpack_bits(&packed, 1);
        writer->is_raised = unpack_bits(&packed, 1);
        writer->slot = (uint8_t)unpack_bits(&packed, 2);
        writer->step = (uint8_t)unpack_bits(&packed, 4);
    }
    return state;
}

static void search_open(struct search *search)
{
    search->capacity = 1 << 23;
    search->states = malloc(search->capacity * sizeof(*search->states));
    search->parents = malloc(search->capacity * sizeof(*search->parents));
    search->index = calloc(2 * (size_t)search->capacity, sizeof(*search->index));
    search->base = 1;
    if (!search->states || !search->parents || !search->index)
        fail_msg("no memory for %u states", search->capacity);
}

static void search_close(struct search *search)
{
    free(search->states);
    free(search->parents);
    free(search->index);
}

static void search_add(struct search *search, uint64_t packed, uint32_t parent)
{
    uint32_t mask = 2 * search->capacity - 1;
    uint32_t hash = (uint32_t)(packed * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;

    for (; search->index[hash] >= search->base; hash = (hash + 1) & mask)
        if (search->states[search->index[hash] - search->base] == packed)
            return;
    if (search->count == search->capacity)
        fail_msg("more than %u states", search->capacity);
    search->index[hash] = search->base + search->count;
    search->states[search->count] = packed;
    search->parents[search->count++] = parent;
}

static void print_trace(const struct search *search, const struct setup *setup, uint32_t last)
{
    static const char *const names[] = {"START",       "FIND",   "REFRESH", "REMOVE",
                                        "FIND_FREE",   "INSERT", "SCAN",    "RAISE",
                                        "RAISE_FIRST", "CLEAR",  "DONE",    "FULL"};
    uint32_t path[256], length = 0;

    while (last && length < 255) {
        path[length++] = last;
        last = search->parents[last];
    }
    while (length) {
        struct state state = unpack(search->states[path[--length]]);
        print_message("  slots");
        for (unsigned i = 0; i < setup->slots; i++)
            print_message(" %u", state.slots[i]);
        for (unsigned i = 0; i < setup->writers; i++)
            print_message("  | %u: %s %u", setup->ticks[i], names[state.writers[i].step],
                          state.writers[i].slot);
        print_message("\n");
    }
}

/* Visit all states of a setup. Returns the violation, or NULL. */
static const char *explore(struct search *search, const struct setup *setup, bool trace)
{
    struct state first = {0};

    search->base += search->count;
    search->count = 0;
    memcpy(first.slots, setup->initial, sizeof(first.slots));
    search_add(search, pack(setup, &first), 0);
    for (uint32_t i = 0; i < search->count; i++) {
        struct state state = unpack(search->states[i]);
        const char *violation = protocol_judge(setup, &state);
        if (violation) {
            if (trace)
                print_trace(search, setup, i);
            return violation;
        }
        for (unsigned number = 0; number < setup->writers; number++) {
            for (unsigned choice = 0; choice < setup->slots; choice++) {
                struct state next = state;
                if (protocol_advance(setup, &next, number, choice))
                    search_add(search, pack(setup, &next), i);
            }
        }
    }
    return NULL;
}

/* ---- setups ------------------------------------------------------------------------------ */

struct tally {
    uint64_t setups, states;
    const char *violation;
};

/* True if the table may begin like this: empty, or the key in one slot; and if all writers leave,
 * in several, as a daemon killed between swap and scan may have left it. */
static bool is_initial(const struct setup *setup, unsigned places)
{
    bool is_single = (places & (places - 1)) == 0;

    return is_single || setup->ticks[setup->writers - 1] == LEAVE;
}

/* Explore every initial table, for one choice of writers. Stops at a violation. */
static void explore_writers(struct search *search, struct setup *setup, struct tally *tally,
                            bool trace)
{
    for (unsigned places = 0; places < 1U << setup->slots && !tally->violation; places++) {
        if (!is_initial(setup, places))
            continue;
        for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
            setup->initial[slot] = places >> slot & 1;
        tally->violation = explore(search, setup, trace);
        tally->setups++;
        tally->states += search->count;
    }
}

/* Explore every choice of writers: any number that leave, or have one of two ticks. */
static struct tally explore_all(unsigned writers, unsigned slots, enum fault fault, bool trace)
{
    struct setup setup = {.writers = writers, .slots = slots, .fault = fault};
    struct tally tally = {0};
    struct search search = {0};

    search_open(&search);
    for (unsigned leaves = 0; leaves <= writers; leaves++) {
        for (unsigned early = 0; early + leaves <= writers; early++) {
            for (unsigned i = 0; i < WRITERS_MAX; i++) /* those that don't play, too */
                setup.ticks[i] = i < leaves ? LEAVE : i < leaves + early ? 2 : NEWEST;
            explore_writers(&search, &setup, &tally, trace);
        }
    }
    search_close(&search);
    return tally;
}

static void the_protocol_holds(void **state)
{
    (void)state;
    for (unsigned writers = 2; writers <= WRITERS_MAX; writers++) {
        unsigned most = writers < WRITERS_MAX ? SLOTS_MAX : 2; /* 4 x 3: more than memory holds */
        for (unsigned slots = 2; slots <= most; slots++) {
            struct tally tally = explore_all(writers, slots, NONE, true);
            print_message("%u writers, %u slots: %llu setups, %llu states\n", writers, slots,
                          (unsigned long long)tally.setups, (unsigned long long)tally.states);
            if (tally.violation)
                fail_msg("%u writers, %u slots: %s", writers, slots, tally.violation);
        }
    }
}

static void expect_fault(enum fault fault, unsigned writers, unsigned slots, const char *name)
{
    struct tally tally = explore_all(writers, slots, fault, false);

    if (!tally.violation)
        fail_msg("%s: no violation was found", name);
    print_message("%s: %s\n", name, tally.violation);
}

static void what_is_wrong_is_found(void **state)
{
    (void)state;
    expect_fault(NO_SCAN, 2, 2, "first swap wins");
    expect_fault(SCAN_ONCE, 3, 3, "scan once");
    expect_fault(NO_RAISE, 2, 2, "clear without raising the first");
    expect_fault(BLIND_CLEAR, 3, 3, "clear whatever is there");
    expect_fault(FORGET_NEWEST, 4, 2, "insert again at its own tick");
    expect_fault(LEAVE_FIRST_ONLY, 2, 2, "leave the first copy only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_protocol_holds),
        cmocka_unit_test(what_is_wrong_is_found),
    };

    return cmocka_run_group_tests_name("insert", tests, NULL, NULL);
}
