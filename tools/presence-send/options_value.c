#include "options_value.h"

#include "common/address.h"
#include "common/key_text.h"
#include "presence/presence.h"
#include "core/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool value_wrong(const char *option, const char *reason, ...)
{
    va_list arguments;

    fprintf(stderr, "presence-send: --%s: ", option);
    va_start(arguments, reason);
    vfprintf(stderr, reason, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return false;
}

bool value_whole(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    char *end;

    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least ||
        number > most)
        return value_wrong(option, "give a whole number from %" PRIu64 " to %" PRIu64, least, most);
    *ret = number;
    return true;
}

bool value_whole32(const char *option, const char *text, uint32_t least, uint32_t most,
                   uint32_t *ret)
{
    uint64_t number = 0;

    if (!value_whole(option, text, least, most, &number))
        return false;
    *ret = (uint32_t)number;
    return true;
}

bool value_decimal(const char *option, const char *text, double least, double most, double *ret)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(number) || number < least || number > most)
        return value_wrong(option, "give a number from %g to %.0f", least, most);
    *ret = number;
    return true;
}

bool value_name(const char *option, const char *text, uint32_t longest, const char **ret)
{
    size_t length = strlen(text);

    if (length < 1 || length > longest)
        return value_wrong(option, "give a name of 1 to %" PRIu32 " bytes", longest);
    if (!utf8_is_name((const uint8_t *)text, (uint32_t)length))
        return value_wrong(option, "give a name in UTF-8 without control characters");
    *ret = text;
    return true;
}

bool value_country(const char *option, const char *text, const char **ret)
{
    if (strlen(text) != 2 || !utf8_is_within((uint8_t)text[0] & 0xdf, 'A', 'Z') ||
        !utf8_is_within((uint8_t)text[1] & 0xdf, 'A', 'Z'))
        return value_wrong(option, "give two letters, as in DE");
    *ret = text;
    return true;
}

bool value_visitor(const char *option, const char *text, const char **ret)
{
    size_t length = strlen(text);
    struct wire_name id = {0};

    if (length <= UINT32_MAX)
        id = text_trim((const uint8_t *)text, (uint32_t)length);
    if (id.length < 1 || id.length > WIRE_ID_MAX || text_equals(id, "-"))
        return value_wrong(option, "give an id of 1 to %d bytes, and not a lone -", WIRE_ID_MAX);
    *ret = text;
    return true;
}

bool value_kind(const char *option, const char *text, int *ret)
{
    static const char *const names[] = {
        [PRESENCE_HEARTBEAT] = "heartbeat",
        [PRESENCE_LEAVE] = "leave",
        [PRESENCE_PAGEVIEW] = "pageview",
        [PRESENCE_EVENT] = "event",
    };

    for (int kind = PRESENCE_HEARTBEAT; kind <= PRESENCE_EVENT; kind++) {
        if (strcmp(text, names[kind]) == 0) {
            *ret = kind;
            return true;
        }
    }
    return value_wrong(option, "give heartbeat, leave, pageview or event");
}

bool value_key(const char *option, char *text, uint8_t *ret_id, uint8_t ret_key[16])
{
    size_t id_length = strcspn(text, ":");
    char *digits = text + id_length + (text[id_length] == ':');
    size_t length = strlen(digits);
    uint8_t id = id_length > 3 ? 0 : key_text_id(text, (uint32_t)id_length);
    bool valid =
        id != 0 && length == KEY_TEXT_DIGITS && key_text_bytes(digits, (uint32_t)length, ret_key);

    memset(id ? digits : text, '*', strlen(id ? digits : text));
    if (!valid)
        return value_wrong(option, "give ID:HEX32, a number from 1 to 255 and 32 hex digits");
    *ret_id = id;
    return true;
}

bool value_address(const char *option, const char *text, const char **ret)
{
    struct address address;

    if (address_split_peer(text, &address) < 0)
        return value_wrong(option, "give HOST:PORT, as in 127.0.0.1:9514 or [::1]:9514");
    *ret = text;
    return true;
}
