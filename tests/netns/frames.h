/* frames.h - build Ethernet frames from payloads and envelopes. */
#ifndef PRESENCE_TESTS_FRAMES_H
#define PRESENCE_TESTS_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/presence_xdp.h"

#define FRAME_MAX    16384
#define FRAME_PORT   9514
#define FRAME_V4     "192.0.2.1"     /* where the collector listens */
#define FRAME_V6     "2001:db8::1"   /* and */
#define FRAME_V4_SRC "198.51.100.7"  /* where frames come from by default */
#define FRAME_V6_SRC "2001:db8:7::7" /* and */

/* The payload of a UDP datagram, and its fate when it is judged. */
struct payload {
    const char *name;
    enum presence_xdp_fate fate;
    uint32_t length;
    uint8_t bytes[9000];
};

/* The headers around it. Zeros are the plain case. */
struct envelope {
    const char *name;
    bool passes; /* it must pass uncounted, whatever the payload */
    bool v6;
    uint16_t tags[4];     /* VLAN: EtherTypes, from outside; 0 ends them */
    uint8_t options;      /* 32-bit words of IPv4 options */
    uint8_t ip_version;   /* 0: the right one */
    uint8_t header_words; /* IPv4: length stated in the header; 0: the true one */
    uint16_t fragment;    /* IPv4: flags and offset */
    uint8_t next_header;  /* 0: UDP */
    bool extended;        /* IPv6: an extension header of 8 bytes, and its type */
    uint8_t extension;
    uint16_t ether_type;              /* 0: the right one */
    uint16_t port;                    /* destination; 0: the collector's */
    const char *source, *destination; /* NULL: as above */
    uint16_t udp_length;              /* 0: the true one */
    bool jumbogram;                   /* a UDP length of 0 (RFC 2675) */
    uint16_t padding;                 /* bytes of 0xff at the end */
    uint16_t cut;                     /* bytes of the frame that are left; 0: all */
};

/* Write a frame of at most FRAME_MAX bytes; returns its size. */
uint32_t frame_write(const struct envelope *envelope, const uint8_t *payload, uint32_t length,
                     uint8_t *frame);

/* Return payload `number`, valid until the next call; NULL after the last one. */
const struct payload *payload_at(unsigned index);

/* The part of them that is of version 2. */
const struct payload *payload_v2_at(unsigned index);

/* Heartbeats for a site alone, `visitors` of them, in version 1: returns the datagram's length. */
uint32_t payload_native(uint32_t visitors, uint8_t *datagram);

/* The same in version 2, as number `sequence` of a stream. */
uint32_t payload_v2(uint8_t visitors, uint32_t sequence, uint8_t *datagram);

#endif
