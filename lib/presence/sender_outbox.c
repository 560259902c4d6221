#include "sender_outbox.h"

#include "common/monotonic.h"
#include "sender_socket.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_LONGEST_NS (50 * NS_PER_MS)

int outbox_begin(struct outbox *outbox, int descriptor, uint32_t datagram_bytes, bool offload)
{
    uint8_t *datagrams = malloc(OUTBOX_BYTES);

    if (!datagrams)
        return -ENOMEM;
    outbox->socket = descriptor;
    outbox->datagram_bytes = datagram_bytes;
    outbox->offload = offload;
    outbox->length = 0;
    outbox->used = 0;
    outbox->totals = (struct presence_sender_totals){0};
    outbox->datagrams = datagrams;
    return 0;
}

void outbox_end(struct outbox *outbox)
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

/* The longest run from entry `first` on that can be one message: all but the last of one size, and
 * the last no longer. */
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

/* Build messages of all entries from `first` on, whose bytes begin at `offset`; returns how many.
 */
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

/* How far one outbox_send has come. */
struct outbox_progress {
    uint32_t datagrams; /* that are dealt with, sent or not */
    uint32_t bytes;
    bool refused_once;  /* the next message was refused before */
    int64_t wait_until; /* ns; 0: the kernel has taken everything so far */
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

/* Wait a little for the kernel to take more; false when that has been long enough. */
static bool outbox_wait(struct outbox *outbox, struct outbox_progress *progress, int error)
{
    /* ENOBUFS comes from a queue below the socket, which does not know when it drains. */
    struct pollfd writable = {outbox->socket, error == EAGAIN ? POLLOUT : 0, 0};
    int64_t now = monotonic_coarse_ns();

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
    /* The error may be the report of an earlier datagram; raising it has cleared it. */
    if (!progress->refused_once) {
        progress->refused_once = true;
        return OUTBOX_AGAIN;
    }
    /* The device or the path can't do segmentation: EIO, EINVAL, EMSGSIZE, EOPNOTSUPP. */
    if (run->datagrams > 1) {
        outbox->offload = false;
        return OUTBOX_REBUILD;
    }
    return OUTBOX_GIVE_UP;
}

/* Send `count` built messages. Ends early only for messages to be built anew. */
static void outbox_send_messages(struct outbox *outbox, struct outbox_progress *progress,
                                 uint32_t count)
{
    uint32_t next = 0;

    while (next < count) {
        int sent = sendmmsg(outbox->socket, outbox->messages + next, count - next, MSG_DONTWAIT);
        int error = errno;

        outbox->totals.refused += sender_socket_refused(outbox->socket);
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
        outbox->totals.refused += sender_socket_refused(outbox->socket);
    outbox->length = 0;
    outbox->used = 0;
}
