/* sender_outbox.h - finished datagrams, gathered so that one system call sends many.
 *
 * They leave in the order in which they were added. Runs of equal size go to the kernel as one
 * message that it cuts up itself (generic segmentation offload, udp(7) UDP_SEGMENT), and all
 * messages in one sendmmsg. One thread at a time.
 */
#ifndef PRESENCE_SENDER_OUTBOX_H
#define PRESENCE_SENDER_OUTBOX_H

#include "presence/presence.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define OUTBOX_DATAGRAMS         256 /* more in one call gains nothing, and is a burst to receive */
#define OUTBOX_BYTES             (256 << 10)
#define OUTBOX_DATAGRAM_MAX      65507 /* IPv4: 65535 less the IP and UDP headers */
#define OUTBOX_MESSAGE_DATAGRAMS 64    /* Linux before 6.9 takes no more in one message */

struct outbox_entry {
    uint32_t bytes;
    uint32_t visitors;
};

/* What is one message to the kernel: a run of datagrams. */
struct outbox_run {
    uint32_t datagrams;
    uint32_t visitors;
    uint32_t bytes;
};

struct outbox_control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct outbox {
    int socket;
    uint32_t datagram_bytes; /* the largest datagram that is added */
    bool offload;
    uint32_t length; /* datagrams */
    uint32_t used;   /* bytes of `datagrams` */
    struct presence_sender_totals totals;
    uint8_t *datagrams; /* one after the other */
    struct outbox_entry entries[OUTBOX_DATAGRAMS];
    struct outbox_run runs[OUTBOX_DATAGRAMS];
    struct mmsghdr messages[OUTBOX_DATAGRAMS];
    struct iovec parts[OUTBOX_DATAGRAMS];
    struct outbox_control controls[OUTBOX_DATAGRAMS];
};

/* Begin, empty, with the connected socket `socket`, which outbox_end closes. -ENOMEM. */
int outbox_begin(struct outbox *outbox, int socket, uint32_t datagram_bytes, bool offload);

/* Free; what was not sent is dropped. */
void outbox_end(struct outbox *outbox);

/* Where to build the next datagram: room for `datagram_bytes`, valid until outbox_add. */
uint8_t *outbox_room(struct outbox *outbox);

/* Add the datagram that was built there, of `bytes` with `visitors`. Sends all when there is no
 * room for another. */
void outbox_add(struct outbox *outbox, uint32_t bytes, uint32_t visitors);

/* Hand everything to the kernel, and take its reports of what came back. Waits for at most 50 ms
 * while it takes nothing; what it refuses for longer, or twice, is dropped and counted. Empty
 * afterwards. */
void outbox_send(struct outbox *outbox);

#endif
