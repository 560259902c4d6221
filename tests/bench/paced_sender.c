/* paced_sender.c - send heartbeats over loopback at a fixed rate, each a datagram of its own and
 * without segmentation offload: the load of a receiver that must not drop any. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "receive/listener.h"

#define BURST_MAX    1024
#define SENDERS_MAX  64
#define HEADER_BYTES 20
#define SITE         "example.com"
#define SITE_BYTES   (sizeof(SITE) - 1)
#define ID_BYTES     16
#define BYTES_MIN    (HEADER_BYTES + SITE_BYTES + ID_BYTES)
#define ROOM_MAX     255
#define BYTES_MAX    (BYTES_MIN + ROOM_MAX)

/* Text as nginx sends it with the documented recipe, for a visit without a source. */
#define TEXT_BEFORE    "<190>Nov 22 03:56:23 presence: PH1 site=" SITE " visitor=\""
#define TEXT_ID        "00000000-0000-4000-8000-000000000000"
#define TEXT_AFTER     "\" room=\"%.*s\" source=\"\""
#define TEXT_BYTES_MAX (sizeof(TEXT_BEFORE TEXT_ID TEXT_AFTER) + ROOM_MAX)

struct load {
    const char *to;
    double rate; /* datagrams a second */
    double seconds;
    unsigned bytes;    /* of a datagram */
    unsigned burst;    /* datagrams sent at once */
    unsigned visitors; /* different ones */
    unsigned senders;  /* sockets that are used in turn, burst by burst */
    bool stamp;        /* the id's last 8 bytes are CLOCK_MONOTONIC in ns */
    bool text;
};

static uint8_t datagrams[BURST_MAX][TEXT_BYTES_MAX];
static struct mmsghdr messages[BURST_MAX];
static struct iovec vectors[BURST_MAX];

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* splitmix64's finalizer: neighbours get unlike ids. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Build a native datagram; the room fills it up to its length. */
static void build_native(const struct load *load, unsigned index)
{
    uint8_t *datagram = datagrams[index];
    uint8_t room_bytes = (uint8_t)(load->bytes - BYTES_MIN);
    const uint8_t header[HEADER_BYTES] = {
        [0] = 'P',
        [1] = 'H',
        [2] = 1,
        [3] = 1,
        [4] = (uint8_t)(load->bytes >> 8),
        [5] = (uint8_t)load->bytes,
        [13] = 1,
        [14] = SITE_BYTES,
        [15] = room_bytes,
    };

    memcpy(datagram, header, sizeof(header));
    memcpy(datagram + HEADER_BYTES, SITE, SITE_BYTES);
    memset(datagram + HEADER_BYTES + SITE_BYTES, 'r', room_bytes);
    vectors[index] = (struct iovec){.iov_base = datagram, .iov_len = load->bytes};
    messages[index].msg_hdr = (struct msghdr){.msg_iov = &vectors[index], .msg_iovlen = 1};
}

/* Build the same heartbeat as text. */
static void build_text(const struct load *load, unsigned index)
{
    char room[ROOM_MAX], *text = (char *)datagrams[index];

    memset(room, 'r', sizeof(room));
    int length = snprintf(text, TEXT_BYTES_MAX, TEXT_BEFORE TEXT_ID TEXT_AFTER,
                          (int)(load->bytes - BYTES_MIN), room);
    vectors[index].iov_len = (size_t)length;
}

static void fill_in_text(unsigned index, uint64_t visitor)
{
    uint8_t *digits = datagrams[index] + sizeof(TEXT_BEFORE) - 1 + sizeof(TEXT_ID) - 1;

    for (int i = 0; i < 12; i++, visitor >>= 4)
        *--digits = (uint8_t) "0123456789abcdef"[visitor & 15];
}

static void fill_in(const struct load *load, unsigned index, uint64_t number, uint64_t now)
{
    uint8_t *id = datagrams[index] + load->bytes - ID_BYTES;
    uint64_t words[2] = {mix(number % load->visitors + 1), mix(number % load->visitors + 2)};

    if (load->stamp)
        words[1] = now;
    memcpy(id, words, sizeof(words));
}

