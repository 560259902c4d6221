/* fuzz_text.c - text heartbeats, with what syslog puts before them: compare with the judge. What
 * is accepted has a form without a header, in which it means the same. */
#include <core/text.h>
#include <core/wire.h>

#include "compare.h"
#include "fuzz.h"

/* True if both name the same place. */
static bool is_same(const struct wire_heartbeat *a, const struct wire_heartbeat *b)
{
    const struct wire_name pairs[][2] = {
        {a->site, b->site}, {a->room, b->room}, {a->source, b->source}, {a->event, b->event}};

    for (size_t i = 0; i < LENGTH(pairs); i++) {
        if (pairs[i][0].length != pairs[i][1].length ||
            (pairs[i][0].length &&
             memcmp(pairs[i][0].bytes, pairs[i][1].bytes, pairs[i][0].length) != 0))
            return false;
    }
    return a->kind == b->kind && memcmp(a->country, b->country, 2) == 0;
}

/* Encode what was decoded, and check that this is decoded as the same. */
static void write_again(const struct wire_heartbeat *heartbeat)
{
    static struct wire_scratch scratch;
    struct wire_heartbeat again = {0};
    uint8_t text[8192];
    uint32_t size = text_encode(heartbeat, (const uint8_t *)"v", 1, text, sizeof(text));

    if (size == 0) /* text has no form for it, as the judge knows */
        return;
    if (text_decode(text, size, &scratch, &again) != WIRE_ACCEPTED)
        fuzz_fail("what is written again is rejected: %.*s", (int)size, (const char *)text);
    if (!is_same(heartbeat, &again))
        fuzz_fail("what is written again is another place: %.*s", (int)size, (const char *)text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire_scratch scratch;
    struct wire_heartbeat heartbeat = {0};

    if (size > 65536 || wire_is_native(data, (uint32_t)size) || wire_is_v2(data, (uint32_t)size))
        return 0;
    if (!compare_datagram(data, (uint32_t)size))
        abort();
    if (text_decode(data, (uint32_t)size, &scratch, &heartbeat) == WIRE_ACCEPTED)
        write_again(&heartbeat);
    return 0;
}
