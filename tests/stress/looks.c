#include "looks.h"
#include "pauses.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "model_clock.h"
#include "random_source.h"

#define LOOKS_MAX 20000 /* of one question: a reader's retries are bounded */
#define PARTS     60    /* that are tried of a question */
#define ROUNDS    3     /* without a further look end a run: a scene may begin in two states */
#define NEVER     UINT_MAX

/* The answers that are right: of the state before the step, after it, and where it was held up. */
struct oracle {
    size_t count;
    struct answer answers[3];
};

/* A collector, its readers, and the schedule of one of them. */
struct stage {
    const struct scene *scene;
    struct fixture fixture;
    struct presence *presence; /* asks while the writer takes its step */
    struct presence *quiet;    /* asks while nobody writes */
    ask_function question;
    struct oracle oracle;
    unsigned looks;   /* that the reader has taken */
    unsigned stops;   /* the look before which the writer takes its turn */
    unsigned stores;  /* that it makes in this turn */
    unsigned goes_on; /* the look before which it makes the others */
    bool is_done;     /* the step is */
    bool is_writing;  /* it is the writer's turn */
    bool has_thread;
    pthread_t writer;
    pthread_mutex_t mutex;
    pthread_cond_t turned;
};

/* ---- the two take turns ------------------------------------------------------------------- */

/* Give the other thread its turn, and wait for the next one. */
static void pass_turn(struct stage *stage, bool to_writer)
{
    pthread_mutex_lock(&stage->mutex);
    stage->is_writing = to_writer;
    pthread_cond_broadcast(&stage->turned);
    while (stage->is_writing == to_writer)
        pthread_cond_wait(&stage->turned, &stage->mutex);
    pthread_mutex_unlock(&stage->mutex);
}

static void pause_writer(void *context, enum pause_at at)
{
    struct stage *stage = context;

    if (at != PAUSE_STORE || stage->stores == NEVER)
        return;
    if (stage->stores == 0)
        pass_turn(stage, false);
    if (stage->stores != NEVER)
        stage->stores--;
}

static void *write_step(void *context)
{
    struct stage *stage = context;

    pthread_mutex_lock(&stage->mutex);
    while (!stage->is_writing)
        pthread_cond_wait(&stage->turned, &stage->mutex);
    pthread_mutex_unlock(&stage->mutex);
    pauses_call(pause_writer, stage);
    stage->scene->step(&stage->fixture);
    pauses_call(NULL, NULL);
    pthread_mutex_lock(&stage->mutex);
    stage->is_done = true;
    stage->is_writing = false;
    pthread_cond_broadcast(&stage->turned);
    pthread_mutex_unlock(&stage->mutex);
    return NULL;
}

/* Let the writer make so many stores of its step, or all that are left. */
static void make_stores(struct stage *stage, unsigned stores)
{
    if (stage->is_done)
        return;
    if (!stage->has_thread && stores == NEVER) { /* a whole step needs no thread */
        pauses_call(NULL, NULL);
        stage->scene->step(&stage->fixture);
        stage->is_done = true;
        return;
    }
    if (!stage->has_thread)
        assert_int_equal(pthread_create(&stage->writer, NULL, write_step, stage), 0);
    stage->has_thread = true;
    stage->stores = stores;
    pass_turn(stage, true);
}

/* Ask while nobody writes. */
static void learn(struct stage *stage)
{
    struct answer *answer = &stage->oracle.answers[stage->oracle.count++];

    pauses_call(NULL, NULL);
    answer->error = 0;
    answer->length = 0;
    stage->question(stage->quiet, answer);
}

static void pause_reader(void *context, enum pause_at at)
{
    struct stage *stage = context;
    unsigned look = stage->looks++;

    (void)at;
    if (look == LOOKS_MAX)
        fail_msg("%s: the reader does not end", stage->scene->name);
    if (look == stage->stops) {
        make_stores(stage, stage->stores);
        if (!stage->is_done)
            learn(stage);
    } else if (look == stage->goes_on) {
        make_stores(stage, NEVER);
    }
    pauses_call(pause_reader, stage);
}

/* A reader that waits gives others their turn, and does not sleep: the clock is the test's. */
int __wrap_nanosleep(const struct timespec *duration, struct timespec *left);

int __wrap_nanosleep(const struct timespec *duration, struct timespec *left)
{
    (void)duration, (void)left;
    pauses_take(PAUSE_LOAD);
    return 0;
}

/* ---- the judge ---------------------------------------------------------------------------- */

static const struct answer_line *find_line(const struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->length; i++) {
        if (strcmp(answer->lines[i].name, name) == 0)
            return &answer->lines[i];
    }
    return NULL;
}

/* True if a line is one of those that are right. While visitors move, the figure may be up to
 * twice as high. Where the writer is held up, the text may be of a later state than the figure: a
 * scope of which nobody counted at the tick may have been heard since. */
static bool is_right(const struct stage *stage, const struct answer_line *line)
{
    const struct oracle *oracle = &stage->oracle;
    const bool is_held_up = oracle->count > 2;
    bool has_figure = false, has_text = false;

    for (size_t i = 0; i < oracle->count; i++) {
        const struct answer_line *right = find_line(&oracle->answers[i], line->name);
        if (!right)
            continue;
        bool same_text = strcmp(right->text, line->text) == 0;
        bool same_figure = line->figure == right->figure ||
                           ((stage->scene->is_moving || is_held_up) &&
                            line->figure >= right->figure && line->figure <= 2 * right->figure);
        if (same_text && same_figure)
            return true;
        has_figure |= same_figure;
        has_text |= same_text;
    }
    return is_held_up && has_figure && has_text;
}

