#include "sender_names.h"

#include <errno.h>
#include <string.h>

#define SLOT_SHIFT 23                           /* from a hash to one of SENDER_NAMES_SLOTS */
#define HASH_PRIME UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / the golden ratio */

/* For what is compiled once for each use of a name. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

_Static_assert(SENDER_NAMES_SLOTS == 1 << (32 - SLOT_SHIFT), "the hash's upper bits");

void sender_names_init(struct sender_names *names, uint8_t *bytes)
{
    names->bytes = bytes;
    sender_names_clear(names);
}

void sender_names_clear(struct sender_names *names)
{
    names->size = names->count = 0;
    memset(names->slots, 0, sizeof(names->slots));
}

/* ---- a name's words ---------------------------------------------------------------------- */

/* Compilers have vector instructions for these on every machine that matters. */
typedef signed char chars __attribute__((vector_size(16)));
enum { CHARS = sizeof(chars) };

/* A name's hash, and whether the name is certainly valid and in canonical form. */
struct scan {
    uint64_t hash;
    bool is_canonical;
};

static inline chars load_chars(const uint8_t *bytes)
{
    chars loaded;

    memcpy(&loaded, bytes, sizeof(loaded));
    return loaded;
}

static inline uint64_t hash_word(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * HASH_PRIME;
}

/* Return a vector of zeros if these bytes are plain (utf8_word_is_plain), and in canonical form as
 * far as they and the byte behind them tell. */
static inline chars find_odd(enum sender_name which, const uint8_t *bytes)
{
    chars loaded = load_chars(bytes);
    chars odd = (loaded < 0x20) | (loaded == 0x7f); /* those from 0x80 on are negative */

    if (which == SENDER_ROOM)
        odd |= (loaded == '/') & (load_chars(bytes + 1) == '/');
    else if (which != SENDER_EVENT)
        odd |= (loaded >= 'A') & (loaded <= 'Z');
    return odd;
}

/* scan_copy of 16 bytes or more, 16 at a time. */
static ALWAYS_INLINE struct scan scan_copy_long(enum sender_name which, const uint8_t *bytes,
                                                uint32_t length, uint8_t *copy)
{
    const uint32_t last = length - CHARS;
    struct scan scan = {.hash = length};
    chars odd = {0};

    for (uint32_t i = 0;; i = i + CHARS < last ? i + CHARS : last) {
        odd |= find_odd(which, bytes + i);
        scan.hash = hash_word(scan.hash, utf8_load64(bytes + i));
        scan.hash = hash_word(scan.hash, utf8_load64(bytes + i + sizeof(uint64_t)));
        memcpy(copy + i, bytes + i, CHARS);
        if (i == last)
            break;
    }
    uint64_t halves[2];
    memcpy(halves, &odd, sizeof(halves));
    scan.is_canonical = (halves[0] | halves[1]) == 0;
    return scan;
}

static struct scan scan_copy_short(enum sender_name which, const uint8_t *bytes, uint32_t length,
                                   uint8_t *copy)
{
    struct scan scan = {.hash = length};

    if (length < sizeof(uint64_t)) {
        for (uint32_t i = 0; i < length; i++)
            copy[i] = bytes[i];
        scan.hash = hash_word(scan.hash, utf8_short_word(bytes, length));
    } else {
        uint64_t first = utf8_load64(bytes), last = utf8_load64(bytes + length - sizeof(last));
        memcpy(copy, &first, sizeof(first));
        memcpy(copy + length - sizeof(last), &last, sizeof(last));
        scan.hash = hash_word(hash_word(scan.hash, first), last);
    }
    scan.is_canonical = utf8_is_plain(bytes, length);
    if (which == SENDER_ROOM)
        scan.is_canonical &= canonical_is_room(bytes, length);
    else if (which != SENDER_EVENT)
        scan.is_canonical &= canonical_is_lower(bytes, length);
    return scan;
}

/* Read a name of 1 to 255 bytes, behind which is one more, and copy it to `copy`, which has room
 * for it. */
static ALWAYS_INLINE struct scan scan_copy(enum sender_name which, const uint8_t *bytes,
                                           uint32_t length, uint8_t *copy)
{
    if (length < CHARS)
        return scan_copy_short(which, bytes, length, copy);
    struct scan scan = scan_copy_long(which, bytes, length, copy);
    if (which == SENDER_ROOM && bytes[length - 1] == '/')
        scan.is_canonical = false;
    return scan;
}

