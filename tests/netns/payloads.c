/* The table of payloads, written from the protocol's description, not from its parser: version 1
 * and text. Version 2 is in payloads_v2.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/golden.h"
#include "frames.h"

#define PASSED    PRESENCE_XDP_PASSED
#define VERSION   PRESENCE_XDP_VERSION
#define MALFORMED PRESENCE_XDP_MALFORMED
#define VISITOR   PRESENCE_XDP_VISITOR
#define LABELS    83 /* bytes of the golden datagram with labels */
#define SIGNED    55 /* and of the signed one */

/* The golden datagram with labels, or the signed one, with up to two places changed. */
struct change {
    const char *name;
    enum presence_xdp_fate fate;
    bool is_signed;
    uint8_t at, count, bytes[4];
    uint8_t at_2, count_2, bytes_2[4];
};

static const struct change changes[] = {
    {"labels", PASSED, false, 0, 0, {0}},
    {"signed", PASSED, true, 0, 0, {0}},
    {"forged: the tag", PASSED, true, 54, 1, {0}},
    {"forged: the visitor", PASSED, true, 31, 1, {0}},
    {"forged: the time", PASSED, true, 8, 4, {0xff, 0xff, 0xff, 0xff}},
    {"forged: the key's id", PASSED, true, 7, 1, {255}},
    {"kind leave", PASSED, false, 3, 1, {2}},
    {"kind pageview", PASSED, false, 3, 1, {3}},
    {"kind event without a name", MALFORMED, false, 3, 1, {4}},
    {"kind 0", MALFORMED, false, 3, 1, {0}},
    {"kind 5", MALFORMED, false, 3, 1, {5}},
    {"kind 255", MALFORMED, false, 3, 1, {255}},
    {"version 0", VERSION, false, 2, 1, {0}},
    {"version 3", VERSION, false, 2, 1, {3}},
    {"version 2, in text", VERSION, false, 2, 1, {'2'}},
    {"version 255", VERSION, false, 2, 1, {255}},
    {"version 3 and kind 0", VERSION, false, 2, 2, {3, 0}},
    {"version 3 and a wrong length", VERSION, false, 2, 4, {3, 1, 0, 0}},
    {"version 2 by name only", MALFORMED, false, 2, 1, {2}},
    {"version 2 by name, and kind 0", MALFORMED, false, 2, 2, {2, 0}},
    {"version 1, in text", PASSED, false, 2, 1, {'1'}},
    {"magic pH", PASSED, false, 0, 1, {'p'}},
    {"magic Ph", PASSED, false, 1, 1, {'h'}},
    {"length 0", MALFORMED, false, 4, 2, {0, 0}},
    {"length of a header", MALFORMED, false, 4, 2, {0, 20}},
    {"length - 1", MALFORMED, false, 4, 2, {0, LABELS - 1}},
    {"length + 1", MALFORMED, false, 4, 2, {0, LABELS + 1}},
    {"length in the other order", MALFORMED, false, 4, 2, {LABELS, 0}},
    {"length 65535", MALFORMED, false, 4, 2, {255, 255}},
    {"flag 1 alone", MALFORMED, false, 6, 1, {1}},
    {"flag 1 with a key, without a tag", MALFORMED, false, 6, 2, {1, 7}},
    {"flag 2", MALFORMED, false, 6, 1, {2}},
    {"flag 128", MALFORMED, false, 6, 1, {128}},
    {"a key's id without the flag", MALFORMED, false, 7, 1, {7}},
    {"signed with flag 2, too", MALFORMED, true, 6, 1, {3}},
    {"signed without the flag", MALFORMED, true, 6, 1, {0}},
    {"signed with key 0", MALFORMED, true, 7, 1, {0}},
    {"signed without flag and key", MALFORMED, true, 6, 2, {0, 0}},
    {"a time without a tag", PASSED, false, 8, 4, {1, 2, 3, 4}},
    {"no visitors in a length for two", MALFORMED, false, 12, 2, {0, 0}},
    {"one visitor in a length for two", MALFORMED, false, 12, 2, {0, 1}},
    {"three visitors in a length for two", MALFORMED, false, 12, 2, {0, 3}},
    {"65535 visitors", MALFORMED, false, 12, 2, {255, 255}},
    {"4098 visitors: the sum overflows 16 bits", MALFORMED, false, 12, 2, {0x10, 2}},
    {"site length 0", MALFORMED, false, 14, 1, {0}},
    {"site length - 1", MALFORMED, false, 14, 1, {10}},
    {"site length + 1", MALFORMED, false, 14, 1, {12}},
    {"site length 254", MALFORMED, false, 14, 1, {254}},
    {"site length 255", MALFORMED, false, 14, 1, {255}},
    {"no site, the room has its bytes", MALFORMED, false, 14, 2, {0, 19}},
    {"no room, the site has its bytes", PASSED, false, 14, 2, {19, 0}},
    {"room length - 1", MALFORMED, false, 15, 1, {7}},
    {"room length 255", MALFORMED, false, 15, 1, {255}},
    {"source length 0", MALFORMED, false, 16, 1, {0}},
    {"source length 254", MALFORMED, false, 16, 1, {254}},
    {"no source, the room has its bytes", PASSED, false, 15, 2, {20, 0}},
    {"event length 1", MALFORMED, false, 17, 1, {1}},
    {"an event's name with kind 1", MALFORMED, false, 16, 2, {0, 12}},
    {"an event", PASSED, false, 16, 2, {0, 12}, 3, 1, {4}},
    {"an event's name with kind 2", MALFORMED, false, 16, 2, {0, 12}, 3, 1, {2}},
    {"an event's name of 63", MALFORMED, false, 17, 1, {63}, 3, 1, {4}},
    {"an event's name of 64", MALFORMED, false, 17, 1, {64}, 3, 1, {4}},
    {"country absent", PASSED, false, 18, 2, {0, 0}},
    {"country half absent", MALFORMED, false, 18, 2, {'D', 0}},
    {"country half there", MALFORMED, false, 18, 2, {0, 'E'}},
    {"country in lower case", MALFORMED, false, 18, 2, {'d', 'e'}},
    {"country below A", MALFORMED, false, 18, 2, {'@', 'A'}},
    {"country above Z", MALFORMED, false, 18, 2, {'A', '['}},
    {"country AZ", PASSED, false, 18, 2, {'A', 'Z'}},
    {"country of digits", MALFORMED, false, 18, 2, {'1', '2'}},
    {"country of high bytes", MALFORMED, false, 18, 2, {0xc4, 0xc5}},
    {"a control character in the site", PASSED, false, 20, 1, {'\n'}},
    {"no UTF-8 in the room", PASSED, false, 32, 1, {0xff}},
    {"upper case in the site", PASSED, false, 20, 1, {'E'}},
    {"visitors of zeros", PASSED, false, 60, 4, {0}},
};

