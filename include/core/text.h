/* text.h - the text heartbeat: what an edge proxy's log format can emit, read and written.
 *
 *     PH1 site=example.com visitor=3f2a... room=/pricing country=DE source=news.example kind=leave
 *
 * One heartbeat a datagram, as README, "The heartbeat", describes it; a syslog header (RFC 3164 or
 * 5424) may precede it. A value is bare, up to the next space, or in double quotes with the escapes
 * of JSON (RFC 8259 section 7).
 *
 * No allocation, no state: every function may be called from any thread. Sizes are bytes.
 */
#ifndef PRESENCE_TEXT_H
#define PRESENCE_TEXT_H

#include "text_scan.h"
#include "utf8.h"
#include "wire.h"

#include <string.h>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#define TEXT_HEADER_MAX 256 /* a syslog header is shorter than this */
#define TEXT_SIZE_MIN   10  /* "PH1 site=a": anything shorter is malformed */

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

/* The values of one datagram. One that had escapes is in the scratch, and of one that is longer
 * than its longest legal form only the length is known: check the length before reading. */
struct text_words {
    struct wire_name values[TEXT_KEYS];
    uint32_t seen; /* a bit for each key that was given */
};

/* ---- words ------------------------------------------------------------------------------- */

/* The datagram's end without the LF, CR and NUL that may follow. */
static inline const uint8_t *text_end(const uint8_t *datagram, uint32_t length)
{
    const uint8_t *end = datagram + length;
    while (end > datagram && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\0'))
        end--;
    return end;
}

/* What follows the first `PH1 ` that begins the datagram or follows a space; NULL if none does. */
static inline const uint8_t *text_begin(const uint8_t *datagram, const uint8_t *end)
{
    if (memcmp(datagram, "PH1 ", 4) == 0)
        return datagram + 4;
    const uint8_t *limit = end - 3;
    if (limit > datagram + TEXT_HEADER_MAX)
        limit = datagram + TEXT_HEADER_MAX;
    const uint8_t *found = datagram + 1;
    while (found < limit && (found = memchr(found, 'P', (size_t)(limit - found)))) {
        if (found[-1] == ' ' && memcmp(found, "PH1 ", 4) == 0)
            return found + 4;
        found++;
    }
    return NULL;
}

static inline struct text_output text_output(struct wire_scratch *scratch, enum text_key key)
{
    switch (key) {
    case TEXT_SITE:
        return (struct text_output){scratch->site, sizeof(scratch->site)};
    case TEXT_VISITOR:
        return (struct text_output){scratch->visitor, sizeof(scratch->visitor), .trims = true};
    case TEXT_ROOM:
        return (struct text_output){scratch->room, sizeof(scratch->room)};
    case TEXT_COUNTRY:
        return (struct text_output){scratch->country, sizeof(scratch->country)};
    case TEXT_SOURCE:
        return (struct text_output){scratch->source, sizeof(scratch->source)};
    case TEXT_EVENT:
        return (struct text_output){scratch->event, sizeof(scratch->event)};
    case TEXT_KIND:
        return (struct text_output){scratch->kind, sizeof(scratch->kind)};
    default:
        return (struct text_output){NULL, 0};
    }
}

#define TEXT_KEY(a, b, c, d, e, f, g, h)                                              \
    ((uint64_t)(a) | (uint64_t)(b) << 8 | (uint64_t)(c) << 16 | (uint64_t)(d) << 24 | \
     (uint64_t)(e) << 32 | (uint64_t)(f) << 40 | (uint64_t)(g) << 48 | (uint64_t)(h) << 56)

/* Which key a word begins with, given its bytes up to the `=`, which is among the first eight. */
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

/* Reads a key and its `=`; returns what follows, or NULL when the word has no `=`. */
static inline const uint8_t *text_read_key(const uint8_t *word, const uint8_t *end,
                                           enum text_key *ret)
{
    const uint8_t *equals = text_find(word, end, '=', ' ');
    if (equals == end || *equals != '=')
        return NULL;
    ptrdiff_t size = equals + 1 - word;
    *ret = size <= 8 ? text_key(text_load(word, end) & ~0ull >> (64 - 8 * size)) : TEXT_UNKNOWN;
    return equals + 1;
}

/* Reads a value; returns what follows, a space or the end, or NULL when it is malformed. */
static inline const uint8_t *text_read_value(const uint8_t *bytes, const uint8_t *end,
                                             enum text_key key, struct wire_scratch *scratch,
                                             struct wire_name *ret)
{
    if (bytes == end || *bytes != '"') {
        const uint8_t *stop = text_find(bytes, end, ' ', ' ');
        *ret = (struct wire_name){bytes, (uint32_t)(stop - bytes)};
        return stop;
    }
    bytes++;
    const uint8_t *stop = text_find(bytes, end, '"', '\\');
    if (stop == end)
        return NULL;
    if (*stop == '"') {
        *ret = (struct wire_name){bytes, (uint32_t)(stop - bytes)};
        stop++;
    } else {
        stop = text_unescape(bytes, end, text_output(scratch, key), ret);
    }
    return stop && (stop == end || *stop == ' ') ? stop : NULL;
}

/* Reads all words; false when one is malformed or a key is there twice. */
static inline bool text_read_words(const uint8_t *bytes, const uint8_t *end,
                                   struct wire_scratch *scratch, struct text_words *words)
{
    while (bytes < end) {
        if (*bytes == ' ') {
            bytes++;
            continue;
        }
        enum text_key key;
        bytes = text_read_key(bytes, end, &key);
        if (!bytes)
            return false;
        if (key != TEXT_UNKNOWN && words->seen & 1u << key)
            return false;
        words->seen |= 1u << key;
        bytes = text_read_value(bytes, end, key, scratch, &words->values[key]);
        if (!bytes)
            return false;
    }
    return true;
}

/* ---- visitors ---------------------------------------------------------------------------- */

/* Reads eight hex digits, the first of them lowest, as four bytes; false when one is none. Bytes
 * are compared with bounds by the carry into their top bit. One from 0x80 never passes; that it may
 * carry into its neighbour is no matter then. */
static inline bool text_hex8(uint64_t word, uint8_t ret[4])
{
    uint64_t letters = word | UTF8_EACH_BYTE(0x20);
    uint64_t is_digit = (word + UTF8_EACH_BYTE(0x80 - '0')) & ~(word + UTF8_EACH_BYTE(0x7f - '9'));
    uint64_t is_letter =
        (letters + UTF8_EACH_BYTE(0x80 - 'a')) & ~(letters + UTF8_EACH_BYTE(0x7f - 'f'));
    if (((is_digit | is_letter) & UTF8_EACH_BYTE(0x80)) != UTF8_EACH_BYTE(0x80))
        return false;

    uint64_t is_letter_bit = word >> 6 & UTF8_EACH_BYTE(0x01);
    uint64_t digits = (word & UTF8_EACH_BYTE(0x0f)) + 9 * is_letter_bit;
    uint64_t pairs = (digits << 4 | digits >> 8) & 0x00ff00ff00ff00ffu;
    pairs = (pairs | pairs >> 8) & 0x0000ffff0000ffffu;
    pairs |= pairs >> 16;
    for (uint32_t i = 0; i < 4; i++)
        ret[i] = (uint8_t)(pairs >> 8 * i);
    return true;
}

static inline uint64_t text_load_two(const uint8_t *low, const uint8_t *high)
{
    uint8_t both[8];
    memcpy(both, low, 4);
    memcpy(both + 4, high, 4);
    return text_little_endian(utf8_load64(both));
}

/* Reads the 36 bytes of a UUID in text (RFC 9562 section 4); false when they are none. */
static inline bool text_uuid(const uint8_t *bytes, uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    if (bytes[8] != '-' || bytes[13] != '-' || bytes[18] != '-' || bytes[23] != '-')
        return false;
    uint8_t id[WIRE_VISITOR_SIZE];
    if (!text_hex8(text_little_endian(utf8_load64(bytes)), id) ||
        !text_hex8(text_load_two(bytes + 9, bytes + 14), id + 4) ||
        !text_hex8(text_load_two(bytes + 19, bytes + 24), id + 8) ||
        !text_hex8(text_little_endian(utf8_load64(bytes + 28)), id + 12))
        return false;
    memcpy(ret_id, id, sizeof(id));
    return true;
}

static inline struct wire_name text_trim(const uint8_t *bytes, uint32_t length)
{
    while (length > 0 && bytes[0] == ' ') {
        bytes++;
        length--;
    }
    while (length > 0 && bytes[length - 1] == ' ')
        length--;
    return (struct wire_name){bytes, length};
}

/* The 16 bytes that stand for a visitor's id, whatever way it came: those of a UUID (8-4-4-4-12 hex
 * digits in any case), the XXH3-128 of anything else. Spaces around it are left out. Returns false,
 * and writes nothing, when it is then not 1 to WIRE_ID_MAX bytes. */
static inline bool text_visitor_id(const uint8_t *bytes, uint32_t length,
                                   uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    struct wire_name id = text_trim(bytes, length);
    if (id.length == 0 || id.length > WIRE_ID_MAX)
        return false;
    if (id.length == 36 && text_uuid(id.bytes, ret_id))
        return true;
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(id.bytes, id.length));
    memcpy(ret_id, canonical.digest, WIRE_VISITOR_SIZE);
    return true;
}

