/* test_ingest_v2.c - ingest.h: datagrams of many places, version 2. */
#include "golden.h"
#include "ingest_fixture.h"

static void golden_datagrams_are_counted(void **state)
{
    struct fixture *fixture = *state;
    struct bytes places = bytes_from_hex(GOLDEN_V2_HEX);
    struct bytes authenticated = bytes_from_hex(GOLDEN_V2_SIGNED_HEX);
    struct bytes empty = bytes_from_hex(GOLDEN_V2_EMPTY_HEX);

    start_ingest(fixture);
    ingest_begin(fixture->ingests[0]);
    ingest_datagram(fixture->ingests[0], places.bytes, places.length);
    ingest_datagram(fixture->ingests[0], authenticated.bytes, authenticated.length);
    ingest_datagram(fixture->ingests[0], empty.bytes, empty.length);
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "example.com", 2);
    expect_room(fixture, "example.com", "/pricing", 2);
    expect_room(fixture, "example.com", "/", 1);
    expect_country(fixture, "example.com", "DE", 2);
    expect_source(fixture, "example.com", "news.example", 2);
    expect_counter(fixture, heartbeats_new, 2);
    expect_counter(fixture, heartbeats_refreshed, 2);
    expect_counter(fixture, pageviews, 1);
    expect_counter(fixture, datagrams_accepted, 3);
    expect_accounted(fixture, 4);
    stop_ingest(fixture);
    bytes_free(&places);
    bytes_free(&authenticated);
    bytes_free(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(golden_datagrams_are_counted),
    };
    return cmocka_run_group_tests_name("ingest_v2", tests, NULL, NULL);
}
