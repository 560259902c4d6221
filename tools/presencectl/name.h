/* name.h - make names that strangers sent safe to print. */
#ifndef PRESENCECTL_NAME_H
#define PRESENCECTL_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "presence/presence.h"

#define SHOW_NAME_SIZE     (PRESENCE_NAME_MAX * 10 + 1) /* each byte as \u{10FFFF} */
#define SHOW_MARKS_MAX     2                            /* combining marks that a character keeps */

#define NAME_LEFT_TO_RIGHT "\u200e"

struct shown_name {
    char text[SHOW_NAME_SIZE];
};

/* Escape, as \u{XXXX}, the characters of a valid UTF-8 name that are not printable, have no width
 * or change the direction of writing, and combining marks without a base character or beyond
 * SHOW_MARKS_MAX. */
struct shown_name show_name(const char *name);

/* True if the character is written from right to left. A terminal then reorders the text beside it,
 * unless NAME_LEFT_TO_RIGHT stands between them (UAX 9). */
bool is_right_to_left(uint32_t character);

/* True if valid UTF-8 text has such a character. */
bool has_right_to_left(const char *text);

#endif
