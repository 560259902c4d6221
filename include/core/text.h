/* text.h - parse and format the text heartbeat, which an edge proxy's log format can emit.
 *
 * PH1 site=example.com visitor=3f2a... room=/pricing country=DE source=news.example kind=leave
 *
 * One heartbeat a datagram, as described in docs/protocol.md; a header that a relay writes before
 * it, such as syslog's, is ignored. A value is bare, up to the next space, or in double quotes with
 * the escapes of JSON (RFC 8259 section 7) and `\xHH`, a byte.
 *
 * No allocation, no state: every function may be called from any thread. Sizes are bytes.
 */
#ifndef PRESENCE_TEXT_H
#define PRESENCE_TEXT_H

#include "core/text_scan.h"
#include "core/text_visitor.h"
#include "core/utf8.h"
#include "core/wire.h"

#include <string.h>

#define TEXT_HEADER_MAX 1024 /* a heartbeat begins within that many bytes */
#define TEXT_SIZE_MIN   10   /* "PH1 site=a": anything shorter is malformed */

enum text_key {
    TEXT_SITE,
    TEXT_VISITOR,
    TEXT_ROOM,
    TEXT_COUNTRY,
    TEXT_SOURCE,
    TEXT_EVENT,
    TEXT_KIND,
    TEXT_UNKNOWN,
    TEXT_KEYS,
};

/* The values of one datagram. A value with escapes is in the scratch. If a value is longer than its
 * longest legal form, only its length is valid: check it before reading the bytes. */
struct text_words {
    struct wire_name values[TEXT_KEYS];
    uint32_t seen;   /* a bit for each key that was given */
    uint32_t broken; /* likewise, with a bad escape or no closing quote */
};

/* Keys without which a visitor can't be counted, or would be counted in the wrong place. */
#define TEXT_ESSENTIAL (1u << TEXT_SITE | 1u << TEXT_VISITOR | 1u << TEXT_KIND | 1u << TEXT_EVENT)

/* ---- words ------------------------------------------------------------------------------- */

