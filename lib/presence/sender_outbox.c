#include "sender_outbox.h"

#include "common/address.h"
#include "common/monotonic.h"

#include <time.h> /* before linux/errqueue.h, which uses its struct timespec */

#include <errno.h>
#include <linux/errqueue.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_LONGEST_NS   (50 * NS_PER_MS)
#define SEND_BUFFER_BYTES (1 << 20)

/* ---- the socket -------------------------------------------------------------------------- */

static int address_resolve(const char *text, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_socktype = SOCK_DGRAM,
    };
    struct address address;
    int error = address_split_peer(text, &address);

    if (error < 0)
        return error;
    error = getaddrinfo(address.host, address.port, &hints, ret);
    if (error == EAI_MEMORY)
        return -ENOMEM;
    return error == 0 ? 0 : -EINVAL;
}

static int socket_configure(int descriptor, int family)
{
    const int on = 1, send_buffer = SEND_BUFFER_BYTES;
    int error;

    /* IP_RECVERR: without it the kernel hides drops in its own queues (ENOBUFS), and socket_refused
     * has nothing to read. */
    if (family == AF_INET6)
        error = setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    else
        error = setsockopt(descriptor, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
    if (error < 0)
        return -errno;
    /* The kernel grants less where its limit is lower, which is enough. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) < 0)
        return -errno;
    return 0;
}

static int socket_connect(const struct addrinfo *address)
{
    int descriptor = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error;

    if (descriptor < 0)
        return -errno;
    error = socket_configure(descriptor, address->ai_family);
    if (error < 0)
        goto close_socket;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) < 0) {
        error = -errno;
        goto close_socket;
    }
    return descriptor;

close_socket:
    close(descriptor);
    return error;
}

/* Connect a UDP socket to a numeric HOST:PORT, with error reports enabled for socket_refused.
 * Returns the descriptor; -EINVAL the address is malformed; or the socket's own error. */
static int socket_open(const char *address)
{
    struct addrinfo *resolved;
    int result = address_resolve(address, &resolved);

    if (result < 0)
        return result;
    result = socket_connect(resolved);
    freeaddrinfo(resolved);
    return result;
}

static bool report_is_refusal(struct msghdr *report)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(report); part; part = CMSG_NXTHDR(report, part)) {
        bool is_error = (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
                        (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
        struct sock_extended_err error;

        if (!is_error || part->cmsg_len < CMSG_LEN(sizeof(error)))
            continue;
        memcpy(&error, CMSG_DATA(part), sizeof(error));
        /* A report about a datagram's size teaches the kernel the path's MTU; it is no loss. */
        if (error.ee_origin != SO_EE_ORIGIN_LOCAL && error.ee_errno != EMSGSIZE)
            return true;
    }
    return false;
}

/* Return how many datagrams came back since the last call because nobody listened (ICMP destination
 * unreachable). Collects the reports from the socket, so that the next send doesn't fail with one
 * and keep a good datagram back. Source: ip(7), IP_RECVERR. */
static uint64_t socket_refused(int descriptor)
{
    uint64_t refused = 0;

    for (;;) {
        _Alignas(struct cmsghdr) char control[256];
        struct msghdr report = {.msg_control = control, .msg_controllen = sizeof(control)};

        if (recvmsg(descriptor, &report, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR)
                continue;
            return refused;
        }
        refused += report_is_refusal(&report);
    }
}

/* ---- the outbox -------------------------------------------------------------------------- */

int outbox_open(struct outbox *outbox, const char *address,
                const struct presence_sender_options *options)
{
    uint8_t *datagrams = malloc(OUTBOX_BYTES);

    if (!datagrams)
        return -ENOMEM;
    outbox->socket = socket_open(address);
    if (outbox->socket < 0) {
        free(datagrams);
        return outbox->socket;
    }
    outbox->datagram_bytes = options->datagram_bytes;
    outbox->offload = !options->no_offload;
    outbox->no_wait = options->no_wait;
    outbox->length = 0;
    outbox->used = 0;
    outbox->totals = (struct presence_sender_totals){0};
    outbox->datagrams = datagrams;
    return 0;
}

void outbox_close(struct outbox *outbox)
{
    close(outbox->socket);
    free(outbox->datagrams);
}

uint8_t *outbox_room(struct outbox *outbox)
{
    return outbox->datagrams + outbox->used;
}

void outbox_add(struct outbox *outbox, uint32_t bytes, uint32_t visitors)
{
    outbox->entries[outbox->length++] = (struct outbox_entry){bytes, visitors};
    outbox->used += bytes;
    if (outbox->length == OUTBOX_DATAGRAMS || OUTBOX_BYTES - outbox->used < outbox->datagram_bytes)
        outbox_send(outbox);
}

/* Find the longest run from entry `first` on that fits one message: all datagrams but the last of
 * one size, the last no longer. */
static struct outbox_run outbox_run_from(const struct outbox *outbox, uint32_t first)
{
    const struct outbox_entry *entry = &outbox->entries[first];
    const uint32_t size = entry->bytes;
    struct outbox_run run = {1, entry->visitors, size};

    if (!outbox->offload)
        return run;
    while (first + run.datagrams < outbox->length && run.datagrams < OUTBOX_MESSAGE_DATAGRAMS) {
        bool last_was_shorter = entry->bytes < size;
        entry++;
        if (last_was_shorter || entry->bytes > size ||
            run.bytes + entry->bytes > OUTBOX_DATAGRAM_MAX)
            break;
        run.datagrams++;
        run.visitors += entry->visitors;
        run.bytes += entry->bytes;
    }
    return run;
}

static void message_set_segment(struct msghdr *message, struct outbox_control *control,
                                uint32_t segment_bytes)
{
    uint16_t segment = (uint16_t)segment_bytes;

    message->msg_control = control->bytes;
    message->msg_controllen = sizeof(control->bytes);
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(header), &segment, sizeof(segment));
}

/* Build messages of all entries from `first` on, whose bytes begin at `offset`, and return how
 * many. */
static uint32_t outbox_build(struct outbox *outbox, uint32_t first, uint32_t offset)
{
    uint32_t count = 0;

    while (first < outbox->length) {
        struct outbox_run run = outbox_run_from(outbox, first);
        struct msghdr *message = &outbox->messages[count].msg_hdr;

        outbox->parts[count] = (struct iovec){outbox->datagrams + offset, run.bytes};
        *message = (struct msghdr){.msg_iov = &outbox->parts[count], .msg_iovlen = 1};
        if (run.datagrams > 1)
            message_set_segment(message, &outbox->controls[count], outbox->entries[first].bytes);
        outbox->runs[count++] = run;
        first += run.datagrams;
        offset += run.bytes;
    }
    return count;
}

/* Progress of one outbox_send. */
struct outbox_progress {
    uint32_t datagrams; /* sent or given up */
    uint32_t bytes;
    bool refused_once;  /* the next message has been refused once */
    int64_t wait_until; /* ns; 0: the kernel has accepted everything so far */
};

static void outbox_advance(struct outbox *outbox, struct outbox_progress *progress,
                           const struct outbox_run *run, bool sent)
{
    struct presence_sender_totals *totals = &outbox->totals;

    progress->datagrams += run->datagrams;
    progress->bytes += run->bytes;
    progress->refused_once = false;
    if (sent) {
        totals->heartbeats += run->visitors;
        totals->datagrams += run->datagrams;
        totals->bytes += run->bytes;
    } else {
        totals->failed += run->datagrams;
    }
}

/* Wait a little for the kernel to accept more. False once this outbox_send has waited for
 * WAIT_LONGEST_NS. */
static bool outbox_wait(struct outbox *outbox, struct outbox_progress *progress, int error)
{
    /* ENOBUFS comes from a queue below the socket, which does not signal when it drains. */
    struct pollfd writable = {outbox->socket, error == EAGAIN ? POLLOUT : 0, 0};
    int64_t now = monotonic_coarse_ns();

    if (outbox->no_wait)
        return false;
    if (progress->wait_until == 0)
        progress->wait_until = now + WAIT_LONGEST_NS;
    if (now >= progress->wait_until)
        return false;
    poll(&writable, 1, 1);
    return true;
}

enum outbox_remedy { OUTBOX_AGAIN, OUTBOX_REBUILD, OUTBOX_GIVE_UP };

static enum outbox_remedy outbox_remedy(struct outbox *outbox, struct outbox_progress *progress,
                                        const struct outbox_run *run, int error)
{
    if (error == EINTR)
        return OUTBOX_AGAIN;
    if (error == EAGAIN || error == ENOBUFS || error == ENOMEM)
        return outbox_wait(outbox, progress, error) ? OUTBOX_AGAIN : OUTBOX_GIVE_UP;
    /* The error may be about an earlier datagram, and is cleared by being reported: so try once
     * more. */
    if (!progress->refused_once) {
        progress->refused_once = true;
        return OUTBOX_AGAIN;
    }
    /* The device or the path doesn't support segmentation: EIO, EINVAL, EMSGSIZE, EOPNOTSUPP. */
    if (run->datagrams > 1) {
        outbox->offload = false;
        return OUTBOX_REBUILD;
    }
    return OUTBOX_GIVE_UP;
}

/* Send `count` messages. Return early only if the rest must be built again. */
static void outbox_send_messages(struct outbox *outbox, struct outbox_progress *progress,
                                 uint32_t count)
{
    uint32_t next = 0;

    while (next < count) {
        int sent = sendmmsg(outbox->socket, outbox->messages + next, count - next, MSG_DONTWAIT);
        int error = errno;

        outbox->totals.refused += socket_refused(outbox->socket);
        if (sent > 0) {
            outbox->totals.calls++;
            for (int i = 0; i < sent; i++)
                outbox_advance(outbox, progress, &outbox->runs[next++], true);
            continue;
        }
        enum outbox_remedy remedy = outbox_remedy(outbox, progress, &outbox->runs[next], error);
        if (remedy == OUTBOX_REBUILD)
            return;
        if (remedy == OUTBOX_GIVE_UP)
            outbox_advance(outbox, progress, &outbox->runs[next++], false);
    }
}

void outbox_send(struct outbox *outbox)
{
    struct outbox_progress progress = {0};

    while (progress.datagrams < outbox->length) {
        uint32_t count = outbox_build(outbox, progress.datagrams, progress.bytes);
        outbox_send_messages(outbox, &progress, count);
    }
    if (outbox->length == 0)
        outbox->totals.refused += socket_refused(outbox->socket);
    outbox->length = 0;
    outbox->used = 0;
}
