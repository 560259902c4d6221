#include "sender_outbox.h"

#include "common/monotonic.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_LONGEST_NS (50 * NS_PER_MS)

int outbox_open(struct outbox *outbox, const char *address,
                const struct presence_sender_options *options)
{
    uint8_t *datagrams = malloc(OUTBOX_BYTES);

    if (!datagrams)
        return -ENOMEM;
    int error = sender_socket_open(&outbox->socket, address, !options->no_wait);
    if (error < 0) {
        free(datagrams);
        return error;
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
    sender_socket_close(&outbox->socket);
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
        *message = (struct msghdr){
            .msg_name = &outbox->socket.address,
            .msg_namelen = outbox->socket.address_length,
            .msg_iov = &outbox->parts[count],
            .msg_iovlen = 1,
        };
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
    bool cut;           /* a refused run was cut into its datagrams, none of which was sent yet */
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
        progress->cut = false;
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
    struct pollfd writable = {outbox->socket.descriptor, error == EAGAIN ? POLLOUT : 0, 0};
    int64_t now = monotonic_coarse_ns();

    if (progress->wait_until == 0)
        progress->wait_until = now + WAIT_LONGEST_NS;
    if (now >= progress->wait_until)
        return false;
    poll(&writable, 1, 1);
    return true;
}

/* True if the device or the path may refuse segmentation, and nothing else, with this error. */
static bool is_of_offload(int error)
{
    return error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP ||
           error == ENOPROTOOPT;
}

enum outbox_remedy {
    OUTBOX_AGAIN,
    OUTBOX_CUT,
    OUTBOX_GIVE_UP,
    OUTBOX_GIVE_UP_ALL,
    OUTBOX_SENT_IN_PART
};

/* Ways to go on when the socket, or a queue below it, is full. */
static enum outbox_remedy remedy_for_full(struct outbox *outbox, struct outbox_progress *progress,
                                          const struct outbox_run *run, int error)
{
    if (!outbox->no_wait)
        return outbox_wait(outbox, progress, error) ? OUTBOX_AGAIN : OUTBOX_GIVE_UP;
    /* A device without a queue gets a run's datagrams one by one, and may have sent the first. */
    if (error == ENOBUFS && run->datagrams > 1)
        return OUTBOX_SENT_IN_PART;
    return OUTBOX_GIVE_UP_ALL;
}

static enum outbox_remedy outbox_remedy(struct outbox *outbox, struct outbox_progress *progress,
                                        const struct outbox_run *run, int error)
{
    if (error == EINTR)
        return OUTBOX_AGAIN;
    if (error == EAGAIN || error == ENOBUFS || error == ENOMEM)
        return remedy_for_full(outbox, progress, run, error);
    /* The error may be about an earlier datagram, and is cleared by being reported: so try once
     * more. */
    if (!progress->refused_once) {
        progress->refused_once = true;
        return OUTBOX_AGAIN;
    }
    if (run->datagrams > 1 && is_of_offload(error)) {
        outbox->offload = false;
        progress->cut = true;
        return OUTBOX_CUT;
    }
    if (progress->cut)
        outbox->offload = true; /* it is the route: without segmentation nothing leaves either */
    return outbox->no_wait && error != EMSGSIZE ? OUTBOX_GIVE_UP_ALL : OUTBOX_GIVE_UP;
}

/* Return how many messages from the next one on to give to the kernel at once. It doesn't say why
 * it has taken fewer. With `no_wait`, a run is therefore given to it alone: the next call would
 * send again what a full queue has let through. */
static uint32_t outbox_span(const struct outbox *outbox, uint32_t next, uint32_t count)
{
    uint32_t end = next;

    if (!outbox->no_wait)
        return count - next;
    while (end < count && outbox->runs[end].datagrams == 1)
        end++;
    return end > next ? end - next : 1;
}

/* Apply a remedy to the messages from `next` on, and return the first that is left. */
static uint32_t outbox_apply(struct outbox *outbox, struct outbox_progress *progress,
                             enum outbox_remedy remedy, uint32_t next, uint32_t count)
{
    if (remedy == OUTBOX_AGAIN)
        return next;
    outbox_advance(outbox, progress, &outbox->runs[next++], remedy == OUTBOX_SENT_IN_PART);
    if (remedy == OUTBOX_GIVE_UP)
        return next;
    while (next < count)
        outbox_advance(outbox, progress, &outbox->runs[next++], false);
    return next;
}

/* Send `count` messages. Return early only if the rest must be built again. */
static void outbox_send_messages(struct outbox *outbox, struct outbox_progress *progress,
                                 uint32_t count)
{
    uint32_t next = 0;

    while (next < count) {
        uint32_t span = outbox_span(outbox, next, count);
        int sent = sendmmsg(outbox->socket.descriptor, outbox->messages + next, span, MSG_DONTWAIT);
        int error = errno;

        if (sent < (int)span)
            outbox->totals.refused += sender_socket_refused(&outbox->socket);
        if (sent > 0) {
            outbox->totals.calls++;
            for (int i = 0; i < sent; i++)
                outbox_advance(outbox, progress, &outbox->runs[next++], true);
            continue;
        }
        enum outbox_remedy remedy = outbox_remedy(outbox, progress, &outbox->runs[next], error);
        if (remedy == OUTBOX_CUT)
            return;
        next = outbox_apply(outbox, progress, remedy, next, count);
    }
}

void outbox_send(struct outbox *outbox)
{
    struct outbox_progress progress = {0};

    while (progress.datagrams < outbox->length) {
        uint32_t count = outbox_build(outbox, progress.datagrams, progress.bytes);
        outbox_send_messages(outbox, &progress, count);
    }
    outbox->totals.refused += sender_socket_refused(&outbox->socket);
    outbox->length = 0;
    outbox->used = 0;
}
