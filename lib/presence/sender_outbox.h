/* sender_outbox.h - gather finished datagrams, so that one system call sends many.
 *
 * They leave in the order in which they were added. Runs of equal size go to the kernel as one
 * message that it segments itself (generic segmentation offload, udp(7) UDP_SEGMENT), and all
 * messages in one sendmmsg. One thread at a time.
 */
#ifndef PRESENCE_SENDER_OUTBOX_H
#define PRESENCE_SENDER_OUTBOX_H

#include "presence/presence.h"
#include "sender_socket.h"

#define OUTBOX_DATAGRAMS         256 /* more in one call is not faster, and harder to receive */
#define OUTBOX_BYTES             (256 << 10)
#define OUTBOX_DATAGRAM_MAX      65507 /* IPv4: 65535 less the IP and UDP headers */
#define OUTBOX_MESSAGE_DATAGRAMS 64    /* Linux before 6.9 accepts no more in one message */

struct outbox_entry {
    uint32_t bytes;
    uint32_t visitors;
};

/* A run of datagrams that is one message to the kernel. */
struct outbox_run {
    uint32_t datagrams;
    uint32_t visitors;
    uint32_t bytes;
};

struct outbox_control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct outbox {
    struct sender_socket socket;
    uint32_t datagram_bytes; /* the largest datagram that is added */
    bool offload;
    bool no_wait;
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

/* Open an empty outbox to `address`, a numeric HOST:PORT. Takes `datagram_bytes`, `no_offload` and
 * `no_wait`, which needs no route yet, from `options`. Errors: -EINVAL the address is malformed;
 * -ENOMEM; or the socket's own. */
int outbox_open(struct outbox *outbox, const char *address,
                const struct presence_sender_options *options);

/* Close and free; datagrams that were not sent are dropped. */
void outbox_close(struct outbox *outbox);

/* Return where to build the next datagram: room for `datagram_bytes`, valid until outbox_add. */
uint8_t *outbox_room(struct outbox *outbox);

/* Add the datagram that was built there, of `bytes` with `visitors`. Send all if there is no room
 * for another. */
void outbox_add(struct outbox *outbox, uint32_t bytes, uint32_t visitors);

/* Send everything, and collect the kernel's reports of what came back. Wait at most 50 ms while the
 * socket is full; drop and count what is refused for longer, or twice. With `no_wait`, wait for
 * nothing: drop and count all that is left as soon as the socket is full or a message is refused
 * twice. The outbox is empty afterwards. */
void outbox_send(struct outbox *outbox);

#endif