static void send_burst(const struct load *load, int socket, uint64_t *sent, uint64_t *failed)
{
    uint64_t now = now_ns(), number = *sent + *failed;
    unsigned done = 0;

    for (unsigned i = 0; i < load->burst; i++) {
        if (load->text)
            fill_in_text(i, (number + i) % load->visitors);
        else
            fill_in(load, i, number + i, now);
    }
    while (done < load->burst) {
        int r = sendmmsg(socket, messages + done, load->burst - done, 0);
        if (r < 0 && errno == EINTR)
            continue;
        *(r < 0 ? failed : sent) += r < 0 ? 1 : (unsigned)r;
        done += r < 0 ? 1 : (unsigned)r;
    }
}

static void run(const struct load *load, const int *sockets)
{
    uint64_t sent = 0, failed = 0, bursts = 0, start = now_ns(), now = start;
    double interval = 1e9 / load->rate;

    prctl(PR_SET_TIMERSLACK, 1);
    while ((double)(now - start) < load->seconds * 1e9) {
        uint64_t due = start + (uint64_t)((double)(sent + failed) * interval);
        if (due > now + 20000) { /* for less, a timer is too slow: poll */
            struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        } else if (due <= now) {
            send_burst(load, sockets[bursts++ % load->senders], &sent, &failed);
        }
        now = now_ns();
    }
    printf("{\"sent\":%llu,\"failed\":%llu,\"seconds\":%.3f}\n", (unsigned long long)sent,
           (unsigned long long)failed, (double)(now - start) / 1e9);
}

static _Noreturn void usage(const char *program, int status)
{
    fprintf(status ? stderr : stdout,
            "usage: %s [--to ADDR:PORT] [--rate N] [--seconds S] [--bytes B] [--burst N]\n"
            "       [--visitors N] [--senders N] [--stamp | --text]\n"
            "Sends native heartbeats of B bytes (%u to %u), N a second, and prints how many.\n"
            "  --senders  as many sockets take turns, 1 to %u: each is a sender of its own\n"
            "  --stamp  the time of sending in each, for a receiver's --latency\n"
            "  --text   the same heartbeats as nginx sends them\n",
            program, (unsigned)BYTES_MIN, (unsigned)BYTES_MAX, SENDERS_MAX);
    exit(status);
}

static void read_options(int argc, char **argv, struct load *load)
{
    static const struct option options[] = {
        {"to", required_argument, NULL, 'a'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"bytes", required_argument, NULL, 'b'},
        {"burst", required_argument, NULL, 'n'},
        {"visitors", required_argument, NULL, 'v'},
        {"senders", required_argument, NULL, 'm'},
        {"stamp", no_argument, NULL, 't'},
        {"text", no_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            load->to = optarg;
        else if (option == 'r')
            load->rate = strtod(optarg, NULL);
        else if (option == 's')
            load->seconds = strtod(optarg, NULL);
        else if (option == 'b')
            load->bytes = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'n')
            load->burst = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'v')
            load->visitors = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'm')
            load->senders = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't')
            load->stamp = true;
        else if (option == 'x')
            load->text = true;
        else
            usage(argv[0], option == 'h' ? 0 : 2);
    }
    if (optind < argc || load->rate <= 0 || load->bytes < BYTES_MIN || load->bytes > BYTES_MAX ||
        load->burst < 1 || load->burst > BURST_MAX || load->visitors < 1 || load->senders < 1 ||
        load->senders > SENDERS_MAX)
        usage(argv[0], 2);
}

int main(int argc, char **argv)
{
    struct load load = {.to = "127.0.0.1:9514",
                        .rate = 500000,
                        .seconds = 3,
                        .bytes = 57,
                        .burst = 32,
                        .visitors = 1000000,
                        .senders = 1};
    int sockets[SENDERS_MAX];
    struct sockaddr_storage address;
    socklen_t length;

    read_options(argc, argv, &load);
    if (listener_parse(load.to, &address, &length) < 0)
        usage(argv[0], 2);
    for (unsigned i = 0; i < load.senders; i++) {
        sockets[i] = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&address, length) < 0) {
            fprintf(stderr, "%s: cannot send to %s: %s\n", argv[0], load.to, strerror(errno));
            return 1;
        }
    }
    for (unsigned i = 0; i < load.burst; i++) {
        build_native(&load, i);
        if (load.text)
            build_text(&load, i);
    }
    run(&load, sockets);
    return 0;
}
