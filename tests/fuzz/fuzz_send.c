/* fuzz_send.c - lines on the standard input of presence-send: ids of visitors, and heartbeats in
 * text. Each heartbeat that the judge accepts is sent, once; everything that is sent is accepted.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "presence-send.h"

#include "fuzz.h"
#include "judge.h"

static struct {
    struct presence_sender *sender;
    int collector, stdin_before;
    char to[32];
} target;

/* ---- what presence-send's main does otherwise --------------------------------------------- */

void __wrap_log_error(const char *format, ...);

void __wrap_log_error(const char *format, ...)
{
    (void)format;
}

int interrupted(void)
{
    return 0;
}

int interruptible_poll(struct pollfd *descriptor, int timeout_ms)
{
    return poll(descriptor, 1, timeout_ms);
}

/* ---- both ends --------------------------------------------------------------------------- */

static void close_target(void)
{
    presence_sender_close(target.sender);
    close(target.collector);
}

static void open_target(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);

    target.collector = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fuzz_check(bind(target.collector, (struct sockaddr *)&address, length) == 0);
    fuzz_check(getsockname(target.collector, (struct sockaddr *)&address, &length) == 0);
    snprintf(target.to, sizeof(target.to), "127.0.0.1:%u", ntohs(address.sin_port));
    fuzz_check(presence_sender_open(target.to, NULL, &target.sender) == 0);
    atexit(close_target);
}

/* Count the visitors that have arrived, all in datagrams that are accepted. */
static uint64_t receive_visitors(void)
{
    static uint8_t datagram[65536];
    static struct judgement_v2 judged;
    uint64_t visitors = 0;
    ssize_t length;

    while ((length = recv(target.collector, datagram, sizeof(datagram), MSG_DONTWAIT)) > 0) {
        fuzz_check(judge_is_v2(datagram, (uint32_t)length));
        judge_v2(datagram, (uint32_t)length, &judged);
        fuzz_check(judged.reason == JUDGE_ACCEPTED);
        visitors += judged.visitors;
    }
    return visitors;
}

/* Count the lines that have to be sent, and all that may be. */
static void judge_lines(struct fuzz_input input, bool has_site, uint64_t *ret_least,
                        uint64_t *ret_most)
{
    static struct judgement judged;

    *ret_least = *ret_most = 0;
    while (input.size > 0) {
        struct fuzz_input line = fuzz_piece(&input, '\n');
        if (line.size > 0 && line.bytes[line.size - 1] == '\r')
            line.size--;
        if (line.size < 4 || memcmp(line.bytes, "PH1 ", 4) != 0) {
            *ret_most += has_site;
            continue;
        }
        judge_text(line.bytes, (uint32_t)line.size, &judged);
        *ret_least += judged.reason == JUDGE_ACCEPTED;
        *ret_most += judged.reason == JUDGE_ACCEPTED;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct options options = {.mode = MODE_INPUT, .to = target.to};
    uint64_t least, most;

    if (!target.sender)
        open_target();
    if (fuzz_number(&input, 1) % 2)
        options.place = (struct presence_place){.site = "example.com", .kind = PRESENCE_HEARTBEAT};
    int file = memfd_create("stdin", MFD_CLOEXEC);
    fuzz_check(file >= 0);
    fuzz_check(input.size == 0 || write(file, input.bytes, input.size) == (ssize_t)input.size);
    fuzz_check(lseek(file, 0, SEEK_SET) == 0 && dup2(file, STDIN_FILENO) == STDIN_FILENO);
    close(file);
    int status = input_run(&options, target.sender);
    uint64_t visitors = receive_visitors();
    judge_lines(input, options.place.site, &least, &most);
    if (visitors < least || visitors > most)
        fuzz_fail("%llu visitors arrive, not %llu to %llu", (unsigned long long)visitors,
                  (unsigned long long)least, (unsigned long long)most);
    fuzz_check(status == 0 || status == 1);
    return 0;
}