static const char *const texts[] = {
    "PH1 site=example.com visitor=3f2a",
    "PH1 site=a visitor=b",
    "PH1 ",
    "PH1",
    "P",
    "H",
    "PX",
    "hello",
    "<190>Nov 22 03:56:23 presence: PH1 site=a visitor=b",
    "\n",
    "0123456789012345678", /* 19, 20 and 21 bytes */
    "01234567890123456789",
    "012345678901234567890",
    "PH1\x01\x02\x03 not a heartbeat, but text by its looks",
};

/* Native datagrams whose lengths agree, by number. */
struct lengths {
    const char *name;
    enum presence_xdp_fate fate;
    uint8_t kind, flags, site, room, source, event;
    uint16_t visitors;
};

static const struct lengths made[] = {
    {"the shortest", PASSED, 1, 0, 1, 0, 0, 0, 1},
    {"the shortest signed", PASSED, 1, 1, 1, 0, 0, 0, 1},
    {"the longest names", PASSED, 4, 0, 253, 255, 253, 63, 1},
    {"site 254", MALFORMED, 1, 0, 254, 0, 0, 0, 1},
    {"site 255", MALFORMED, 1, 0, 255, 0, 0, 0, 1},
    {"source 254", MALFORMED, 1, 0, 1, 0, 254, 0, 1},
    {"source 255", MALFORMED, 1, 0, 1, 0, 255, 0, 1},
    {"event 64", MALFORMED, 4, 0, 1, 0, 0, 64, 1},
    {"event 255", MALFORMED, 4, 0, 1, 0, 0, 255, 1},
    {"event 1", PASSED, 4, 0, 1, 0, 0, 1, 1},
    {"no site", MALFORMED, 1, 0, 0, 4, 0, 0, 1},
    {"no names at all", MALFORMED, 1, 0, 0, 0, 0, 0, 1},
    {"nobody", VISITOR, 1, 0, 11, 0, 0, 0, 0},
    {"nobody, signed", VISITOR, 1, 1, 11, 0, 0, 0, 0},
    {"nobody leaves", VISITOR, 2, 0, 1, 255, 253, 0, 0},
    {"nobody, and a wrong kind", MALFORMED, 7, 0, 1, 0, 0, 0, 0},
    {"nobody, and no site", MALFORMED, 1, 0, 0, 0, 0, 0, 0},
    {"a full Ethernet frame", PASSED, 1, 0, 12, 0, 0, 0, 90},
    {"a jumbo frame", PASSED, 1, 0, 12, 8, 0, 0, 555},
    {"a jumbo frame without a site", MALFORMED, 1, 0, 0, 8, 0, 0, 555},
};

