/* wire_fixture.h - native datagrams of given lengths, and the required results of decoding. */
#ifndef PRESENCE_WIRE_FIXTURE_H
#define PRESENCE_WIRE_FIXTURE_H

#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/wire.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static inline void expect_reason(const char *what, enum wire_reason got, enum wire_reason expected)
{
    if (got != expected)
        fail_msg("%s: reason %d, not %d", what, (int)got, (int)expected);
}

static inline void expect_name(const char *what, struct wire_name got, const char *expected)
{
    if (got.length != strlen(expected) || memcmp(got.bytes, expected, got.length) != 0)
        fail_msg("%s: '%.*s', not '%s'", what, (int)got.length, (const char *)got.bytes, expected);
}

/* One changed field of a golden datagram. */
struct patch {
    const char *what;
    const char *golden;
    uint32_t offset;
    const char *hex;
    enum wire_reason expected;
};

static inline struct bytes patched(const struct patch *patch)
{
    struct bytes datagram = bytes_from_hex(patch->golden);
    struct bytes change = bytes_from_hex(patch->hex);

    memcpy(datagram.bytes + patch->offset, change.bytes, change.length);
    bytes_free(&change);
    return datagram;
}

struct lengths {
    const char *what;
    uint8_t kind, flags;
    uint32_t site, room, source, event, visitors;
    enum wire_reason expected;
};

/* Build a datagram from these lengths, whether they are valid or not. */
static inline struct bytes build(const struct lengths *of)
{
    uint32_t names = of->site + of->room + of->source + of->event;
    uint32_t size = 20 + names + 16 * of->visitors + (of->flags ? 8 : 0);
    struct bytes datagram = {malloc(size), size};
    const uint8_t header[20] = {'P',
                                'H',
                                1,
                                of->kind,
                                (uint8_t)(size >> 8),
                                (uint8_t)size,
                                of->flags,
                                of->flags ? 201 : 0,
                                0,
                                0,
                                0,
                                0,
                                (uint8_t)(of->visitors >> 8),
                                (uint8_t)of->visitors,
                                (uint8_t)of->site,
                                (uint8_t)of->room,
                                (uint8_t)of->source,
                                (uint8_t)of->event,
                                0,
                                0};
    memcpy(datagram.bytes, header, sizeof(header));
    uint8_t *end = datagram.bytes + sizeof(header);
    memset(end, 's', of->site);
    memset(end + of->site, 'r', of->room);
    memset(end + of->site + of->room, 'o', of->source);
    memset(end + of->site + of->room + of->source, 'e', of->event);
    for (uint32_t i = 0; i < size - 20 - names; i++)
        end[names + i] = (uint8_t)(i * 7);
    return datagram;
}

static inline void expect_run(const char *what, struct wire_name got, char byte, uint32_t length)
{
    if (got.length != length)
        fail_msg("%s: a name of %u bytes, not %u", what, got.length, length);
    for (uint32_t i = 0; i < length; i++) {
        if (got.bytes[i] != (uint8_t)byte)
            fail_msg("%s: byte %u of a name is 0x%02x, not '%c'", what, i, got.bytes[i], byte);
    }
}

#endif
