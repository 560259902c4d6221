/* Minutes of samples: each second once, whatever the wall clock does. */
#include "../support/unit.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "sampler.h"

#define FIRST INT64_C(29497680) /* a Unix minute */
#define START (60 * FIRST)

static void add(struct sampler *sampler, int64_t at, uint64_t count)
{
    const struct sample sample = {.count = count};

    if (sampler_begin(sampler, at))
        assert_int_equal(sampler_add(sampler, PRESENCE_SITE, "example.com", NULL, &sample), 0);
}

static void test_a_minute_of_samples(void **state)
{
    struct sampler sampler = {0};
    const uint64_t many = UINT64_C(7) << 33;

    (void)state;
    for (int i = 0; i < 60; i++)
        add(&sampler, START + i, i == 20 || i == 40 ? many : (uint64_t)(100 + i));
    assert_int_equal(sampler.over.length, 0);
    sampler_begin(&sampler, START + 60);
    assert_int_equal(sampler.over.length, 1);
    const struct sampled *sampled = sampler.over.items[0];
    assert_int_equal(sampled->scope.kind, PRESENCE_SITE);
    assert_string_equal(sampled->scope.site, "example.com");
    assert_string_equal(sampled->scope.name, "");
    assert_int_equal(sampled->minute.minute, FIRST);
    assert_int_equal(sampled->minute.start, START);
    assert_int_equal(sampled->minute.seconds, 60);
    assert_int_equal(sampled->minute.minimum, 100);
    assert_true(sampled->minute.maximum == many);
    double sum = 2.0 * (double)many + 60 * 100 + 59 * 30 - 120 - 140;
    assert_float_equal(sampled->minute.mean, sum / 60, 1e-3);
    assert_true(sampled->peak.count == many);
    assert_int_equal(sampled->peak.at, START + 20);
    assert_false(sampled->minute.warming || sampled->minute.partial || sampled->minute.has_traffic);
    sampler_discard(&sampler);
    assert_int_equal(sampler.over.length, 0);
    sampler_free(&sampler);
}

/* A scope has the samples that it has: an unknown count is none. */
static void test_scopes_and_marks(void **state)
{
    struct sampler sampler = {0};
    const struct sample plain = {.count = 0}, warming = {.count = 5, .warming = true},
                        partial = {.count = 6, .partial = true};

    (void)state;
    assert_true(sampler_begin(&sampler, START));
    assert_int_equal(sampler_add(&sampler, PRESENCE_ROOM, "a.example", "/", &plain), 0);
    assert_int_equal(sampler_add(&sampler, PRESENCE_SOURCE, "a.example", "/", &warming), 0);
    assert_true(sampler_begin(&sampler, START + 1));
    assert_int_equal(sampler_add(&sampler, PRESENCE_ROOM, "a.example", "/", &partial), 0);
    assert_int_equal(sampler_add(&sampler, PRESENCE_ROOM, "b.example", "/", &plain), 0);
    sampler_end(&sampler);
    assert_int_equal(sampler.over.length, 3);
    const struct sampled *room = sampler.over.items[0], *source = sampler.over.items[1];
    assert_int_equal(room->minute.seconds, 2);
    assert_int_equal(room->minute.minimum, 0);
    assert_true(room->minute.partial && !room->minute.warming);
    assert_int_equal(source->minute.seconds, 1);
    assert_true(source->minute.warming && !source->minute.partial);
    assert_int_equal(sampler.over.items[2]->peak.count, 0);
    sampler_free(&sampler);
}

static void test_the_clock_is_set_back(void **state)
{
    struct sampler sampler = {0};

    (void)state;
    for (int i = 0; i < 50; i++)
        add(&sampler, START + i, 10);
    for (int i = 20; i < 60; i++) /* within the minute: these seconds are known already */
        add(&sampler, START + i, 99);
    sampler_begin(&sampler, START - 60); /* to an earlier one, in which nothing is sampled */
    assert_int_equal(sampler.over.length, 1);
    assert_int_equal(sampler.over.items[0]->minute.seconds, 60);
    assert_true(fabs(sampler.over.items[0]->minute.mean - (50 * 10 + 10 * 99) / 60.0) < 1e-9);
    add(&sampler, START + 30, 7); /* and forward again: the minute begins anew */
    sampler_end(&sampler);
    assert_int_equal(sampler.over.length, 2);
    assert_int_equal(sampler.over.items[1]->minute.minute, FIRST);
    assert_int_equal(sampler.over.items[1]->minute.seconds, 1);
    sampler_free(&sampler);
}

static void test_a_stored_minute_goes_on(void **state)
{
    const struct presence_scope scope = {PRESENCE_SITE, "example.com", ""};
    struct archive_minute stored = {.minute = FIRST,
                                    .start = START,
                                    .seconds = 20,
                                    .minimum = 5,
                                    .maximum = 50,
                                    .mean = 25,
                                    .warming = true};
    struct sampler sampler = {0};

    (void)state;
    sampler_begin(&sampler, START + 29);
    assert_int_equal(sampler_continue(&sampler, &scope, &stored), 0);
    stored.minute--; /* is over */
    assert_int_equal(sampler_continue(&sampler, &scope, &stored), 0);
    assert_false(sampler_begin(&sampler, START + 12));
    for (int i = 0; i < 60; i++)
        add(&sampler, START + i, 10);
    sampler_end(&sampler);
    assert_int_equal(sampler.over.length, 1);
    const struct sampled *sampled = sampler.over.items[0];
    assert_int_equal(sampled->minute.seconds, 50);
    assert_int_equal(sampled->minute.minimum, 5);
    assert_int_equal(sampled->minute.maximum, 50);
    assert_true(fabs(sampled->minute.mean - (20 * 25 + 30 * 10) / 50.0) < 1e-9);
    assert_true(sampled->minute.warming);
    assert_int_equal(sampled->peak.count, 10);
    sampler_free(&sampler);
}

