/* fuzz_texts.c - short texts that people, programs and the kernel write: times, durations,
 * networks, addresses, URLs of engines, names of places, lines of heartbeats, and the kernel's
 * table of sockets. What is parsed is formatted and parsed again as the same; names are as the
 * judge says. */
#include <arpa/inet.h>
#include <common/address.h>
#include <common/networks.h>
#include <common/place.h>
#include <common/time_text.h>
#include <engine/engine_address.h>
#include <errno.h>
#include <receive/udp_table.h>

#include "../support/scratch.h"

#undef LENGTH
#include "fuzz.h"
#include "judge.h"

#define YEAR_10000 INT64_C(253402300800000000) /* microseconds */

/* ---- times ------------------------------------------------------------------------------- */

static void check_time(const char *text)
{
    int64_t us, again;
    uint64_t seconds;

    if (duration_parse(text, &seconds) == 0) {
        char digits[32];
        snprintf(digits, sizeof(digits), "%llus", (unsigned long long)seconds);
        uint64_t same;
        fuzz_check(duration_parse(digits, &same) == 0 && same == seconds);
        fuzz_check(*show_duration(seconds).text && *show_window((uint32_t)seconds).text);
    }
    if (time_parse(text, &us) < 0 || us >= YEAR_10000)
        return; /* leap seconds and zones lead there, where times have another form */
    struct shown_time shown = show_time_us(us);
    if (time_parse(shown.text, &again) < 0 || again != us)
        fuzz_fail("%s is shown as %s, which is another time", text, shown.text);
    fuzz_check(time_parse(show_time(us / 1000000).text, &again) == 0);
    fuzz_check(us < 0 || again == us - us % 1000000);
}

/* ---- addresses --------------------------------------------------------------------------- */

static void check_network(const char *text)
{
    char address[INET6_ADDRSTRLEN], shown[INET6_ADDRSTRLEN + 8];
    struct network network, again;
    struct networks set;
    struct host host;

    if (host_parse(text, &host) == 0) {
        struct host client = host_client(&host);
        fuzz_check(host_is_v4(&host) == host_is_v4(&client));
        fuzz_check(memcmp(&host, &client, host_is_v4(&host) ? 16 : 8) == 0);
        fuzz_check(network_parse(text, &network) == 0 && network_contains(&network, &host));
    }
    if (network_parse(text, &network) < 0)
        return;
    fuzz_check(network.bits <= (network.v6 ? 128 : 32));
    inet_ntop(network.v6 ? AF_INET6 : AF_INET, network.address, address, sizeof(address));
    snprintf(shown, sizeof(shown), "%s/%u", address, network.bits);
    fuzz_check(network_parse(shown, &again) == 0);
    fuzz_check(again.v6 == network.v6 && again.bits == network.bits);
    fuzz_check(memcmp(again.address, network.address, network.v6 ? 16 : 4) == 0);
    fuzz_check(host_parse(address, &host) == 0 && network_contains(&network, &host));
    fuzz_check(networks_build(&network, 1, &set) == 0);
    struct sockaddr_storage socket = {.ss_family = network.v6 ? AF_INET6 : AF_INET};
    if (network.v6)
        memcpy(&((struct sockaddr_in6 *)&socket)->sin6_addr, network.address, 16);
    else
        memcpy(&((struct sockaddr_in *)&socket)->sin_addr, network.address, 4);
    fuzz_check(networks_contain(&set, (struct sockaddr *)&socket));
    networks_free(&set);
}

static void check_address(const char *text)
{
    struct address address, again;
    char shown[ADDRESS_SIZE];
    uint16_t port;

    if (address_split(text, &address) == 0) {
        bool brackets = address.bracketed;
        snprintf(shown, sizeof(shown), "%s%s%s:%s", brackets ? "[" : "", address.host,
                 brackets ? "]" : "", address.port);
        fuzz_check(address_split(shown, &again) == 0);
        fuzz_check(strcmp(address.host, again.host) == 0 && address.number == again.number);
        fuzz_check(address_port(address.port, &port) == 0 && port == address.number);
        bool is_peer = *address.host && address.number;
        fuzz_check((address_split_peer(text, &again) == 0) == is_peer);
    }
}

static void check_engine(const char *url)
{
    char problem[ENGINE_URL_PROBLEM_SIZE] = "";
    struct engine_address address = {0};

    if (engine_address_parse(url, &address, problem) < 0) {
        fuzz_check(*problem && strnlen(problem, sizeof(problem)) < sizeof(problem));
        return;
    }
    fuzz_check(address.kind >= ENGINE_HOSTS && address.kind <= ENGINE_SENTINELS);
    fuzz_check((address.kind == ENGINE_SOCKET) == (*address.path != '\0'));
    fuzz_check(address.kind != ENGINE_SENTINELS || *address.master);
    fuzz_check(address.host_count <= ENGINE_HOSTS_MAX);
    fuzz_check((address.host_count > 0) == (address.kind != ENGINE_SOCKET));
    for (unsigned i = 0; i < address.host_count; i++)
        fuzz_check(*address.hosts[i].host && address.hosts[i].number);
}

