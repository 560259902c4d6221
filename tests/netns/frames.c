#include "frames.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd
#define UDP          17

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_address(int family, const char *text, uint8_t *at)
{
    if (inet_pton(family, text, at) != 1)
        abort();
}

/* RFC 1071; so that the frames could be sent for real. */
static unsigned checksum(const uint8_t *bytes, uint32_t length)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < length; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static uint8_t *write_ethernet(const struct envelope *envelope, uint8_t *at)
{
    unsigned type = envelope->ether_type ? envelope->ether_type
                    : envelope->v6       ? ETHERTYPE_V6
                                         : ETHERTYPE_V4;

    memset(at, 0x02, 12);
    at += 12;
    for (unsigned i = 0; i < 4 && envelope->tags[i]; i++, at += 4) {
        put16(at, envelope->tags[i]);
        put16(at + 2, 100 + i);
    }
    put16(at, type);
    return at + 2;
}

static uint8_t *write_v4(const struct envelope *envelope, uint32_t udp_size, uint8_t *at)
{
    uint32_t header = 20 + 4u * envelope->options;
    unsigned words = envelope->header_words ? envelope->header_words : header / 4;
    unsigned version = envelope->ip_version ? envelope->ip_version : 4;

    memset(at, 1, header); /* options: no operation */
    at[0] = (uint8_t)(version << 4 | words);
    at[1] = 0;
    put16(at + 2, header + udp_size);
    put16(at + 4, 7);
    put16(at + 6, envelope->fragment);
    at[8] = 64;
    at[9] = envelope->next_header ? envelope->next_header : UDP;
    put16(at + 10, 0);
    put_address(AF_INET, envelope->source ? envelope->source : FRAME_V4_SRC, at + 12);
    put_address(AF_INET, envelope->destination ? envelope->destination : FRAME_V4, at + 16);
    put16(at + 10, checksum(at, header));
    return at + header;
}

static uint8_t *write_v6(const struct envelope *envelope, uint32_t udp_size, uint8_t *at)
{
    uint8_t next = envelope->next_header ? envelope->next_header : UDP;
    unsigned version = envelope->ip_version ? envelope->ip_version : 6;

    memset(at, 0, 40);
    at[0] = (uint8_t)(version << 4);
    put16(at + 4, udp_size + (envelope->extended ? 8 : 0));
    at[6] = envelope->extended ? envelope->extension : next;
    at[7] = 64;
    put_address(AF_INET6, envelope->source ? envelope->source : FRAME_V6_SRC, at + 8);
    put_address(AF_INET6, envelope->destination ? envelope->destination : FRAME_V6, at + 24);
    at += 40;
    if (envelope->extended) {
        memset(at, 0, 8);
        at[0] = next;
        at[2] = 1; /* padding of four bytes, or a whole fragment of offset 0 */
        at[3] = 4;
        at += 8;
    }
    return at;
}

uint32_t frame_write(const struct envelope *envelope, const uint8_t *payload, uint32_t length,
                     uint8_t *frame)
{
    uint32_t udp_size = 8 + length;
    uint32_t stated = envelope->udp_length ? envelope->udp_length : udp_size;
    uint8_t *at = write_ethernet(envelope, frame);

    at = envelope->v6 ? write_v6(envelope, udp_size, at) : write_v4(envelope, udp_size, at);
    put16(at, 40000);
    put16(at + 2, envelope->port ? envelope->port : FRAME_PORT);
    put16(at + 4, envelope->jumbogram ? 0 : stated);
    put16(at + 6, 0);
    at += 8;
    if (length)
        memcpy(at, payload, length);
    at += length;
    memset(at, 0xff, envelope->padding);
    at += envelope->padding;
    uint32_t size = (uint32_t)(at - frame);
    if (size > FRAME_MAX)
        abort();
    return envelope->cut && envelope->cut < size ? envelope->cut : size;
}
