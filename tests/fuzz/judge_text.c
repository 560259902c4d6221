/* judge_text.c - text datagrams, parsed by a state machine, one character at a time. */
#include "judge.h"

#include <string.h>
#include <strings.h>
#include <xxhash.h>

#define END (-1) /* what follows the last character */

static const char *const keys[] = {"site", "visitor", "room", "country", "source", "event", "kind"};
enum { SITE, VISITOR, ROOM, COUNTRY, SOURCE, EVENT, KIND, KEYS };

/* SKIPPED: in quotes, after a bad escape. MALFORMED: whatever follows, the datagram is
 * malformed. */
enum state {
    BETWEEN,
    IN_KEY,
    BEFORE_VALUE,
    BARE,
    QUOTED,
    ESCAPED,
    HEX,
    SKIPPED,
    SKIPPED_ESCAPE,
    AFTER_QUOTE,
    MALFORMED
};

struct value {
    const uint8_t *bytes;
    uint32_t length;
    bool given;
    bool bad; /* a bad escape, or no closing quote */
};

struct machine {
    enum state state;
    uint32_t digits, code,
        high;        /* of an escape: digits so far, their value, and a surrogate before it */
    uint32_t wanted; /* how many digits it has */
    bool bad;        /* this value */
    uint8_t key[65536];
    uint8_t unescaped[65536]; /* all values one after the other: never longer than the datagram */
    uint32_t key_length, begin, end;
    struct value values[KEYS];
};

static void keep(struct machine *machine, uint32_t byte)
{
    machine->unescaped[machine->end++] = (uint8_t)byte;
}

static void keep_code_point(struct machine *machine, uint32_t code)
{
    uint32_t following = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t marks[] = {0x00, 0xc0, 0xe0, 0xf0};
    keep(machine, marks[following] + (code >> (6 * following)));
    while (following-- > 0)
        keep(machine, 0x80 + (code >> (6 * following)) % 64);
}

/* Return the number of the key; KEYS: an unknown one. */
static uint32_t key_of(const struct machine *machine)
{
    uint32_t key = 0;
    while (key < KEYS && !(machine->key_length == strlen(keys[key]) &&
                           memcmp(machine->key, keys[key], machine->key_length) == 0))
        key++;
    return key;
}

static enum state finish_word(struct machine *machine)
{
    uint32_t key = key_of(machine);
    bool bad = machine->bad;
    machine->key_length = 0;
    machine->bad = false;
    machine->high = 0;
    const uint8_t *bytes = machine->unescaped + machine->begin;
    uint32_t length = machine->end - machine->begin;
    machine->begin = machine->end;
    if (key == KEYS)
        return BETWEEN;
    if (machine->values[key].given)
        return MALFORMED;
    machine->values[key] = (struct value){bytes, length, true, bad};
    return BETWEEN;
}

/* After a bad escape: skip everything up to the next quote without a backslash before it. */
static enum state parse_skipped(struct machine *machine, int character)
{
    machine->bad = true;
    if (character == END)
        return finish_word(machine);
    return character == '"' ? AFTER_QUOTE : character == '\\' ? SKIPPED_ESCAPE : SKIPPED;
}

static enum state parse_escape(struct machine *machine, int character)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (character == 'u' || (character == 'x' && !machine->high)) {
        machine->digits = machine->code = 0;
        machine->wanted = character == 'u' ? 4 : 2;
        return HEX;
    }
    const char *letter = character > 0 ? strchr(letters, character) : NULL;
    if (!letter || machine->high) {
        machine->bad = true;
        return character == END ? finish_word(machine) : SKIPPED;
    }
    keep(machine, (uint8_t)meant[letter - letters]);
    return QUOTED;
}

/* Handle the end of an escape's digits. */
static enum state parse_code(struct machine *machine)
{
    uint32_t code = machine->code;
    if (machine->wanted == 2) {
        keep(machine, code);
        return QUOTED;
    }
    bool is_low = code >= 0xdc00 && code < 0xe000;
    if (is_low != (machine->high != 0))
        return SKIPPED;
    if (code >= 0xd800 && code < 0xdc00) {
        machine->high = code;
        return QUOTED;
    }
    if (is_low)
        code = 0x10000 + (machine->high - 0xd800) * 0x400 + (code - 0xdc00);
    machine->high = 0;
    keep_code_point(machine, code);
    return QUOTED;
}

