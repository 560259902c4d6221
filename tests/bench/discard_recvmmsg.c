/* discard_recvmmsg.c - a peer: the loop that people write. recvmmsg of 64, blocking until there is
 * one, again and again. */
#include <netinet/in.h>
#include <netinet/udp.h>

#include "discard.h"

#define MESSAGES 64
#define BYTES    65536

static uint8_t data[MESSAGES][BYTES];
static uint8_t control[MESSAGES][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
static struct mmsghdr messages[MESSAGES];
static struct iovec vectors[MESSAGES];

static uint32_t segment_bytes(struct mmsghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
    int segment;

    if (!header || header->cmsg_level != IPPROTO_UDP || header->cmsg_type != UDP_GRO)
        return message->msg_len;
    memcpy(&segment, CMSG_DATA(header), sizeof(segment));
    return segment > 0 ? (uint32_t)segment : message->msg_len;
}

static void receive(struct discard *discard)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        messages[i].msg_hdr.msg_controllen = sizeof(control[i]);
    int count = recvmmsg(discard->socket, messages, MESSAGES, MSG_WAITFORONE, NULL);
    if (count < 0)
        return;
    discard_begin_batch(discard);
    for (int i = 0; i < count; i++)
        discard_train(discard, data[i], messages[i].msg_len, segment_bytes(&messages[i]));
}

int main(int argc, char **argv)
{
    static struct discard discard;

    discard_open(argc, argv, &discard);
    for (unsigned i = 0; i < MESSAGES; i++) {
        vectors[i] = (struct iovec){.iov_base = data[i], .iov_len = BYTES};
        messages[i].msg_hdr =
            (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1, .msg_control = control[i]};
    }
    while (!discard_stop)
        receive(&discard);
    discard_report("discard_recvmmsg", &discard);
    return 0;
}
