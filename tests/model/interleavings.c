/* interleavings.c - includes table.h with accesses that are steps of a search. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/atomics.h"

static uint64_t step_load(const uint64_t *word);
static bool step_swap(uint64_t *word, uint64_t *expected, uint64_t desired);
static void step_store(uint64_t *word, uint64_t desired);

#undef atomic_load_relaxed
#undef atomic_load_ordered
#undef atomic_store_relaxed
#define atomic_load_relaxed(pointer)         step_load(pointer)
#define atomic_load_ordered(pointer)         step_load(pointer)
#define atomic_store_relaxed(pointer, value) step_store(pointer, value)
#define atomic_swap_if                       step_swap

#include "core/table_sweep.h"
#include "interleavings.h"

#define WORDS_MAX    16  /* different ones, of one setup */
#define ACCESSES_MAX 100 /* of one thread */
#define NODES_MAX    (1u << 19)
#define STATES_MAX   (1u << 23)
#define INDEX_MASK   (2 * STATES_MAX - 1)

enum access_kind { LOAD, SWAP, STORE, NO_ACCESS };

/* A thread after some accesses: the next one, or what it has done in all. */
struct node {
    uint32_t parent, children[WORDS_MAX]; /* by the word that the access finds; 0: not there yet */
    uint8_t depth, found;                 /* accesses before; the word that the last one found */
    uint8_t access, slot;
    uint64_t expected, desired;
    struct result result;
};

const struct table_key interleavings_keys[INTERLEAVINGS_KEYS] = {
    {.fingerprint = UINT64_C(0xaaaaa) << TABLE_TICK_BITS, .pair = {0, 1}},
    {.fingerprint = UINT64_C(0xbbbbb) << TABLE_TICK_BITS, .pair = {1, 0}},
};

/* The slots that change lie in both pairs, in the keys' homes and out of them. */
static const unsigned places[INTERLEAVINGS_SLOTS] = {3, 20, 12};

/* The run of one thread's function. */
static struct {
    const struct setup *setup;
    struct table table;
    jmp_buf at_access;
    unsigned position, length;
    uint64_t found[ACCESSES_MAX];
    struct node *node;
} run;

/* ---- accesses -------------------------------------------------------------------------------- */

static int slot_of(const uint64_t *word)
{
    for (unsigned i = 0; i < run.setup->slots; i++) {
        if (word == &run.table.words[places[i]])
            return (int)i;
    }
    return -1;
}

/* Return the word that the access finds, or leave the function there. */
static uint64_t access_slot(enum access_kind kind, int slot, uint64_t expected, uint64_t desired)
{
    if (run.position < run.length)
        return run.found[run.position++];
    assert_true(slot >= 0);
    run.node->access = (uint8_t)kind;
    run.node->slot = (uint8_t)slot;
    run.node->expected = expected;
    run.node->desired = desired;
    longjmp(run.at_access, 1);
}

static uint64_t step_load(const uint64_t *word)
{
    int slot = slot_of(word);

    return slot < 0 ? *word : access_slot(LOAD, slot, 0, 0);
}

static bool is_blind(enum fault fault, uint64_t expected, uint64_t desired)
{
    bool is_same_key = ((expected ^ desired) & ~TABLE_TICK_MASK) == 0;

    switch (fault) {
    case NO_FAULT:
        return false;
    case BLIND_INSERT:
        return !is_same_key && desired;
    case BLIND_REFRESH:
        return is_same_key;
    case BLIND_CLEAR:
        return desired == 0;
    }
    return false;
}

static bool step_swap(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    uint64_t wanted = *expected;

    if (is_blind(run.setup->fault, wanted, desired)) {
        step_store(word, desired);
        return true;
    }
    *expected = access_slot(SWAP, slot_of(word), wanted, desired);
    return *expected == wanted;
}

static void step_store(uint64_t *word, uint64_t desired)
{
    access_slot(STORE, slot_of(word), 0, desired);
}

static void record_move(void *context, uint64_t tick, int delta)
{
    struct moves *moves = context;
    unsigned i = 0;

    while (i < moves->length && moves->list[i].tick != tick)
        i++;
    assert_true(i < sizeof(moves->list) / sizeof(moves->list[0]));
    if (i == moves->length)
        moves->list[moves->length++].tick = tick;
    moves->list[i].delta += delta;
}

/* ---- threads --------------------------------------------------------------------------------- */