/* True if a line is the same in all answers that are no errors, so that it has to be in any. */
static bool is_certain(const struct oracle *oracle, const struct answer_line *line)
{
    for (size_t i = 0; i < oracle->count; i++) {
        const struct answer_line *other = find_line(&oracle->answers[i], line->name);
        if (oracle->answers[i].error)
            continue;
        if (!other || other->figure != line->figure || strcmp(other->text, line->text) != 0)
            return false;
    }
    return true;
}

static void print_answer(const char *heading, const struct answer *answer)
{
    print_error("%s: error %d\n", heading, answer->error);
    for (size_t i = 0; i < answer->length; i++)
        print_error("    %s: %llu %s\n", answer->lines[i].name,
                    (unsigned long long)answer->lines[i].figure, answer->lines[i].text);
}

static void report(const struct stage *stage, const struct answer *got, const char *what,
                   const char *fault)
{
    print_answer("got", got);
    for (size_t i = 0; i < stage->oracle.count; i++)
        print_answer(i == 0                        ? "before"
                     : i + 1 < stage->oracle.count ? "meanwhile"
                                                   : "after",
                     &stage->oracle.answers[i]);
    fail_msg("%s, %u stores before look %u, the others before look %u: %s %s", stage->scene->name,
             stage->stores, stage->stops, stage->goes_on, what, fault);
}

static void judge(const struct stage *stage, const struct answer *got)
{
    const struct oracle *oracle = &stage->oracle;
    const struct answer *first = &oracle->answers[oracle->answers[0].error ? oracle->count - 1 : 0];
    bool error_is_right = false;

    for (size_t i = 0; i < oracle->count; i++)
        error_is_right |= oracle->answers[i].error == got->error;
    if (!error_is_right)
        report(stage, got, "the error", "is wrong");
    for (size_t i = 0; i < got->length; i++) {
        const struct answer_line *line = &got->lines[i];
        if (!is_right(stage, line))
            report(stage, got, line->name, "is wrong");
        if (find_line(got, line->name) != line)
            report(stage, got, line->name, "comes twice");
    }
    for (size_t i = 0; i < first->length && !got->error; i++) {
        if (is_certain(oracle, &first->lines[i]) && !find_line(got, first->lines[i].name))
            report(stage, got, first->lines[i].name, "is missing");
    }
}

/* ---- schedules ---------------------------------------------------------------------------- */

static void open_stage(const struct scene *scene, struct stage *ret)
{
    *ret = (struct stage){
        .scene = scene,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .turned = PTHREAD_COND_INITIALIZER,
    };
    pauses_call(NULL, NULL);
    fixture_create(&ret->fixture, &scene->settings, scene->begin);
    ret->fixture.wall = 1767225600; /* 2026 */
    model_clock.fixture = &ret->fixture;
    fixture_start(&ret->fixture, 1);
    assert_int_equal(presence_open(ret->fixture.path, &ret->presence), 0);
    assert_int_equal(presence_open(ret->fixture.path, &ret->quiet), 0);
}

static void close_stage(struct stage *stage)
{
    presence_close(stage->presence);
    presence_close(stage->quiet);
    fixture_stop(&stage->fixture);
    fixture_remove(&stage->fixture);
    model_clock.fixture = NULL;
}

/* Ask once, with so many stores of the step before a look, and the others before a later one.
 * Returns how many looks the reader took. */
static unsigned race(struct stage *stage, unsigned stops, unsigned stores, unsigned goes_on)
{
    struct answer got = {0};

    stage->looks = 0;
    stage->stops = stops;
    stage->stores = stores;
    stage->goes_on = goes_on;
    stage->is_done = stage->has_thread = false;
    stage->oracle.count = 0;
    stage->scene->prepare(&stage->fixture);
    learn(stage);
    pauses_call(pause_reader, stage);
    stage->question(stage->presence, &got);
    pauses_call(NULL, NULL);
    make_stores(stage, NEVER);
    if (stage->has_thread)
        pthread_join(stage->writer, NULL);
    learn(stage);
    judge(stage, &got);
    return stage->looks;
}

static void count_store(void *context, enum pause_at at)
{
    *(unsigned *)context += at == PAUSE_STORE;
}

/* Return how many stores the step takes. */
static unsigned count_stores(struct stage *stage)
{
    unsigned stores = 0;

    stage->scene->prepare(&stage->fixture);
    pauses_call(count_store, &stores);
    stage->scene->step(&stage->fixture);
    pauses_call(NULL, NULL);
    return stores;
}

void looks_check(const struct scene *scene)
{
    struct random_source random = {random_seed()};
    unsigned sum = 0;
    struct stage stage;

    print_message("%s: TEST_SEED=%llu\n", scene->name, (unsigned long long)random.state);
    open_stage(scene, &stage);
    unsigned stores = count_stores(&stage);
    for (const ask_function *question = scene->questions; *question; question++) {
        unsigned looks = 0;
        stage.question = *question;
        for (unsigned stops = 0; stops < looks + ROUNDS; stops++) {
            if (race(&stage, stops, NEVER, NEVER) > stops)
                looks = stops + 1;
        }
        for (double part = fixture_budget(PARTS); part > 0; part--) {
            unsigned stops = random_below(&random, looks);
            unsigned made = random_between(&random, 1, stores);
            race(&stage, stops, made, stops + 1 + random_below(&random, looks));
        }
        sum += looks;
    }
    close_stage(&stage);
    print_message("%s: %u looks, %u stores\n", scene->name, sum, stores);
}