/* Whatever is stored, no minute has more than 60 seconds. */
static void test_a_minute_is_full(void **state)
{
    const struct presence_scope scope = {PRESENCE_SITE, "example.com", ""};
    const struct archive_minute stored = {.minute = FIRST, .seconds = 55, .mean = 1};
    struct sampler sampler = {0};

    (void)state;
    sampler_begin(&sampler, START + 5);
    assert_int_equal(sampler_continue(&sampler, &scope, &stored), 0);
    for (int i = 6; i < 60; i++)
        add(&sampler, START + i, 1);
    sampler_end(&sampler);
    assert_int_equal(sampler.over.items[0]->minute.seconds, 60);
    sampler_free(&sampler);
}

static void test_what_waits_is_bounded(void **state)
{
    struct sampler sampler = {0};
    const struct sample sample = {.count = 1};
    char name[16];

    (void)state;
    for (int minute = 0; minute < 11; minute++) {
        sampler_begin(&sampler, START + 60 * minute);
        for (unsigned i = 0; i < SAMPLER_OVER_MAX / 10; i++) {
            snprintf(name, sizeof(name), "/%u", i);
            assert_int_equal(sampler_add(&sampler, PRESENCE_ROOM, "a.example", name, &sample), 0);
        }
    }
    sampler_end(&sampler);
    assert_int_equal(sampler.over.length, SAMPLER_OVER_MAX);
    assert_int_equal(sampler.dropped, SAMPLER_OVER_MAX / 10);
    assert_int_equal(sampler.over.items[0]->minute.minute, FIRST + 1);
    sampler_free(&sampler);
}

/* ---- against a model ---------------------------------------------------------------------- */

#define MODEL_MINUTES 8
#define MODEL_SCOPES  3

/* The samples of a scope's minute, by second. */
struct model {
    bool taken[60];
    uint64_t counts[60];
};

static void check(const struct sampler *sampler, struct model models[MODEL_MINUTES][MODEL_SCOPES])
{
    for (size_t i = 0; i < sampler->over.length; i++) {
        const struct sampled *sampled = sampler->over.items[i];
        const struct model *model =
            &models[sampled->minute.minute - (uint64_t)FIRST][sampled->scope.name[1] - '0'];
        uint64_t minimum = UINT64_MAX, maximum = 0;
        unsigned seconds = 0;
        double sum = 0;
        for (unsigned j = 0; j < 60; j++) {
            if (!model->taken[j])
                continue;
            seconds++;
            sum += (double)model->counts[j];
            minimum = model->counts[j] < minimum ? model->counts[j] : minimum;
            maximum = model->counts[j] > maximum ? model->counts[j] : maximum;
        }
        assert_int_equal(sampled->minute.seconds, seconds);
        assert_true(sampled->minute.minimum == minimum && sampled->minute.maximum == maximum);
        assert_true(fabs(sampled->minute.mean - sum / seconds) <= sum * 1e-12);
    }
}

/* The clock goes forward by 0 to 3 seconds; some scopes are unknown for a while. */
static void test_random_samples(void **state)
{
    const char *given = getenv("PRESENCE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    struct model models[MODEL_MINUTES][MODEL_SCOPES];

    (void)state;
    printf("PRESENCE_SEED=%u\n", seed);
    srandom(seed);
    for (int round = 0; round < 200; round++) {
        struct sampler sampler = {0};
        memset(models, 0, sizeof(models));
        for (int64_t at = START; at < START + 60 * MODEL_MINUTES; at += random() % 4) {
            bool is_new = sampler_begin(&sampler, at);
            for (int i = 0; i < MODEL_SCOPES; i++) {
                struct model *model = &models[(at - START) / 60][i];
                struct sample sample = {.count = (uint64_t)random() << (random() % 12)};
                char name[3] = {'/', (char)('0' + i), 0};
                if (!is_new || random() % 3 == 0)
                    continue;
                assert_false(model->taken[at % 60]);
                model->taken[at % 60] = true;
                model->counts[at % 60] = sample.count;
                assert_int_equal(sampler_add(&sampler, PRESENCE_ROOM, "example.com", name, &sample),
                                 0);
            }
        }
        sampler_end(&sampler);
        check(&sampler, models);
        sampler_free(&sampler);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minute_of_samples),
        cmocka_unit_test(test_scopes_and_marks),
        cmocka_unit_test(test_the_clock_is_set_back),
        cmocka_unit_test(test_a_stored_minute_goes_on),
        cmocka_unit_test(test_a_minute_is_full),
        cmocka_unit_test(test_what_waits_is_bounded),
        cmocka_unit_test(test_random_samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