static struct node *nodes; /* the first means none */
static uint32_t node_count;
static uint64_t words[WORDS_MAX]; /* that slots have held; the first is 0 */
static unsigned word_count;

static uint8_t number_of(uint64_t word)
{
    unsigned i = 0;

    while (i < word_count && words[i] != word)
        i++;
    assert_true(i < WORDS_MAX);
    if (i == word_count)
        words[word_count++] = word;
    return (uint8_t)i;
}

/* Run a job's function to its end, or to the first access that is not known yet. */
static void do_job(const struct job *job)
{
    const struct table_key key = interleavings_keys[job->key];
    struct result *result = &run.node->result;

    if (job->kind == HEARTBEAT) {
        struct table_outcome outcome =
            table_upsert(&run.table, key, job->now, record_move, &result->moves);
        result->is_full = outcome.full;
        result->words = (int)outcome.taken - (int)outcome.duplicates;
    } else if (job->kind == LEAVE) {
        result->words = -(int)table_leave(&run.table, key, job->now, record_move, &result->moves);
    } else {
        struct table_swept swept = {0};
        table_sweep(&run.table, 0, run.table.pairs, job->now, &swept);
        result->words = -(int)swept.freed;
    }
}

static void learn_access(const struct setup *setup, const struct job *job, uint32_t number)
{
    run.setup = setup;
    run.table.lone_writer = setup->lone_writer;
    run.node = &nodes[number];
    run.position = 0;
    run.length = run.node->depth;
    for (const struct node *node = run.node; node->depth; node = &nodes[node->parent])
        run.found[node->depth - 1] = words[node->found];
    if (setjmp(run.at_access))
        return;
    do_job(job);
    run.node->access = NO_ACCESS;
}

/* Add the node after an access that found a word; `parent` is 0 before the first one. */
static uint32_t add_node(const struct setup *setup, const struct job *job, uint32_t parent,
                         uint8_t found)
{
    uint32_t number = node_count++;

    if (number == NODES_MAX || nodes[parent].depth == ACCESSES_MAX)
        fail_msg("a thread does not end");
    nodes[number] = (struct node){.parent = parent, .found = found};
    if (parent)
        nodes[number].depth = (uint8_t)(nodes[parent].depth + 1);
    learn_access(setup, job, number);
    return number;
}

static bool has_ended(uint32_t number)
{
    return nodes[number].access == NO_ACCESS;
}

/* ---- states ---------------------------------------------------------------------------------- */

struct state {
    uint32_t threads[INTERLEAVINGS_THREADS]; /* nodes */
    uint8_t slots[INTERLEAVINGS_SLOTS];      /* numbers of words */
    uint8_t late;                            /* a bit for each thread */
};

_Static_assert(sizeof(struct state) == 16, "no bytes between the fields");

static struct {
    struct state *states;
    uint32_t *index; /* `base` + a state's number, by hash; below `base`: of an earlier search */
    uint32_t base, count;
} search;

static bool is_late(const struct setup *setup, const struct state *state, unsigned thread)
{
    const struct job *job = &setup->jobs[thread];

    for (unsigned i = 0; i < setup->threads; i++) {
        const struct job *other = &setup->jobs[i];
        if (other->key == job->key && other->kind == (job->kind == LEAVE ? HEARTBEAT : LEAVE) &&
            !has_ended(state->threads[i]))
            return false;
    }
    return true;
}

/* Make a thread's next access. */
static struct state advance(const struct setup *setup, struct state state, unsigned thread)
{
    const uint32_t number = state.threads[thread];
    const struct node *node = &nodes[number];
    uint8_t found = state.slots[node->slot];

    if (node->depth == 0 && is_late(setup, &state, thread))
        state.late |= (uint8_t)(1u << thread);
    if (node->access == STORE || (node->access == SWAP && words[found] == node->expected))
        state.slots[node->slot] = number_of(node->desired);
    if (!node->children[found]) {
        uint32_t child = add_node(setup, &setup->jobs[thread], number, found);
        nodes[number].children[found] = child;
    }
    state.threads[thread] = nodes[number].children[found];
    return state;
}

static bool is_same_job(const struct job *a, const struct job *b)
{
    return a->kind == b->kind && a->key == b->key && a->now == b->now;
}

static void exchange_threads(struct state *state, unsigned first)
{
    uint32_t thread = state->threads[first];
    unsigned late = state->late >> first & 3;

    state->threads[first] = state->threads[first + 1];
    state->threads[first + 1] = thread;
    state->late =
        (uint8_t)((state->late & ~(3u << first)) | (late >> 1 | (late & 1) << 1) << first);
}

