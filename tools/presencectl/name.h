/* name.h - make names fit to be seen. */
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

/* Names are compared as bytes and may look like anything: what is not printable, has no width or
 * turns the direction of writing is shown as \u{XXXX}, and so are combining marks with nothing to
 * belong to, or too many for it. `name` is valid UTF-8. */
struct shown_name show_name(const char *name);

/* A letter that is written from right to left: a terminal that does so moves what is beside it,
 * unless an invisible mark stands between (UAX 9). */
bool name_turns_at(uint32_t character);

/* Is there any in valid UTF-8? */
bool name_turns(const char *text);

#endif
