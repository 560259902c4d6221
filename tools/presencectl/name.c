#include "name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "core/utf8.h"

static bool is_in(uint32_t character, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (character >= ranges[i][0] && character <= ranges[i][1])
            return true;
    }
    return false;
}

/* Printable to iswprint, but invisible or able to rearrange what is around it (UAX 9, UTR 36). */
static bool is_deceptive(uint32_t character)
{
    static const uint32_t ranges[][2] = {
        {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x061c, 0x061c}, {0x115f, 0x1160},   {0x180b, 0x180f},
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xffa0, 0xffa0}, {0xe0000, 0xe0fff},
    };

    return is_in(character, ranges, sizeof(ranges) / sizeof(ranges[0]));
}

bool name_turns_at(uint32_t character)
{
    static const uint32_t ranges[][2] = {
        {0x0590, 0x08ff},   {0xfb1d, 0xfdff},   {0xfe70, 0xfefe},
        {0x10800, 0x10fff}, {0x1e800, 0x1efff},
    };

    return is_in(character, ranges, sizeof(ranges) / sizeof(ranges[0]));
}

bool name_turns(const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;

    while (*bytes) {
        uint32_t size = utf8_character_size(bytes, (uint32_t)strnlen((const char *)bytes, 4));
        if (size > 1 && name_turns_at(utf8_character_value(bytes, size)))
            return true;
        bytes += size ? size : 1;
    }
    return false;
}

struct shown_name show_name(const char *name)
{
    const uint8_t *bytes = (const uint8_t *)name;
    uint32_t length = (uint32_t)strnlen(name, PRESENCE_NAME_MAX);
    struct shown_name shown;
    size_t used = 0;
    unsigned marks = SHOW_MARKS_MAX; /* none can belong to what is before the name */

    for (uint32_t i = 0; i < length;) {
        uint32_t size = utf8_character_size(bytes + i, length - i);
        if (size == 0)
            break;
        uint32_t character = utf8_character_value(bytes + i, size);
        marks = wcwidth((wchar_t)character) == 0 ? marks + 1 : 0;
        if (iswprint((wint_t)character) && !is_deceptive(character) && marks <= SHOW_MARKS_MAX) {
            memcpy(shown.text + used, bytes + i, size);
            used += size;
        } else {
            used += (size_t)sprintf(shown.text + used, "\\u{%04" PRIX32 "}", character);
        }
        i += size;
    }
    shown.text[used] = '\0';
    return shown;
}
