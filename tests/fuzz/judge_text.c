/* judge_text.c - text datagrams, read by a machine that takes one character at a time. */
#include "judge.h"

#include <string.h>
#include <xxhash.h>

#define END (-1) /* what follows the last character */

static const char *const keys[] = {"site", "visitor", "room", "country", "source", "event", "kind"};
enum { SITE, VISITOR, ROOM, COUNTRY, SOURCE, EVENT, KIND, KEYS };

enum state { BETWEEN, IN_KEY, BEFORE_VALUE, BARE, QUOTED, ESCAPED, HEX, AFTER_QUOTE, BROKEN };

struct value {
    const uint8_t *bytes;
    uint32_t length;
    bool given;
};

struct machine {
    enum state state;
    uint32_t digits, code, high; /* of an escape: how many, their value, a surrogate before */
    uint8_t key[65536];
    uint8_t unescaped[65536]; /* of all values, one after the other: never more than came in */
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

static enum state finish_word(struct machine *machine)
{
    uint32_t key = 0;
    while (key < KEYS && !(machine->key_length == strlen(keys[key]) &&
                           memcmp(machine->key, keys[key], machine->key_length) == 0))
        key++;
    machine->key_length = 0;
    const uint8_t *bytes = machine->unescaped + machine->begin;
    uint32_t length = machine->end - machine->begin;
    machine->begin = machine->end;
    if (key == KEYS)
        return BETWEEN;
    if (machine->values[key].given)
        return BROKEN;
    machine->values[key] = (struct value){bytes, length, true};
    return BETWEEN;
}

static enum state take_escape(struct machine *machine, int character)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (character == 'u') {
        machine->digits = machine->code = 0;
        return HEX;
    }
    const char *letter = character > 0 ? strchr(letters, character) : NULL;
    if (!letter || machine->high)
        return BROKEN;
    keep(machine, (uint8_t)meant[letter - letters]);
    return QUOTED;
}

static enum state take_digit(struct machine *machine, int character)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit = character > 0 ? strchr(digits, character) : NULL;
    if (!digit)
        return BROKEN;
    machine->code = machine->code * 16 + (uint32_t)(digit - digits) % 16;
    if (++machine->digits < 4)
        return HEX;
    uint32_t code = machine->code;
    bool is_low = code >= 0xdc00 && code < 0xe000;
    if (is_low != (machine->high != 0))
        return BROKEN;
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

static enum state take_quoted(struct machine *machine, int character)
{
    if (character == '\\')
        return ESCAPED;
    if (character == END || machine->high)
        return BROKEN;
    if (character == '"')
        return AFTER_QUOTE;
    keep(machine, (uint32_t)character);
    return QUOTED;
}

static enum state take(struct machine *machine, int character)
{
    bool ends_word = character == ' ' || character == END;
    switch (machine->state) {
    case BETWEEN:
        if (ends_word)
            return BETWEEN;
        /* fall through */
    case IN_KEY:
        if (character == '=')
            return BEFORE_VALUE;
        if (ends_word)
            return BROKEN;
        machine->key[machine->key_length++] = (uint8_t)character;
        return IN_KEY;
    case BEFORE_VALUE:
        if (character == '"')
            return QUOTED;
        /* fall through */
    case BARE:
        if (ends_word)
            return finish_word(machine);
        keep(machine, (uint32_t)character);
        return BARE;
    case QUOTED:
        return take_quoted(machine, character);
    case ESCAPED:
        return take_escape(machine, character);
    case HEX:
        return take_digit(machine, character);
    case AFTER_QUOTE:
        return ends_word ? finish_word(machine) : BROKEN;
    default:
        return BROKEN;
    }
}

/* ---- what it means ----------------------------------------------------------------------- */

static struct value present(const struct machine *machine, uint32_t key)
{
    struct value value = machine->values[key];
    value.given = value.length > 1 || (value.length == 1 && value.bytes[0] != '-');
    return value;
}

static bool is(struct value value, const char *text)
{
    return value.length == strlen(text) && memcmp(value.bytes, text, value.length) == 0;
}

/* Sets a name if it is one; false when it is given and is none. */
static bool set_name(struct value value, uint32_t longest, struct judge_name *ret)
{
    ret->length = 0;
    if (!value.given)
        return true;
    if (value.length > longest || !judge_is_name(value.bytes, value.length))
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
    ret[0] = ret[1] = 0;
    if (!value.given)
        return true;
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t raised[2];
    for (uint32_t i = 0; i < 2; i++) {
        const void *found =
            value.length == 2 ? memchr(letters, value.bytes[i], sizeof(letters) - 1) : NULL;
        if (!found)
            return false;
        raised[i] = (uint8_t)('A' + ((const char *)found - letters) % 26);
    }
    memcpy(ret, raised, 2);
    return true;
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
    if (!value.given)
        return false;
    while (value.length > 0 && value.bytes[value.length - 1] == ' ')
        value.length--;
    while (value.length > 0 && value.bytes[0] == ' ') {
        value.bytes++;
        value.length--;
    }
    if (value.length < 1 || value.length > 128)
        return false;
    if (set_uuid(value, ret))
        return true;
    XXH128_hash_t hash = XXH3_128bits(value.bytes, value.length);
    for (int i = 0; i < 16; i++)
        ret[i] = (uint8_t)((i < 8 ? hash.high64 : hash.low64) >> (56 - 8 * (i % 8)));
    return true;
}

static enum judge_reason weigh(const struct machine *machine, struct judgement *ret)
{
    struct value room = present(machine, ROOM), event = present(machine, EVENT);
    if (!present(machine, SITE).given || !set_name(present(machine, SITE), 253, &ret->site))
        return JUDGE_MALFORMED;
    if (!set_name(event, 63, &ret->event) || !set_kind(present(machine, KIND), event, ret))
        return JUDGE_MALFORMED;
    if (!set_visitor(present(machine, VISITOR), ret->visitor_ids))
        return JUDGE_VISITOR;
    ret->visitors = 1;
    ret->authenticated = ret->key_id = ret->sent_at = 0;
    ret->rooms_too_long = room.length > 255;
    ret->labels_invalid = !set_name(room, 255, &ret->room) && !ret->rooms_too_long;
    ret->labels_invalid += !set_name(present(machine, SOURCE), 253, &ret->source);
    ret->labels_invalid += !set_country(present(machine, COUNTRY), ret->country);
    return JUDGE_ACCEPTED;
}

/* Where the words begin, or the length when it does not say `PH1 ` where it should. */
static uint32_t words_begin(const uint8_t *datagram, uint32_t length)
{
    for (uint32_t i = 0; i < 256 && i + 4 <= length; i++) {
        if ((i == 0 || datagram[i - 1] == ' ') && memcmp(datagram + i, "PH1 ", 4) == 0)
            return i + 4;
    }
    return length;
}

void judge_text(const uint8_t *datagram, uint32_t length, struct judgement *ret)
{
    static struct machine machine;
    machine.state = BETWEEN;
    machine.digits = machine.code = machine.high = 0;
    machine.key_length = machine.begin = machine.end = 0;
    memset(machine.values, 0, sizeof(machine.values));

    while (length > 0 && memchr("\n\r\0", datagram[length - 1], 3))
        length--;
    for (uint32_t i = words_begin(datagram, length); i < length; i++)
        machine.state = take(&machine, datagram[i]);
    machine.state = take(&machine, END);
    ret->reason = machine.state == BROKEN ? JUDGE_MALFORMED : weigh(&machine, ret);
}