static inline bool is_within_length(enum sender_name which, size_t length)
{
    return length <= (which == SENDER_ROOM    ? WIRE_ROOM_MAX
                      : which == SENDER_EVENT ? WIRE_EVENT_MAX
                                              : WIRE_SITE_MAX);
}

/* ---- numbers ----------------------------------------------------------------------------- */

static inline bool name_is(const struct sender_names *names, uint32_t number, const void *bytes,
                           size_t length)
{
    const uint8_t *known = names->bytes + names->offsets[number - 1];

    return known[0] == length && memcmp(known + 1, bytes, length) == 0;
}

/* Number a name whose bytes have been copied behind the others. */
static inline int number_copied(struct sender_names *names, uint32_t length, uint32_t hash,
                                uint32_t size_max)
{
    uint8_t *bytes = names->bytes + names->size;
    uint32_t slot = hash >> SLOT_SHIFT;

    for (uint32_t number; (number = names->slots[slot]) != 0;
         slot = (slot + 1) % SENDER_NAMES_SLOTS) {
        if (names->hashes[number - 1] == hash && name_is(names, number, bytes + 1, length))
            return (int)number;
    }
    if (names->count == WIRE_V2_NAMES_MAX || names->size + 1 + length > size_max)
        return -ENOSPC;
    bytes[0] = (uint8_t)length;
    names->offsets[names->count] = names->size;
    names->hashes[names->count] = hash;
    names->size += 1 + length;
    names->slots[slot] = (uint8_t)++names->count;
    return (int)names->count;
}

/* Number a name that needs a closer look. */
static __attribute__((noinline)) int number_unusual(struct sender_names *names,
                                                    enum sender_name which, const char *text,
                                                    uint32_t size_max)
{
    uint8_t scratch[WIRE_ROOM_MAX + 1] = {0};
    struct wire_name name;
    int error = sender_name_parse(which, text, scratch, &name);

    if (error < 0)
        return error;
    struct scan scan = scan_copy(which, name.bytes, name.length, names->bytes + names->size + 1);
    return number_copied(names, name.length, (uint32_t)(scan.hash >> 32), size_max);
}

/* Number a name as its caller spells it; 0: it is absent. `last` is a number to try first, of a
 * name for the same use; 0: none. */
static ALWAYS_INLINE int number_name(struct sender_names *names, enum sender_name which,
                                     const char *text, uint8_t last, uint32_t size_max)
{
    const uint8_t *bytes = (const uint8_t *)text;

    if (sender_name_is_absent(text))
        return 0;
    size_t length = strlen(text);
    if (last && name_is(names, last, text, length))
        return last;
    if (is_within_length(which, length)) {
        struct scan scan =
            scan_copy(which, bytes, (uint32_t)length, names->bytes + names->size + 1);
        if (scan.is_canonical)
            return number_copied(names, (uint32_t)length, (uint32_t)(scan.hash >> 32), size_max);
    }
    return number_unusual(names, which, text, size_max);
}

int sender_names_number(struct sender_names *names, const struct presence_place *given,
                        const struct wire_v2_record *last, uint32_t size_max,
                        struct wire_v2_record *place)
{
    int site = number_name(names, SENDER_SITE, given->site, last->site, size_max);
    if (site < 0)
        return site;
    int room = number_name(names, SENDER_ROOM, given->room, last->room, size_max);
    if (room < 0)
        return room;
    int source = number_name(names, SENDER_SOURCE, given->source, last->source, size_max);
    if (source < 0)
        return source;
    int event = number_name(names, SENDER_EVENT, given->event, last->event, size_max);
    if (event < 0)
        return event;
    place->site = (uint8_t)site;
    place->room = (uint8_t)room;
    place->source = (uint8_t)source;
    place->event = (uint8_t)event;
    return 0;
}

void sender_names_truncate(struct sender_names *names, uint32_t count)
{
    while (names->count > count) {
        uint32_t number = names->count--, slot = names->hashes[number - 1] >> SLOT_SHIFT;

        while (names->slots[slot] != number)
            slot = (slot + 1) % SENDER_NAMES_SLOTS;
        names->slots[slot] = 0; /* it was the last to be stored: no other was put behind it */
        names->size = names->offsets[number - 1];
    }
}

void sender_names_pad(struct sender_names *names, uint32_t size)
{
    uint8_t *bytes = names->bytes + names->size;

    bytes[0] = (uint8_t)(size - 1);
    memset(bytes + 1, ' ', size - 1);
    names->size += size;
    names->count++;
}
