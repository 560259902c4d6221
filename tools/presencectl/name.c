#include "name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "common/place.h"

static bool is_in(uint32_t character, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (character >= ranges[i][0] && character <= ranges[i][1])
            return true;
    }
    return false;
}

/* True for characters that iswprint() accepts but that are invisible or reorder the text around
 * them (UAX 9, UTR 36). */
static bool is_deceptive(uint32_t character)
{
    static const uint32_t ranges[][2] = {
        {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x061c, 0x061c}, {0x115f, 0x1160},   {0x180b, 0x180f},
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xffa0, 0xffa0}, {0xe0000, 0xe0fff},
    };

    return is_in(character, ranges, sizeof(ranges) / sizeof(ranges[0]));
}

bool is_right_to_left(uint32_t character)
{
    static const uint32_t ranges[][2] = {
        {0x0590, 0x08ff},   {0xfb1d, 0xfdff},   {0xfe70, 0xfefe},
        {0x10800, 0x10fff}, {0x1e800, 0x1efff},
    };

    return is_in(character, ranges, sizeof(ranges) / sizeof(ranges[0]));
}

bool has_right_to_left(const char *text)
{
    while (*text) {
        uint32_t character = 0;
        size_t size = place_character(text, &character);
        if (is_right_to_left(character))
            return true;
        text += size ? size : 1;
    }
    return false;
}

struct shown_name show_name(const char *name)
{
    struct shown_name shown;
    uint32_t character;
    size_t used = 0, size;
    unsigned marks = SHOW_MARKS_MAX; /* a leading mark has no base character */

    for (size_t i = 0; i < PRESENCE_NAME_MAX && (size = place_character(name + i, &character)) > 0;
         i += size) {
        marks = wcwidth((wchar_t)character) == 0 ? marks + 1 : 0;
        if (iswprint((wint_t)character) && !is_deceptive(character) && marks <= SHOW_MARKS_MAX) {
            memcpy(shown.text + used, name + i, size);
            used += size;
        } else {
            used += (size_t)sprintf(shown.text + used, "\\u{%04" PRIX32 "}", character);
        }
    }
    shown.text[used] = '\0';
    return shown;
}
