/* test_ingest_limits.c - ingest.h: admission, and limits of senders and sites. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <time.h>

#include "../support/asleep.h"
#include "admission.h"
#include "golden.h"
#include "ingest_fixture.h"

static void start_limited(struct fixture *fixture, struct admission *admission, uint32_t labels_max)
{
    start_collector(fixture);
    fixture->collector.admission = admission;
    fixture->collector.directory.labels_max = labels_max;
    for (unsigned i = 0; i < fixture->workers; i++)
        assert_int_equal(ingest_open(&fixture->collector, i, &fixture->ingests[i]), 0);
}

static void come_from(struct fixture *fixture, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v6 = strchr(address, ':');

    assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, address,
                               is_v6 ? (void *)&v6.sin6_addr : &v4.sin_addr),
                     1);
    ingest_from(fixture->ingests[0], is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4);
}

static void allow(struct admission *admission, const char *text)
{
    struct network network;

    assert_int_equal(network_parse(text, &network), 0);
    assert_int_equal(networks_build(&network, 1, &admission->networks), 0);
}

/* Check that every visitor of an accepted datagram is accounted for, even over a budget. */
static void expect_all(struct fixture *fixture, uint64_t visitors)
{
    expect_accounted(fixture, visitors - counter(fixture, COUNTER_sender_new_exceeded));
}

static void reasons_are_counted(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {0};
    struct bytes golden = bytes_from_hex(GOLDEN_SIGNED_HEX); /* signed long ago */
    struct keys *keys = calloc(1, sizeof(*keys));

    assert_non_null(keys);
    for (unsigned i = 0; i < 16; i++)
        ((uint8_t *)&keys->keys[7])[i] = (uint8_t)i;
    keys->known[7] = true;
    admission.keys = keys;
    allow(&admission, "192.0.2.0/24");
    assert_int_equal(sites_add(&admission.sites, "b.example"), 0);
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "203.0.113.1");
    take_text(fixture->ingests[0], "PH1 site=b.example visitor=a");
    come_from(fixture, "192.0.2.1");
    take_text(fixture->ingests[0], "PH1 site=b.example visitor=a");
    take_text(fixture->ingests[0], "PH1 site=a.example visitor=a");
    take_beat(fixture->ingests[0], (struct beat){.site = "b.example"});
    ingest_datagram(fixture->ingests[0], golden.bytes, golden.length);
    ingest_end(fixture->ingests[0]);
    expect_counter(fixture, datagrams_received, 5);
    expect_counter(fixture, datagrams_rejected_sender, 1);
    expect_counter(fixture, datagrams_accepted, 1);
    expect_counter(fixture, datagrams_rejected_site, 1);
    expect_counter(fixture, datagrams_rejected_unauthenticated, 1);
    expect_counter(fixture, datagrams_rejected_stale, 1);
    expect_counter(fixture, scopes_created, 1);
    expect_all(fixture, 1);
    stop_ingest(fixture);
    admission_close(&admission);
    bytes_free(&golden);
}

/* R2: a visitor in a room is in its site. */
static void rooms_refuse_visitors_whom_their_site_refused(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {0};

    assert_int_equal(budget_open(4, &admission.visitors), 0);
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "192.0.2.1");
    for (unsigned i = 0; i < 4; i++)
        take_beat(fixture->ingests[0], (struct beat){.site = "a", .visitor = i});
    for (unsigned i = 0; i < 3; i++)
        take_beat(fixture->ingests[0], (struct beat){.site = "b", .room = "/", .visitor = i});
    take_beat(fixture->ingests[0], (struct beat){.site = "a", .room = "/", .visitor = 1});
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "a", 4);
    expect_room(fixture, "a", "/", 1);
    expect_site(fixture, "b", 0);
    expect_room(fixture, "b", "/", 0);
    expect_counter(fixture, sender_new_exceeded, 3);
    expect_counter(fixture, label_sender_new_exceeded, 3);
    expect_all(fixture, 8);
    stop_ingest(fixture);
    admission_close(&admission);
}