/* ---- meaning ----------------------------------------------------------------------------- */

static inline bool text_equals(struct wire_name name, const char *text)
{
    return name.length == strlen(text) && memcmp(name.bytes, text, name.length) == 0;
}

static inline bool text_is_name(struct wire_name name, uint32_t longest)
{
    return name.length <= longest && utf8_is_name(name.bytes, name.length);
}

/* The value of a key, its length 0 when it is not given, empty or `-`. */
static inline struct wire_name text_value(const struct text_words *words, enum text_key key)
{
    struct wire_name value = words->values[key];
    if (value.length == 1 && value.bytes[0] == '-')
        value.length = 0;
    return value;
}

/* The kind that is meant, or 0: unknown, an event without a name, or a name without an event. */
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

static inline void text_take_labels(const struct text_words *words,
                                    struct wire_heartbeat *heartbeat)
{
    struct wire_name room = text_value(words, TEXT_ROOM);
    if (room.length > WIRE_ROOM_MAX)
        heartbeat->rooms_too_long = 1;
    else if (utf8_is_name(room.bytes, room.length))
        heartbeat->room = room;
    else
        heartbeat->labels_invalid++;

    struct wire_name source = text_value(words, TEXT_SOURCE);
    if (text_is_name(source, WIRE_SOURCE_MAX))
        heartbeat->source = source;
    else
        heartbeat->labels_invalid++;