static enum state parse_digit(struct machine *machine, int character)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit = character > 0 ? strchr(digits, character) : NULL;
    if (!digit)
        return parse_skipped(machine, character);
    machine->code = machine->code * 16 + (uint32_t)(digit - digits) % 16;
    if (++machine->digits < machine->wanted)
        return HEX;
    enum state state = parse_code(machine);
    machine->bad |= state == SKIPPED;
    return state;
}

static enum state parse_quoted(struct machine *machine, int character)
{
    if (character == '\\')
        return ESCAPED;
    if (character == END || machine->high)
        return parse_skipped(machine, character);
    if (character == '"')
        return AFTER_QUOTE;
    keep(machine, (uint32_t)character);
    return QUOTED;
}

static enum state parse_in_quotes(struct machine *machine, int character)
{
    switch (machine->state) {
    case QUOTED:
        return parse_quoted(machine, character);
    case ESCAPED:
        return parse_escape(machine, character);
    case HEX:
        return parse_digit(machine, character);
    case SKIPPED:
        return parse_skipped(machine, character);
    default: /* SKIPPED_ESCAPE */
        return character == END ? finish_word(machine) : SKIPPED;
    }
}

static enum state take(struct machine *machine, int character)
{
    bool ends_word = character == ' ' || character == END;
    switch (machine->state) {
    case BETWEEN:
        if (ends_word)
            return BETWEEN;
        __attribute__((fallthrough));
    case IN_KEY:
        if (character == '=')
            return BEFORE_VALUE;
        if (ends_word)
            return MALFORMED;
        machine->key[machine->key_length++] = (uint8_t)character;
        return IN_KEY;
    case BEFORE_VALUE:
        if (character == '"')
            return QUOTED;
        __attribute__((fallthrough));
    case BARE:
        if (ends_word)
            return finish_word(machine);
        keep(machine, (uint32_t)character);
        return BARE;
    case AFTER_QUOTE:
        if (ends_word)
            return finish_word(machine);
        return key_of(machine) == KEYS ? BARE : MALFORMED;
    case MALFORMED:
        return MALFORMED;
    default:
        return parse_in_quotes(machine, character);
    }
}

/* ---- what it means ----------------------------------------------------------------------- */

static struct value present(const struct machine *machine, uint32_t key)
{
    struct value value = machine->values[key];
    if (value.bad)
        return value;
    value.given = value.length > 1 || (value.length == 1 && value.bytes[0] != '-');
    return value;
}

static bool is(struct value value, const char *text)
{
    return value.length == strlen(text) && memcmp(value.bytes, text, value.length) == 0;
}

/* Set a name if it is valid. False if it is given and invalid. */
static bool set_name(struct value value, uint32_t longest, struct judge_name *ret)
{
    ret->length = 0;
    if (!value.given)
        return true;
    if (value.bad || value.length > longest || !judge_is_name(value.bytes, value.length))
        return false;
    memcpy(ret->bytes, value.bytes, value.length);
    ret->length = value.length;
    return true;
}

static bool set_kind(struct value kind, struct value event, struct judgement *ret)
{
    static const char *const kinds[] = {"", "heartbeat", "leave", "pageview", "event"};
    if (!kind.given) {
        ret->kind = event.given ? 4 : 1;
        return true;
    }
    for (ret->kind = 1; ret->kind <= 4; ret->kind++) {
        if (is(kind, kinds[ret->kind]))
            return (ret->kind == 4) == event.given;
    }
    return false;
}