static void rooms_and_sources_of_a_site_are_limited(void **state)
{
    struct fixture *fixture = *state;
    char room[16];

    fixture->settings.max_scopes = 64;
    start_limited(fixture, NULL, 3);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(room, sizeof(room), "/%u", i);
        batch(fixture, {.site = "a", .room = room, .source = room, .country = "DE", .visitor = i});
        batch(fixture, {.site = "a", .room = "/0", .visitor = i});
    }
    expect_site(fixture, "a", 10);
    expect_room(fixture, "a", "/0", 10);
    expect_room(fixture, "a", "/2", 1);
    expect_room(fixture, "a", "/3", -1);
    expect_source(fixture, "a", "/2", 1);
    expect_source(fixture, "a", "/3", -1);
    expect_country(fixture, "a", "DE", 10);
    expect_counter(fixture, site_rooms_full, 7);
    expect_counter(fixture, site_sources_full, 7);
    expect_counter(fixture, label_scopes_full, 0);
    expect_counter(fixture, scopes_created, 1 + 3 + 3 + 1);

    /* Another site has its own limit; countries have none. */
    batch(fixture, {.site = "b", .room = "/3", .country = "AA"}, {.site = "b", .country = "AB"},
          {.site = "b", .country = "AC"}, {.site = "b", .country = "AD"},
          {.site = "b", .country = "AE"});
    expect_room(fixture, "b", "/3", 1);
    expect_country(fixture, "b", "AE", 1);
    expect_counter(fixture, site_rooms_full, 7);

    /* Each visitor of a datagram is refused. */
    batch(fixture, {.site = "a", .room = "/x", .source = "x", .count = 5});
    expect_counter(fixture, site_rooms_full, 12);
    expect_counter(fixture, site_sources_full, 12);

    /* A leave of a room that was never counted ends nothing. */
    batch(fixture, {.site = "a", .room = "/9", .kind = WIRE_LEAVE});
    expect_site(fixture, "a", 10);
    expect_all(fixture, 20 + 5 + 5 + 1);
    stop_ingest(fixture);
}

/* Idle rooms make room for others, also after a restart. */
static void idle_rooms_make_room(void **state)
{
    struct fixture *fixture = *state;

    start_limited(fixture, NULL, 2);
    batch(fixture, {.site = "a", .room = "/0"}, {.site = "a", .room = "/1"});
    stop_ingest(fixture);
    start_limited(fixture, NULL, 2);
    batch(fixture, {.site = "a", .room = "/2"});
    expect_room(fixture, "a", "/2", -1);
    expect_counter(fixture, site_rooms_full, 1);
    fixture->clock += 2000;
    batch(fixture, {.site = "a", .room = "/0"});
    fixture->clock += 1700; /* "/1" is idle now */
    for (unsigned i = 0; i < 60; i++, fixture->clock++)
        collector_maintain(&fixture->collector);
    batch(fixture, {.site = "a", .room = "/2"}, {.site = "a", .room = "/3"});
    expect_room(fixture, "a", "/1", -1);
    expect_room(fixture, "a", "/2", 1);
    expect_room(fixture, "a", "/3", -1);
    expect_counter(fixture, site_rooms_full, 2);
    stop_ingest(fixture);
}