/* Find the datagram's end without the LF, CR and NUL that may follow. */
static inline const uint8_t *text_find_end(const uint8_t *datagram, uint32_t length)
{
    const uint8_t *end = datagram + length;
    while (end > datagram && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\0'))
        end--;
    return end;
}

/* Find what follows the first `PH1 ` that begins the datagram or follows anything but an ASCII
 * letter or digit: a relay's header ends in a space, a tab, `>`, `:`, or is a byte order mark. NULL
 * if there is none. */
static inline const uint8_t *text_find_begin(const uint8_t *datagram, const uint8_t *end)
{
    if (memcmp(datagram, "PH1 ", 4) == 0)
        return datagram + 4;
    const uint8_t *limit = end - 3;
    if (limit > datagram + TEXT_HEADER_MAX)
        limit = datagram + TEXT_HEADER_MAX;
    const uint8_t *found = datagram + 1;
    while (found < limit && (found = memchr(found, 'P', (size_t)(limit - found)))) {
        uint8_t before = found[-1];
        bool within = utf8_is_within(before, '0', '9') || utf8_is_within(before | 0x20, 'a', 'z');
        if (!within && memcmp(found, "PH1 ", 4) == 0)
            return found + 4;
        found++;
    }
    return NULL;
}

static inline struct text_output text_output(struct wire_scratch *scratch, enum text_key key)
{
    switch (key) {
    case TEXT_SITE:
        return (struct text_output){.bytes = scratch->site, .capacity = sizeof(scratch->site)};
    case TEXT_VISITOR:
        return (struct text_output){
            .bytes = scratch->visitor, .capacity = sizeof(scratch->visitor), .trims = true};
    case TEXT_ROOM:
        return (struct text_output){
            .is_room = true, .room = {.bytes = scratch->room, .capacity = sizeof(scratch->room)}};
    case TEXT_COUNTRY:
        return (struct text_output){.bytes = scratch->country,
                                    .capacity = sizeof(scratch->country)};
    case TEXT_SOURCE:
        return (struct text_output){.bytes = scratch->source, .capacity = sizeof(scratch->source)};
    case TEXT_EVENT:
        return (struct text_output){.bytes = scratch->event, .capacity = sizeof(scratch->event)};
    case TEXT_KIND:
        return (struct text_output){.bytes = scratch->kind, .capacity = sizeof(scratch->kind)};
    default:
        return (struct text_output){0};
    }
}

#define TEXT_KEY(a, b, c, d, e, f, g, h)                                              \
    ((uint64_t)(a) | (uint64_t)(b) << 8 | (uint64_t)(c) << 16 | (uint64_t)(d) << 24 | \
     (uint64_t)(e) << 32 | (uint64_t)(f) << 40 | (uint64_t)(g) << 48 | (uint64_t)(h) << 56)

/* Return the key that a word begins with, given its bytes up to the `=`, which is among the first
 * eight. */
static inline enum text_key text_key(uint64_t begin)
{
    switch (begin) {
    case TEXT_KEY('s', 'i', 't', 'e', '=', 0, 0, 0):
        return TEXT_SITE;
    case TEXT_KEY('v', 'i', 's', 'i', 't', 'o', 'r', '='):
        return TEXT_VISITOR;
    case TEXT_KEY('r', 'o', 'o', 'm', '=', 0, 0, 0):
        return TEXT_ROOM;
    case TEXT_KEY('c', 'o', 'u', 'n', 't', 'r', 'y', '='):
        return TEXT_COUNTRY;
    case TEXT_KEY('s', 'o', 'u', 'r', 'c', 'e', '=', 0):
        return TEXT_SOURCE;
    case TEXT_KEY('e', 'v', 'e', 'n', 't', '=', 0, 0):
        return TEXT_EVENT;
    case TEXT_KEY('k', 'i', 'n', 'd', '=', 0, 0, 0):
        return TEXT_KIND;
    default:
        return TEXT_UNKNOWN;
    }
}

/* Parse a key and its `=`. Returns what follows, or NULL if the word has no `=`. */
static inline const uint8_t *text_parse_key(const uint8_t *word, const uint8_t *end,
                                            enum text_key *ret)
{
    const uint8_t *equals = text_find(word, end, '=', ' ');
    if (equals == end || *equals != '=')
        return NULL;
    ptrdiff_t size = equals + 1 - word;
    *ret = size <= 8 ? text_key(text_load(word, end) & ~0ull >> (64 - 8 * size)) : TEXT_UNKNOWN;
    return equals + 1;
}

/* Parse a quoted value, from after its first quote. Returns what follows the last. */
static inline const uint8_t *text_parse_quoted(const uint8_t *bytes, const uint8_t *end,
                                               enum text_key key, struct wire_scratch *scratch,
                                               struct text_words *words)
{
    struct wire_name *value = &words->values[key];
    const uint8_t *stop = text_find(bytes, end, '"', '\\');
    if (stop != end && *stop == '"') {
        *value = (struct wire_name){bytes, (uint32_t)(stop - bytes)};
        return stop + 1;
    }
    stop = text_unescape(bytes, end, text_output(scratch, key), value);
    words->broken |= (uint32_t)!value->bytes << key;
    return stop;
}

/* Parse a value. Returns what follows, a space or the end, or NULL if more follows its closing
 * quote. An unknown key's value is not judged. */
static inline const uint8_t *text_parse_value(const uint8_t *bytes, const uint8_t *end,
                                              enum text_key key, struct wire_scratch *scratch,
                                              struct text_words *words)
{
    bool is_quoted = bytes != end && *bytes == '"';
    const uint8_t *stop = bytes;
    if (is_quoted)
        stop = text_parse_quoted(bytes + 1, end, key, scratch, words);
    if (is_quoted && key != TEXT_UNKNOWN)
        return stop == end || *stop == ' ' ? stop : NULL;
    stop = text_find(stop, end, ' ', ' ');
    words->values[key] = (struct wire_name){bytes, (uint32_t)(stop - bytes)};
    return stop;
}

/* Parse all words. False if one is malformed, a key is given twice, or an essential value is
 * broken. */
static inline bool text_parse_words(const uint8_t *bytes, const uint8_t *end,
                                    struct wire_scratch *scratch, struct text_words *words)
{
    while (bytes < end) {
        if (*bytes == ' ') {
            bytes++;
            continue;
        }
        enum text_key key;
        bytes = text_parse_key(bytes, end, &key);
        if (!bytes)
            return false;
        if (key != TEXT_UNKNOWN && words->seen & 1u << key)
            return false;
        words->seen |= 1u << key;
        bytes = text_parse_value(bytes, end, key, scratch, words);
        if (!bytes)
            return false;
    }
    return (words->broken & TEXT_ESSENTIAL) == 0;
}

/* ---- meaning ----------------------------------------------------------------------------- */

static inline bool text_is_name(struct wire_name name, uint32_t longest)
{
    return name.length <= longest && utf8_is_name(name.bytes, name.length);
}

/* Return a key's value; its length is 0 if it is not given, empty or `-`. */
static inline struct wire_name text_value(const struct text_words *words, enum text_key key)
{
    struct wire_name value = words->values[key];
    if (value.length == 1 && value.bytes[0] == '-')
        value.length = 0;
    return value;
}

/* Return the kind, or 0: unknown, an event without a name, or a name without an event. */
static inline uint8_t text_kind(struct wire_name kind, struct wire_name event)
{
    if (event.length != 0)
        return kind.length == 0 || text_equals(kind, "event") ? WIRE_EVENT : 0;
    if (kind.length == 0 || text_equals(kind, "heartbeat"))
        return WIRE_HEARTBEAT;
    if (text_equals(kind, "leave"))
        return WIRE_LEAVE;
    return text_equals(kind, "pageview") ? WIRE_PAGEVIEW : 0;
}

/* True if a label's value is not broken, as nearly always; otherwise count it as invalid. */
static inline bool text_is_whole(const struct text_words *words, enum text_key key,
                                 struct wire_heartbeat *heartbeat)
{
    bool is_whole = (words->broken & 1u << key) == 0;
    heartbeat->labels_invalid += !is_whole;
    return is_whole;
}

static inline void text_parse_room(const struct text_words *words, struct wire_scratch *scratch,
                                   struct wire_heartbeat *heartbeat)
{
    struct wire_name room = text_value(words, TEXT_ROOM);
    if (!text_is_whole(words, TEXT_ROOM, heartbeat))
        return;
    if (room.bytes != scratch->room) /* unescaping left it in canonical form */
        wire_canonical_room(&room, scratch->room);
    if (room.length > WIRE_ROOM_MAX)
        heartbeat->rooms_too_long = 1;
    else if (utf8_is_name(room.bytes, room.length))
        heartbeat->room = room;
    else
        heartbeat->labels_invalid++;
}

static inline void text_parse_labels(const struct text_words *words, struct wire_scratch *scratch,
                                     struct wire_heartbeat *heartbeat)
{
    text_parse_room(words, scratch, heartbeat);

    struct wire_name source = text_value(words, TEXT_SOURCE);
    if (text_is_whole(words, TEXT_SOURCE, heartbeat)) {
        if (text_is_name(source, WIRE_SOURCE_MAX))
            heartbeat->source = source;
        else
            heartbeat->labels_invalid++;
    }

    struct wire_name country = text_value(words, TEXT_COUNTRY);
    if (text_is_whole(words, TEXT_COUNTRY, heartbeat) && country.length != 0 &&
        !wire_country_parse(country, heartbeat->country))
        heartbeat->labels_invalid++;
}

/* Decode a text datagram. Returns WIRE_ACCEPTED and fills `*ret` (one visitor, never
 * authenticated), or WIRE_MALFORMED or WIRE_VISITOR and leaves it untouched. An invalid room,
 * source or country is left out and counted in `labels_invalid` or `rooms_too_long`. */
static inline enum wire_reason text_decode(const uint8_t *datagram, uint32_t length,
                                           struct wire_scratch *scratch, struct wire_heartbeat *ret)
{
    const uint8_t *end = text_find_end(datagram, length);
    if (end - datagram < TEXT_SIZE_MIN)
        return WIRE_MALFORMED;
    const uint8_t *begin = text_find_begin(datagram, end);
    struct text_words words = {0};
    if (!begin || !text_parse_words(begin, end, scratch, &words))
        return WIRE_MALFORMED;

    struct wire_name site = text_value(&words, TEXT_SITE);
    struct wire_name event = text_value(&words, TEXT_EVENT);
    uint8_t kind = text_kind(text_value(&words, TEXT_KIND), event);
    if (kind == 0 || site.length == 0 || !text_is_name(site, WIRE_SITE_MAX) ||
        !text_is_name(event, WIRE_EVENT_MAX))
        return WIRE_MALFORMED;

    struct wire_name visitor = text_value(&words, TEXT_VISITOR);
    if (!text_visitor_id(visitor.bytes, visitor.length, scratch->visitor_id))
        return WIRE_VISITOR;
    *ret = (struct wire_heartbeat){
        .site = site,
        .event = event,
        .kind = kind,
        .visitors = 1,
        .visitor_ids = scratch->visitor_id,
    };
    text_parse_labels(&words, scratch, ret);
    wire_canonical_lower(&ret->site, scratch->site);
    if (ret->source.length != 0)
        wire_canonical_lower(&ret->source, scratch->source);
    return WIRE_ACCEPTED;
}

/* ---- writing ----------------------------------------------------------------------------- */

static inline void text_put_string(struct text_output *output, const char *text)
{
    while (*text)
        text_put(output, (uint8_t)*text++);
}

static inline bool text_needs_quotes(struct wire_name value)
{
    if (value.bytes[0] == '"')
        return true;
    for (uint32_t i = 0; i < value.length; i++) {
        if (value.bytes[i] <= ' ')
            return true;
    }
    return false;
}

/* Put ` key=value`. Control characters, which only a visitor's id can have, are escaped, so that
 * none of them ends the datagram. */
static inline void text_put_word(struct text_output *output, const char *key,
                                 struct wire_name value)
{
    text_put_string(output, key);
    bool quoted = text_needs_quotes(value);
    if (quoted)
        text_put(output, '"');
    for (uint32_t i = 0; i < value.length; i++) {
        uint8_t byte = value.bytes[i];
        if (quoted && byte < ' ') {
            text_put_string(output, "\\u00");
            text_put(output, (uint8_t)('0' + (byte >> 4)));
            text_put(output, (uint8_t) "0123456789abcdef"[byte & 15]);
            continue;
        }
        if (quoted && (byte == '"' || byte == '\\'))
            text_put(output, '\\');
        text_put(output, byte);
    }
    if (quoted)
        text_put(output, '"');
}

/* True if text can carry a name, or its absence; `-` means absent. */
static inline bool text_can_carry(struct wire_name name, uint32_t longest)
{
    return text_is_name(name, longest) && !text_equals(name, "-");
}

/* True if text can carry the heartbeat's kind and place. Only native datagrams authenticate. */
static inline bool text_is_encodable(const struct wire_heartbeat *heartbeat)
{
    bool is_event = heartbeat->kind == WIRE_EVENT;
    return utf8_is_within(heartbeat->kind, WIRE_HEARTBEAT, WIRE_EVENT) &&
           is_event == (heartbeat->event.length != 0) && heartbeat->site.length != 0 &&
           text_can_carry(heartbeat->site, WIRE_SITE_MAX) &&
           text_can_carry(heartbeat->room, WIRE_ROOM_MAX) &&
           text_can_carry(heartbeat->source, WIRE_SOURCE_MAX) &&
           text_can_carry(heartbeat->event, WIRE_EVENT_MAX) &&
           wire_country_is_valid(heartbeat->country) && !wire_country_is_none(heartbeat->country) &&
           !heartbeat->authenticated;
}

/* Encode one text datagram for the place and kind of `heartbeat`, whose visitors are ignored, and
 * the visitor with the id `visitor`, which is trimmed. Returns its size, or 0 if text can't carry
 * it (nor the id `-`, nor one that is no visitor's) or `capacity` is too small; `datagram` may then
 * be partly written. */
static inline uint32_t text_encode(const struct wire_heartbeat *heartbeat, const uint8_t *visitor,
                                   uint32_t visitor_length, uint8_t *datagram, uint32_t capacity)
{
    struct wire_name id = text_trim(visitor, visitor_length);
    if (text_equals(id, "-") || !text_is_visitor(id) || !text_is_encodable(heartbeat))
        return 0;

    struct text_output output = {.bytes = datagram, .capacity = capacity};
    text_put_word(&output, "PH1 site=", heartbeat->site);
    text_put_word(&output, " visitor=", id);
    if (heartbeat->room.length != 0)
        text_put_word(&output, " room=", heartbeat->room);
    if (heartbeat->country[0] != 0)
        text_put_word(&output, " country=", (struct wire_name){heartbeat->country, 2});
    if (heartbeat->source.length != 0)
        text_put_word(&output, " source=", heartbeat->source);
    if (heartbeat->event.length != 0)
        text_put_word(&output, " event=", heartbeat->event);
    if (heartbeat->kind == WIRE_LEAVE)
        text_put_string(&output, " kind=leave");
    if (heartbeat->kind == WIRE_PAGEVIEW)
        text_put_string(&output, " kind=pageview");
    return output.length <= capacity ? output.length : 0;
}

#endif