/* Threads that do the same are equivalent: bring them into one order. */
static void sort_threads(const struct setup *setup, struct state *state)
{
    for (unsigned end = setup->threads; end > 1; end--) {
        for (unsigned i = 0; i + 1 < end; i++) {
            const uint32_t *pair = &state->threads[i];
            bool is_later =
                pair[0] > pair[1] || (pair[0] == pair[1] && (state->late >> i & 3) == 1);
            if (is_later && is_same_job(&setup->jobs[i], &setup->jobs[i + 1]))
                exchange_threads(state, i);
        }
    }
}

static void add_state(const struct state *state)
{
    uint64_t halves[2];

    memcpy(halves, state, sizeof(halves));
    uint64_t hash =
        (halves[0] ^ halves[1] * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
    uint32_t place = (uint32_t)(hash >> 32) & INDEX_MASK;
    while (search.index[place] >= search.base) {
        const struct state *other = &search.states[search.index[place] - search.base];
        if (memcmp(other, state, sizeof(*state)) == 0)
            return;
        place = (place + 1) & INDEX_MASK;
    }
    if (search.count == STATES_MAX)
        fail_msg("there are more than %u states", STATES_MAX);
    search.states[search.count] = *state;
    search.index[place] = search.base + search.count++;
}

static void add_first_state(const struct setup *setup)
{
    struct state state = {0};

    node_count = 1;
    word_count = 0;
    number_of(0);
    for (unsigned i = 0; i < setup->slots; i++)
        state.slots[i] = number_of(setup->initial[i]);
    for (unsigned i = 0; i < setup->threads; i++) {
        bool is_known = i > 0 && is_same_job(&setup->jobs[i - 1], &setup->jobs[i]);
        state.threads[i] = is_known ? state.threads[i - 1] : add_node(setup, &setup->jobs[i], 0, 0);
    }
    add_state(&state);
}

static const char *judge_state(const struct setup *setup, const struct state *state,
                               judge_function judge, uint64_t *endings)
{
    struct scene scene = {.have_ended = true};

    for (unsigned i = 0; i < setup->threads; i++) {
        bool ended = has_ended(state->threads[i]);
        scene.results[i] = ended ? &nodes[state->threads[i]].result : NULL;
        scene.have_ended &= ended;
        scene.is_late[i] = state->late >> i & 1;
    }
    for (unsigned i = 0; i < setup->slots; i++)
        scene.words[i] = words[state->slots[i]];
    *endings += scene.have_ended;
    return judge(setup, &scene);
}

/* ---- public ---------------------------------------------------------------------------------- */

int interleavings_open(void)
{
    search.base = 1;
    search.index = calloc(INDEX_MASK + 1, sizeof(*search.index));
    search.states = calloc(STATES_MAX, sizeof(*search.states));
    nodes = calloc(NODES_MAX, sizeof(*nodes));
    run.table = (struct table){
        .words = aligned_alloc(128, 2 * TABLE_PAIR_WORDS * sizeof(uint64_t)),
        .pairs = 2,
        .expiry = INTERLEAVINGS_EXPIRY,
        .longest = INTERLEAVINGS_LONGEST,
        .enter_age = 10,
    };
    if (!search.index || !search.states || !nodes || !run.table.words) {
        interleavings_close();
        return -ENOMEM;
    }
    for (unsigned i = 0; i < 2 * TABLE_PAIR_WORDS; i++)
        run.table.words[i] = table_word((UINT64_C(1000) + i) << TABLE_TICK_BITS, INTERLEAVINGS_NOW);
    return 0;
}

void interleavings_close(void)
{
    free(search.index);
    free(search.states);
    free(nodes);
    free(run.table.words);
}

struct visited interleavings_visit(const struct setup *setup, judge_function judge)
{
    struct visited visited = {0};

    search.base += search.count;
    search.count = 0;
    add_first_state(setup);
    for (uint32_t i = 0; i < search.count && !visited.violation; i++) {
        const struct state state = search.states[i];
        visited.violation = judge_state(setup, &state, judge, &visited.endings);
        for (unsigned thread = 0; thread < setup->threads; thread++) {
            if (has_ended(state.threads[thread]))
                continue;
            struct state next = advance(setup, state, thread);
            sort_threads(setup, &next);
            add_state(&next);
        }
    }
    visited.states = search.count;
    return visited;
}