static void new_visitors_of_a_sender_are_limited(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {.secret = 42};

    assert_int_equal(budget_open(100, &admission.visitors), 0);
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "192.0.2.1");
    take_beat(fixture->ingests[0], (struct beat){.site = "a", .count = 60, .room = "/"});
    take_beat(fixture->ingests[0],
              (struct beat){.site = "a", .visitor = 60, .count = 300, .room = "/"});
    come_from(fixture, "192.0.2.2"); /* while the other's are still queued */
    take_beat(fixture->ingests[0],
              (struct beat){.site = "b", .visitor = 0, .count = 90, .country = "DE"});
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "a", 100);
    expect_room(fixture, "a", "/", 100);
    expect_site(fixture, "b", 90);
    expect_country(fixture, "b", "DE", 90);
    assert_int_equal(heartbeats_in(fixture, "a", SCOPE_SITE, NULL), 100);
    assert_int_equal(heartbeats_in(fixture, "a", SCOPE_ROOM, "/"), 100);
    assert_int_equal(heartbeats_in(fixture, "b", SCOPE_COUNTRY, "DE"), 90);
    expect_counter(fixture, sender_new_exceeded, 260);
    expect_counter(fixture, label_sender_new_exceeded, 260);
    expect_counter(fixture, heartbeats_new, 190);
    expect_all(fixture, 60 + 300 + 90);

    /* Refreshes are free, and so is a return while the word is still there. */
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "192.0.2.1");
    for (unsigned i = 0; i < 5; i++)
        take_beat(fixture->ingests[0], (struct beat){.site = "a", .count = 100});
    ingest_end(fixture->ingests[0]);
    expect_counter(fixture, heartbeats_refreshed, 500);
    expect_counter(fixture, sender_new_exceeded, 260);
    fixture->clock += 400;
    ingest_begin(fixture->ingests[0]);
    take_beat(fixture->ingests[0], (struct beat){.site = "a", .count = 100});
    take_beat(fixture->ingests[0], (struct beat){.site = "a", .visitor = 1000, .count = 100});
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "a", 200);
    expect_counter(fixture, heartbeats_new, 190 + 200);
    expect_counter(fixture, sender_new_exceeded, 260);
    expect_all(fixture, 450 + 500 + 200);

    /* Visitors are charged to who sent them, not to who sends while they are queued. */
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "192.0.2.3");
    take_beat(fixture->ingests[0], (struct beat){.site = "c", .count = 90});
    come_from(fixture, "192.0.2.4");
    take_beat(fixture->ingests[0], (struct beat){.site = "d", .count = 90});
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "c", 90);
    expect_site(fixture, "d", 90);
    expect_all(fixture, 450 + 500 + 200 + 180);
    stop_ingest(fixture);
    admission_close(&admission);
}

static void datagrams_of_a_sender_are_limited(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {.secret = 42};

    assert_int_equal(budget_open(10, &admission.datagrams), 0);
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "192.0.2.1");
    for (unsigned i = 0; i < 8; i++)
        take_text(fixture->ingests[0], "garbage"); /* spends, too */
    for (unsigned i = 0; i < 8; i++)
        take_beat(fixture->ingests[0], (struct beat){.site = "a", .visitor = i});
    come_from(fixture, "192.0.2.2");
    take_beat(fixture->ingests[0], (struct beat){.site = "a", .visitor = 100});
    ingest_end(fixture->ingests[0]);
    expect_counter(fixture, datagrams_accepted, 3);
    expect_counter(fixture, datagrams_rejected_malformed, 8);
    expect_counter(fixture, datagrams_rejected_sender, 6);
    expect_counter(fixture, sender_rate_exceeded, 6);
    fixture->clock++;
    batch(fixture, {.site = "a", .visitor = 200});
    expect_site(fixture, "a", 4);
    expect_all(fixture, 4);
    stop_ingest(fixture);
    admission_close(&admission);
}

/* Who may not send has no rate: however much comes, it is another sender's, and exceeds nothing. */
static void strangers_have_no_rate(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {.secret = 42};

    allow(&admission, "2001:db8:0:0:8000::/65");
    assert_int_equal(budget_open(10, &admission.datagrams), 0);
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "2001:db8::1");
    for (unsigned i = 0; i < 30; i++)
        take_beat(fixture->ingests[0], (struct beat){.site = "a", .visitor = i});
    come_from(fixture, "2001:db8:0:0:8000::1"); /* of one rate with the stranger */
    for (unsigned i = 0; i < 12; i++)
        take_beat(fixture->ingests[0], (struct beat){.site = "a", .visitor = i});
    ingest_end(fixture->ingests[0]);
    expect_counter(fixture, datagrams_accepted, 10);
    expect_counter(fixture, datagrams_rejected_sender, 32);
    expect_counter(fixture, sender_rate_exceeded, 2);
    expect_site(fixture, "a", 10);
    stop_ingest(fixture);
    admission_close(&admission);
}