    struct wire_name country = text_value(words, TEXT_COUNTRY);
    if (country.length == 0)
        return;
    if (country.length == 2 && utf8_is_within(country.bytes[0] & 0xdf, 'A', 'Z') &&
        utf8_is_within(country.bytes[1] & 0xdf, 'A', 'Z')) {
        heartbeat->country[0] = country.bytes[0] & 0xdf;
        heartbeat->country[1] = country.bytes[1] & 0xdf;
    } else {
        heartbeat->labels_invalid++;
    }
}

/* Reads a text datagram. Returns WIRE_ACCEPTED and fills `*ret` (one visitor, never authenticated),
 * or WIRE_MALFORMED or WIRE_VISITOR and leaves it untouched. A room, source or country that is not
 * valid is left out and counted in `labels_invalid` or `rooms_too_long`. */
static inline enum wire_reason text_decode(const uint8_t *datagram, uint32_t length,
                                           struct wire_scratch *scratch, struct wire_heartbeat *ret)
{
    const uint8_t *end = text_end(datagram, length);
    if (end - datagram < TEXT_SIZE_MIN)
        return WIRE_MALFORMED;
    const uint8_t *begin = text_begin(datagram, end);
    struct text_words words = {0};
    if (!begin || !text_read_words(begin, end, scratch, &words))
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
    text_take_labels(&words, ret);
    wire_lower_site(&ret->site, scratch->site);
    return WIRE_ACCEPTED;
}

