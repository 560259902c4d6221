/* redis_load.c - what a service that counts with Redis would make it do, as fast as it can: two
 * buffers of commands are always under way, so that the server never waits for its client.
 *
 * redis_load --socket PATH --key KEY --command zadd|pfadd|zcount [--visitors N] [--batch IDS]
 * [--commands N | --fill] [--alone]
 *
 * Members are ids of 16 bytes, scores are Unix seconds, visitors come in random order. --fill adds
 * each of them once. --alone: the next command waits for the answer to the last, as one that is
 * needed does.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define BUFFER_BYTES  262144
#define COMMAND_BYTES 16384 /* the longest: 256 ids */
#define BATCH_MAX     256

enum command { ZADD, PFADD, ZCOUNT };

struct load {
    int socket;
    const char *path, *key;
    enum command command;
    bool fill, alone;
    uint64_t visitors, batch, commands;
    uint64_t next, random;
    uint64_t built, answered; /* commands */
    bool in_line;             /* the last answer is incomplete */
    size_t length;
    char buffer[BUFFER_BYTES];
};

static void put(struct load *load, const void *bytes, size_t length)
{
    memcpy(load->buffer + load->length, bytes, length);
    load->length += length;
}

/* Put an argument in Redis' protocol (RESP): length, then bytes. */
static void put_argument(struct load *load, const void *bytes, size_t length)
{
    load->length += (size_t)sprintf(load->buffer + load->length, "$%zu\r\n", length);
    put(load, bytes, length);
    put(load, "\r\n", 2);
}

static void put_text(struct load *load, const char *text)
{
    put_argument(load, text, strlen(text));
}

static void put_ids(struct load *load, const char *score)
{
    uint8_t id[WIRE_VISITOR_SIZE];

    for (uint64_t i = 0; i < load->batch; i++) {
        uint64_t number = load->fill ? load->next++ : bench_random(&load->random);
        bench_visitor(number % load->visitors, id);
        if (load->command == ZADD)
            put_text(load, score);
        put_argument(load, id, sizeof(id));
    }
}

static void put_command(struct load *load)
{
    static const char *const names[] = {[ZADD] = "ZADD", [PFADD] = "PFADD", [ZCOUNT] = "ZCOUNT"};
    uint64_t arguments = load->command == ZCOUNT ? 4
                         : load->command == ZADD ? 2 + 2 * load->batch
                                                 : 2 + load->batch;
    char now[24], since[24];
    time_t seconds = time(NULL);

    snprintf(now, sizeof(now), "%lld", (long long)seconds);
    snprintf(since, sizeof(since), "%lld", (long long)seconds - 299);
    load->length +=
        (size_t)sprintf(load->buffer + load->length, "*%llu\r\n", (unsigned long long)arguments);
    put_text(load, names[load->command]);
    put_text(load, load->key);
    if (load->command == ZCOUNT) {
        put_text(load, since);
        put_text(load, "+inf");
    } else {
        put_ids(load, now);
    }
    load->built++;
}

static void send_buffer(struct load *load)
{
    size_t sent = 0;

    while (sent < load->length) {
        ssize_t r = write(load->socket, load->buffer + sent, load->length - sent);
        if (r <= 0)
            bench_fail("cannot write to %s: %s", load->path, strerror(errno));
        sent += (size_t)r;
    }
    load->length = 0;
}

/* Count the answers: each is one line, `:` and a number. */
static void count_answers(struct load *load)
{
    char bytes[65536];
    ssize_t length = read(load->socket, bytes, sizeof(bytes));

    if (length <= 0)
        bench_fail("cannot read from %s", load->path);
    for (ssize_t i = 0; i < length; i++) {
        if (!load->in_line && bytes[i] != ':')
            bench_fail("Redis answers %.*s", (int)(length - i), bytes + i);
        load->in_line = bytes[i] != '\n';
        load->answered += !load->in_line;
    }
}

static void run(struct load *load)
{
    while (load->answered < load->commands) {
        uint64_t before = load->built;
        while (load->built < load->commands && load->length < BUFFER_BYTES - COMMAND_BYTES &&
               !(load->alone && load->built > before))
            put_command(load);
        send_buffer(load);
        uint64_t wanted = load->alone || load->built == load->commands ? load->built : before;
        while (load->answered < wanted)
            count_answers(load);
    }
}

static void open_socket(struct load *load)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!load->path || !load->key || strlen(load->path) >= sizeof(address.sun_path))
        bench_fail("--socket, or --key, is missing or too long");
    strcpy(address.sun_path, load->path);
    load->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (load->socket < 0 || connect(load->socket, (struct sockaddr *)&address, sizeof(address)) < 0)
        bench_fail("cannot connect to %s: %s", load->path, strerror(errno));
}

static enum command command_named(const char *name)
{
    if (strcmp(name, "zadd") == 0)
        return ZADD;
    if (strcmp(name, "pfadd") == 0)
        return PFADD;
    if (strcmp(name, "zcount") != 0)
        bench_fail("--command takes zadd, pfadd or zcount, not '%s'", name);
    return ZCOUNT;
}

static bool take_option(struct load *load, int option)
{
    switch (option) {
    case 's':
        load->path = optarg;
        return true;
    case 'k':
        load->key = optarg;
        return strlen(optarg) < 256;
    case 'c':
        load->command = command_named(optarg);
        return true;
    case 'v':
        load->visitors = bench_number("visitors", optarg, UINT32_MAX);
        return true;
    case 'b':
        load->batch = bench_number("batch", optarg, BATCH_MAX);
        return true;
    case 'n':
        load->commands = bench_number("commands", optarg, UINT32_MAX);
        return true;
    case 'f':
        load->fill = true;
        return true;
    case 'a':
        load->alone = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"key", required_argument, NULL, 'k'},
        {"command", required_argument, NULL, 'c'},
        {"visitors", required_argument, NULL, 'v'},
        {"batch", required_argument, NULL, 'b'},
        {"commands", required_argument, NULL, 'n'},
        {"fill", no_argument, NULL, 'f'},
        {"alone", no_argument, NULL, 'a'},
        {0},
    };
    static struct load load = {.visitors = 1000000, .batch = 40, .commands = 10000};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!take_option(&load, option))
            return 2;
    if (load.fill)
        load.commands = (load.visitors + load.batch - 1) / load.batch;
    load.random = (uint64_t)getpid();
    open_socket(&load);
    double start = bench_wall_s();
    run(&load);
    printf("{\"commands\":%llu,\"batch\":%llu,\"seconds\":%.6f}\n",
           (unsigned long long)load.answered, (unsigned long long)load.batch,
           bench_wall_s() - start);
    close(load.socket);
    return 0;
}
