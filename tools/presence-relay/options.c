#include "options.h"

#include <stdlib.h>

#include "http/http_listen.h"
#include "receive/receive_options.h"

#define PATH_BYTES_MAX 4095

/* Parse the groups, and check that nothing comes back to where the relay listens. */
static enum option_verdict set_groups(struct options *options, int local_addresses)
{
    enum option_verdict verdict =
        groups_parse(&options->to, &options->groups, &options->group_count);

    for (unsigned i = 0; verdict == OPTION_RUN && i < options->endpoints.listen_count; i++)
        verdict = groups_check_loop(options->groups, options->group_count,
                                    &options->endpoints.listen[i].address, local_addresses);
    return verdict;
}

/* ---- the table ---------------------------------------------------------------------------- */

static int check_web_address(char *address)
{
    return http_listen_check(address);
}

static const struct option_entry entries[] = {
    OPTION_LISTEN(
        struct options, endpoints,
        .details = RECEIVE_LISTEN_DETAILS
        " What arrives here is passed on, and signed, whoever sent it: for an address that "
        "other machines reach, give --allow as well."),
    {"to", OPTION_LIST(struct options, to), .argument = "GROUP=ADDR:PORT[,ADDR:PORT...]",
     .expected = "a group's name of letters, digits and _.- and numeric addresses, such as "
                 "A=192.0.2.1:9514,192.0.2.2:9514",
     .example = "A=192.0.2.1:9514", .help = "send all heartbeats to this group of collectors",
     .details = "There are 1 to 16 groups, of 1 to 64 collectors each. "
                "A group is a complete copy. Of several collectors in a group, its shards, each "
                "gets the visitors of one range of hashes; their order numbers them. All relays "
                "must give a group the same collectors in the same order. A file's lines have at "
                "most 199 bytes: end one with a comma and go on in the next, behind a space."},
    {"key-file", OPTION_TEXT(struct options, key_file), .max = PATH_BYTES_MAX, .argument = "FILE",
     .expected = "the path of a file of keys", .example = "/etc/presence/relay.key",
     .help = "sign heartbeats with the first key in this file, a line ID HEX32 as in the "
             "collectors' --keys",
     .details = "The clock has to be within 30 seconds of the collectors'. To change the key, add "
                "the new one to the collectors' files and reload them, then put it first here and "
                "send SIGHUP."},
    {"hold", OPTION_UINT32(struct options, hold_ms), .min = 1, .max = 1000, .argument = "MS",
     .fallback = "50", .help = "how long a heartbeat may wait for others, milliseconds",
     .details = "Fewer and larger datagrams cost the network and the collectors less."},
    OPTION_ALLOW(struct options, allow, .details = "Others are rejected with the reason sender."),
    OPTION_RECEIVE(struct options, engine,
                   .details = "With auto, io_uring is used if the kernel allows it; if not, the "
                              "log says why."),
    {"web.listen-address", OPTION_LIST(struct options, listen_addresses),
     .check = check_web_address, .max = HTTP_LISTEN_MAX, .argument = "HOST:PORT",
     .expected = "HOST:PORT, such as 127.0.0.1:9475, [::1]:9475 or :9475",
     .help = "show metrics here; :PORT for all addresses", .fallback = "127.0.0.1:9475",
     .details = HTTP_LISTEN_DETAILS},
};

const struct option_table options_table = {
    .program = "presence-relay",
    .purpose = "Pass heartbeats on to collectors: batched, signed, and to each visitor's shard.",
    .read_file = options_read_file,
    OPTION_ENTRIES(entries),
};

enum option_verdict options_read(int argc, char **argv, int local_addresses, struct options *ret)
{
    struct options options = {.endpoints.workers = 1};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);

    if (verdict == OPTION_RUN)
        verdict = set_groups(&options, local_addresses);
    if (verdict == OPTION_RUN) {
        options.config = use.config;
        *ret = options;
        return OPTION_RUN;
    }
    options_release(&options);
    return verdict;
}

void options_release(struct options *options)
{
    options_free(&options_table, options);
    free(options->groups);
    network_list_free(&options->allow);
    *options = (struct options){0};
}
