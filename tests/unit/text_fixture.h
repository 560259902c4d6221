/* text_fixture.h - the required result of decoding a text datagram. */
#ifndef PRESENCE_TEXT_FIXTURE_H
#define PRESENCE_TEXT_FIXTURE_H

#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/text.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define PLACE         "PH1 site=example.com visitor=" GOLDEN_ID_TEXT
#define PLACED        PLACE " "

/* The required result. Fields left out: the site example.com, nothing else. */
struct text_case {
    const char *what;
    const char *text;
    uint32_t length; /* 0: up to its first zero */
    enum wire_reason reason;
    const char *site, *room, *source, *event, *country;
    uint8_t kind; /* 0: heartbeat */
    uint8_t labels_invalid, rooms_too_long;
};

static void expect_name(const struct text_case *of, const char *field, struct wire_name got,
                        const char *expected)
{
    if (got.length == 0 && expected[0] == '\0')
        return;
    if (got.length != strlen(expected) || memcmp(got.bytes, expected, got.length) != 0)
        fail_msg("%s: %s is '%.*s', not '%s'", of->what, field, (int)got.length,
                 (const char *)got.bytes, expected);
}

static const char *or_nothing(const char *text)
{
    return text ? text : "";
}

static void expect_heartbeat(const struct text_case *of, const struct wire_heartbeat *got)
{
    expect_name(of, "the site", got->site, of->site ? of->site : "example.com");
    expect_name(of, "the room", got->room, or_nothing(of->room));
    expect_name(of, "the source", got->source, or_nothing(of->source));
    expect_name(of, "the event", got->event, or_nothing(of->event));
    if (memcmp(got->country, of->country ? of->country : "\0\0", 2) != 0)
        fail_msg("%s: the country is '%.2s'", of->what, (const char *)got->country);
    if (got->kind != (of->kind ? of->kind : WIRE_HEARTBEAT))
        fail_msg("%s: the kind is %u", of->what, got->kind);
    if (got->labels_invalid != of->labels_invalid || got->rooms_too_long != of->rooms_too_long)
        fail_msg("%s: %u invalid labels, %u rooms too long", of->what, got->labels_invalid,
                 got->rooms_too_long);
    if (got->authenticated || got->key_id || got->tag || got->visitors != 1)
        fail_msg("%s: a key, a tag or not one visitor", of->what);
    struct bytes id = bytes_from_hex(GOLDEN_ID_HEX);
    if (memcmp(got->visitor_ids, id.bytes, id.length) != 0)
        fail_msg("%s: another visitor", of->what);
    bytes_free(&id);
}

static void expect_case(const struct text_case *of)
{
    struct bytes datagram = bytes_copy(of->text, of->length ? of->length : strlen(of->text));
    struct wire_scratch scratch;
    struct wire_heartbeat got, before;
    memset(&scratch, 0xee, sizeof(scratch));
    memset(&before, 0xa5, sizeof(before));
    memcpy(&got, &before, sizeof(before));
    enum wire_reason reason = text_decode(datagram.bytes, datagram.length, &scratch, &got);
    if (reason != of->reason)
        fail_msg("%s: reason %d, not %d", of->what, (int)reason, (int)of->reason);
    if (reason == WIRE_ACCEPTED)
        expect_heartbeat(of, &got);
    else if (memcmp(&got, &before, sizeof(before)) != 0)
        fail_msg("%s: the output is touched", of->what);
    bytes_free(&datagram);
}

static inline void expect_cases(const struct text_case *cases, size_t length)
{
    for (size_t i = 0; i < length; i++)
        expect_case(&cases[i]);
}

#endif