/* The batch ends and begins again to retire scopes; the sender stays. */
static void making_room_keeps_the_sender(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {0};
    char site[16];

    allow(&admission, "192.0.2.0/24");
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    come_from(fixture, "192.0.2.1");
    for (unsigned i = 0; i < 20; i++) { /* more rooms than scopes */
        snprintf(site, sizeof(site), "%u.example", i);
        take_beat(fixture->ingests[0], (struct beat){.site = site});
    }
    ingest_end(fixture->ingests[0]);
    expect_counter(fixture, datagrams_accepted, 20);
    expect_counter(fixture, scopes_full, 4);
    stop_ingest(fixture);
    admission_close(&admission);
}

/* A set with one key, of zeros. */
static struct keys *make_keys(uint8_t id)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    assert_non_null(keys);
    keys->known[id] = true;
    return keys;
}

#define BATCHES 100000

static unsigned finished; /* number of threads */

static void *send_signed(void *context)
{
    struct ingest *ingest = context;
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);
    uint32_t length = datagram.length - WIRE_TAG_SIZE;

    for (unsigned i = 0; i < BATCHES; i++) {
        wire_store32(datagram.bytes + 8, (uint32_t)time(NULL));
        siphash_tag((struct siphash_key){0}, datagram.bytes, length, datagram.bytes + length);
        ingest_begin(ingest);
        ingest_datagram(ingest, datagram.bytes, datagram.length);
        ingest_end(ingest);
    }
    bytes_free(&datagram);
    atomic_add_relaxed(&finished, 1);
    return NULL;
}

/* A batch keeps the keys that it began with: they are wiped and freed after it. */
static void keys_are_replaced_under_load(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {.keys = make_keys(7)};
    pthread_t threads[2];

    fixture->workers = LENGTH(threads);
    start_limited(fixture, &admission, 0);
    for (unsigned i = 0; i < LENGTH(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_signed, fixture->ingests[i]), 0);
    do {
        struct keys *old = admission_replace_keys(&admission, make_keys(7));
        collector_wait_for_batches(&fixture->collector);
        keys_free(old);
    } while (atomic_load_relaxed(&finished) < LENGTH(threads));
    for (unsigned i = 0; i < LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
    expect_counter(fixture, datagrams_accepted, LENGTH(threads) * BATCHES);
    stop_ingest(fixture);
    admission_close(&admission);
}

struct reload {
    struct admission *admission;
    struct collector *collector;
    pid_t id;
};

static void *reload_keys(void *context)
{
    struct reload *reload = context;

    atomic_store_release(&reload->id, gettid()); /* pairs with keys_last_as_long_as_a_batch */
    admission_reload(reload->admission, reload->collector);
    return NULL;
}

/* A worker that is in a batch goes on with the keys that it began with. */
static void keys_last_as_long_as_a_batch(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    pthread_t thread;

    snprintf(path, sizeof(path), "%s/keys", fixture->scratch.directory);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(dprintf(file, "9 000102030405060708090a0b0c0d0e0f\n"), 35);
    close(file);
    struct admission admission = {.keys_path = path, .keys = make_keys(7)};
    struct reload reload = {&admission, &fixture->collector, 0};
    const struct keys *old = admission.keys;
    start_limited(fixture, &admission, 0);
    ingest_begin(fixture->ingests[0]);
    assert_int_equal(pthread_create(&thread, NULL, reload_keys, &reload), 0);
    while (atomic_load_acquire(&admission.keys) == old)
        sched_yield();
    wait_until_asleep(reload.id);
    assert_true(old->known[7]);
    ingest_end(fixture->ingests[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(admission.keys->known[9] && !admission.keys->known[7]);
    stop_ingest(fixture);
    admission_close(&admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reasons_are_counted),
        TEST(rooms_refuse_visitors_whom_their_site_refused),
        TEST(rooms_and_sources_of_a_site_are_limited),
        TEST(idle_rooms_make_room),
        TEST(new_visitors_of_a_sender_are_limited),
        TEST(datagrams_of_a_sender_are_limited),
        TEST(strangers_have_no_rate),
        TEST(making_room_keeps_the_sender),
        TEST(keys_are_replaced_under_load),
        TEST(keys_last_as_long_as_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