/* ---- writing ----------------------------------------------------------------------------- */

static inline void text_write(struct text_output *output, const char *text)
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

/* Writes ` key=value`. Control characters, which only a visitor's id can have, are escaped, so that
 * none of them ends the datagram. */
static inline void text_write_word(struct text_output *output, const char *key,
                                   struct wire_name value)
{
    text_write(output, key);
    bool quoted = text_needs_quotes(value);
    if (quoted)
        text_put(output, '"');
    for (uint32_t i = 0; i < value.length; i++) {
        uint8_t byte = value.bytes[i];
        if (quoted && byte < ' ') {
            text_write(output, "\\u00");
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

/* True when text can carry a name, or its absence: there `-` means absent. */
static inline bool text_can_carry(struct wire_name name, uint32_t longest)
{
    return text_is_name(name, longest) && !text_equals(name, "-");
}

/* True when text can carry the heartbeat's kind and place. Only native datagrams authenticate. */
static inline bool text_is_encodable(const struct wire_heartbeat *heartbeat)
{
    bool is_event = heartbeat->kind == WIRE_EVENT;
    return utf8_is_within(heartbeat->kind, WIRE_HEARTBEAT, WIRE_EVENT) &&
           is_event == (heartbeat->event.length != 0) && heartbeat->site.length != 0 &&
           text_can_carry(heartbeat->site, WIRE_SITE_MAX) &&
           text_can_carry(heartbeat->room, WIRE_ROOM_MAX) &&
           text_can_carry(heartbeat->source, WIRE_SOURCE_MAX) &&
           text_can_carry(heartbeat->event, WIRE_EVENT_MAX) &&
           wire_country_is_valid(heartbeat->country) && !heartbeat->authenticated;
}

/* Writes one text datagram for the place and kind of `heartbeat`, whose visitors are not looked at,
 * and the visitor with the id `visitor`, which is trimmed. Returns its size, or 0 when text can't
 * carry it (the id `-`, too) or `capacity` is too small; `datagram` may then be partly written. */
static inline uint32_t text_encode(const struct wire_heartbeat *heartbeat, const uint8_t *visitor,
                                   uint32_t visitor_length, uint8_t *datagram, uint32_t capacity)
{
    struct wire_name id = text_trim(visitor, visitor_length);
    if (id.length == 0 || id.length > WIRE_ID_MAX || text_equals(id, "-") ||
        !text_is_encodable(heartbeat))
        return 0;

    struct text_output output = {datagram, capacity};
    text_write_word(&output, "PH1 site=", heartbeat->site);
    text_write_word(&output, " visitor=", id);
    if (heartbeat->room.length != 0)
        text_write_word(&output, " room=", heartbeat->room);
    if (heartbeat->country[0] != 0)
        text_write_word(&output, " country=", (struct wire_name){heartbeat->country, 2});
    if (heartbeat->source.length != 0)
        text_write_word(&output, " source=", heartbeat->source);
    if (heartbeat->event.length != 0)
        text_write_word(&output, " event=", heartbeat->event);
    if (heartbeat->kind == WIRE_LEAVE)
        text_write(&output, " kind=leave");
    if (heartbeat->kind == WIRE_PAGEVIEW)
        text_write(&output, " kind=pageview");
    return output.length <= capacity ? output.length : 0;
}

#endif