/* ---- names ------------------------------------------------------------------------------- */

/* Check that a name is one exactly when the judge says so, and is then kept as it is kept. */
static void check_kept(const char *text, bool (*parse)(const char *text, char *ret), size_t most)
{
    char kept[PRESENCE_NAME_MAX + 1], again[PRESENCE_NAME_MAX + 1];
    size_t length = strlen(text);
    bool is_name =
        length >= 1 && length <= most && judge_is_name((const uint8_t *)text, (uint32_t)length);

    if (parse(text, kept) != is_name)
        fuzz_fail("%s is %sa name", text, is_name ? "not " : "");
    if (is_name)
        fuzz_check(parse(kept, again) && strcmp(kept, again) == 0);
}

static bool parse_room(const char *text, char *ret)
{
    return place_parse_room(text, ret);
}

static void check_names(const char *text)
{
    uint8_t id[PLACE_ID_SIZE], other[PLACE_ID_SIZE], room[256];
    char kept[PLACE_ROOM_MAX + 1], country[3];
    size_t length = strlen(text), trimmed;

    check_kept(text, place_parse_site, PLACE_SITE_MAX);
    check_kept(text, place_parse_source, PLACE_SOURCE_MAX);
    if (place_parse_room(text, kept)) {
        uint32_t size = judge_room((const uint8_t *)text, (uint32_t)length, room);
        fuzz_check(size == strlen(kept) && memcmp(room, kept, size) == 0);
        check_kept(kept, parse_room, PLACE_ROOM_MAX);
    }
    if (place_parse_country(text, country))
        fuzz_check(length == 2 && strlen(country) != 1);
    const char *begin = place_trim(text, &trimmed);
    bool is_visitor = place_is_visitor(begin, trimmed);
    fuzz_check(place_visitor_id(text, id) == is_visitor);
    if (is_visitor) {
        char *alone = strndup(begin, trimmed);
        fuzz_check(place_visitor_id(alone, other) && memcmp(id, other, sizeof(id)) == 0);
        free(alone);
    }
}

/* A line is a heartbeat exactly when the judge accepts it. */
static void check_line(struct fuzz_input text)
{
    static struct judgement judged;
    struct place_heartbeat heartbeat;
    char *line;
    int length = asprintf(&line, "PH1 %.*s", (int)text.size, (const char *)text.bytes);

    fuzz_check(length >= 4);
    judge((uint8_t *)line, (uint32_t)length, &judged);
    int r = place_parse_heartbeat(line, (size_t)length, &heartbeat);
    if ((r == 0) != (judged.reason == JUDGE_ACCEPTED))
        fuzz_fail("%d, judged %d: %s", r, (int)judged.reason, line);
    fuzz_check(r == 0 || (r == -ENODATA) == (judged.reason == JUDGE_VISITOR));
    if (r == 0)
        fuzz_check(memcmp(heartbeat.id, judged.visitor_ids, PLACE_ID_SIZE) == 0 &&
                   strlen(heartbeat.place.site) == judged.site.length);
    free(line);
}

/* ---- the kernel's table ------------------------------------------------------------------ */

static void check_table(struct fuzz_input text)
{
    static const char title[] = "  sl  local_address rem_address   st tx_queue rx_queue "
                                "tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
    struct sockaddr_storage address = {.ss_family = AF_INET};
    struct scratch scratch;
    char path[128];

    scratch_open(&scratch);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/udp%s", scratch.directory, i ? "6" : "");
        FILE *file = fopen(path, "wb");
        fuzz_check(file);
        fputs(title, file);
        if (text.size)
            fwrite(text.bytes, 1, text.size, file);
        fclose(file);
    }
    address_set_port(&address, 0x2328);
    int r = udp_table_find_other(scratch.directory, &address, 0, 0);
    fuzz_check(r == 0 || r == 1 || r == -EBADMSG);
    scratch_close(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort */
    if (size > 0 && data[0] == 0) {
        fuzz_number(&input, 1);
        check_table(input);
        return 0;
    }
    char *text = fuzz_text(input);
    check_time(text);
    check_network(text);
    check_address(text);
    check_engine(text);
    check_names(text);
    check_line(input);
    free(text);
    return 0;
}