static bool set_country(struct value value, uint8_t ret[2])
{
    static const char none[][3] = {"XX", "ZZ", "T1", "A1", "A2", "O1"};
    ret[0] = ret[1] = 0;
    if (!value.given)
        return true;
    if (value.bad || value.length != 2)
        return false;
    char raised[3] = {(char)value.bytes[0], (char)value.bytes[1], '\0'};
    for (uint32_t i = 0; i < 2; i++) {
        if (raised[i] >= 'a' && raised[i] <= 'z')
            raised[i] = (char)(raised[i] - 'a' + 'A');
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (memcmp(raised, none[i], 2) == 0)
            return true;
    }
    if (strspn(raised, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2)
        return false;
    memcpy(ret, raised, 2);
    return true;
}

/* Set a room from the segments between its slashes; one that is longer than any may be is
 * invalid. */
static bool set_room(struct value value, struct judgement *ret)
{
    static uint8_t room[65536];
    ret->room.length = ret->rooms_too_long = 0;
    if (!value.given || value.bad)
        return !value.bad;
    uint32_t length = judge_room(value.bytes, value.length, room);
    ret->rooms_too_long = length > 255;
    return ret->rooms_too_long ||
           set_name((struct value){room, length, true, false}, 255, &ret->room);
}

static bool set_uuid(struct value value, uint8_t ret[16])
{
    static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (value.length != strlen(pattern))
        return false;
    uint32_t nibbles = 0;
    uint8_t id[16] = {0};
    for (uint32_t i = 0; i < value.length; i++) {
        const char *digit = memchr(digits, value.bytes[i], sizeof(digits) - 1);
        if (pattern[i] == '-' ? value.bytes[i] != '-' : !digit)
            return false;
        if (pattern[i] == '-')
            continue;
        id[nibbles / 2] = (uint8_t)(id[nibbles / 2] * 16 + (digit - digits) % 16);
        nibbles++;
    }
    memcpy(ret, id, 16);
    return true;
}

static bool set_visitor(struct value value, uint8_t ret[16])
{
    static const char *const nobody[] = {"undefined", "null", "NaN",
                                         "00000000-0000-0000-0000-000000000000"};
    if (!value.given)
        return false;
    while (value.length > 0 && value.bytes[value.length - 1] == ' ')
        value.length--;
    while (value.length > 0 && value.bytes[0] == ' ') {
        value.bytes++;
        value.length--;
    }
    if (value.length < 1 || value.length > 512)
        return false;
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
        if (value.length == strlen(nobody[i]) &&
            strncasecmp((const char *)value.bytes, nobody[i], value.length) == 0)
            return false;
    }
    if (set_uuid(value, ret))
        return true;
    XXH128_hash_t hash = XXH3_128bits(value.bytes, value.length);
    for (int i = 0; i < 16; i++)
        ret[i] = (uint8_t)((i < 8 ? hash.high64 : hash.low64) >> (56 - 8 * (i % 8)));
    return true;
}

static enum judge_reason weigh(const struct machine *machine, struct judgement *ret)
{
    struct value event = present(machine, EVENT);
    static const uint32_t essential[] = {SITE, VISITOR, KIND, EVENT};
    for (size_t i = 0; i < sizeof(essential) / sizeof(essential[0]); i++) {
        if (machine->values[essential[i]].bad)
            return JUDGE_MALFORMED;
    }
    if (!present(machine, SITE).given || !set_name(present(machine, SITE), 253, &ret->site))
        return JUDGE_MALFORMED;
    if (!set_name(event, 63, &ret->event) || !set_kind(present(machine, KIND), event, ret))
        return JUDGE_MALFORMED;
    if (!set_visitor(present(machine, VISITOR), ret->visitor_ids))
        return JUDGE_VISITOR;
    ret->visitors = 1;
    ret->authenticated = ret->key_id = ret->sent_at = 0;
    ret->labels_invalid = !set_room(present(machine, ROOM), ret);
    ret->labels_invalid += !set_name(present(machine, SOURCE), 253, &ret->source);
    ret->labels_invalid += !set_country(present(machine, COUNTRY), ret->country);
    return JUDGE_ACCEPTED;
}

static bool is_letter_or_digit(uint8_t byte)
{
    return byte != 0 &&
           strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", byte) != NULL;
}

/* Find where the words begin; the length if `PH1 ` is not where it should be. */
static uint32_t find_words(const uint8_t *datagram, uint32_t length)
{
    for (uint32_t i = 0; i < 1024 && i + 4 <= length; i++) {
        if ((i == 0 || !is_letter_or_digit(datagram[i - 1])) &&
            memcmp(datagram + i, "PH1 ", 4) == 0)
            return i + 4;
    }
    return length;
}

void judge_text(const uint8_t *datagram, uint32_t length, struct judgement *ret)
{
    static struct machine machine;
    machine.state = BETWEEN;
    machine.digits = machine.code = machine.high = 0;
    machine.bad = false;
    machine.key_length = machine.begin = machine.end = 0;
    memset(machine.values, 0, sizeof(machine.values));

    while (length > 0 && memchr("\n\r\0", datagram[length - 1], 3))
        length--;
    for (uint32_t i = find_words(datagram, length); i < length; i++)
        machine.state = take(&machine, datagram[i]);
    machine.state = take(&machine, END);
    ret->reason = machine.state == MALFORMED ? JUDGE_MALFORMED : weigh(&machine, ret);
}