static void change(const struct change *change, struct payload *payload)
{
    struct bytes golden = bytes_from_hex(change->is_signed ? GOLDEN_SIGNED_HEX : GOLDEN_LABELS_HEX);

    if (golden.length != (change->is_signed ? SIGNED : LABELS))
        abort();
    memcpy(payload->bytes, golden.bytes, golden.length);
    payload->length = golden.length;
    memcpy(payload->bytes + change->at, change->bytes, change->count);
    memcpy(payload->bytes + change->at_2, change->bytes_2, change->count_2);
    payload->name = change->name;
    payload->fate = change->fate;
    bytes_free(&golden);
}

static void make(const struct lengths *lengths, struct payload *payload)
{
    uint32_t length = 20u + lengths->site + lengths->room + lengths->source + lengths->event +
                      16u * lengths->visitors + (lengths->flags ? 8 : 0);
    const uint8_t header[] = {'P',
                              'H',
                              1,
                              lengths->kind,
                              (uint8_t)(length >> 8),
                              (uint8_t)length,
                              lengths->flags,
                              lengths->flags ? 9 : 0,
                              0,
                              0,
                              0,
                              0,
                              (uint8_t)(lengths->visitors >> 8),
                              (uint8_t)lengths->visitors,
                              lengths->site,
                              lengths->room,
                              lengths->source,
                              lengths->event,
                              0,
                              0};

    if (length > sizeof(payload->bytes))
        abort();
    memset(payload->bytes, 'x', length);
    memcpy(payload->bytes, header, sizeof(header));
    payload->length = length;
    payload->name = lengths->name;
    payload->fate = lengths->fate;
}

/* The golden datagram, cut to so many bytes, or one byte longer. */
static void cut(uint32_t length, struct payload *payload)
{
    static char name[64];

    change(&changes[0], payload);
    snprintf(name, sizeof(name), "the first %u bytes", length);
    payload->length = length;
    payload->name = name;
    payload->fate = length == 1 ? PASSED : MALFORMED; /* one byte is text */
}

static void take_text(const char *text, struct payload *payload)
{
    payload->length = (uint32_t)strlen(text);
    memcpy(payload->bytes, text, payload->length);
    payload->name = text;
    payload->fate = PASSED;
}

uint32_t payload_native(uint32_t visitors, uint8_t *datagram)
{
    static struct payload payload;

    make(&(struct lengths){"", PASSED, 1, 0, 11, 0, 0, 0, (uint16_t)visitors}, &payload);
    memcpy(datagram, payload.bytes, payload.length);
    return payload.length;
}

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

const struct payload *payload_at(unsigned index)
{
    static struct payload payload;
    static const uint32_t longer[] = {1, 8, 16, 1000};

    memset(payload.bytes, 0, sizeof(payload.bytes));
    if (index < COUNT(changes)) {
        change(&changes[index], &payload);
        return &payload;
    }
    index -= COUNT(changes);
    if (index < COUNT(made)) {
        make(&made[index], &payload);
        return &payload;
    }
    index -= COUNT(made);
    if (index < COUNT(texts)) {
        take_text(texts[index], &payload);
        return &payload;
    }
    index -= COUNT(texts);
    if (index < LABELS + COUNT(longer)) {
        cut(index < LABELS ? index : LABELS + longer[index - LABELS], &payload);
        return &payload;
    }
    return payload_v2_at(index - LABELS - COUNT(longer));
}
