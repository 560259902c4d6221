/* place.h - the names that programs are given: how long they may be, which are valid, and the form
 * in which they are kept. This is for programs that don't include the contracts in include/core.
 * All functions: any thread. */
#ifndef PRESENCE_PLACE_H
#define PRESENCE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "presence/presence.h"

/* Bytes, without a terminator. */
#define PLACE_SITE_MAX   253
#define PLACE_ROOM_MAX   255
#define PLACE_SOURCE_MAX 253
#define PLACE_EVENT_MAX  63
#define PLACE_ID_MAX     512 /* of a visitor, trimmed */
#define PLACE_ID_SIZE    16  /* of the hash or UUID that stands for one */

#define PLACE_WINDOW_MAX 3600 /* seconds: the longest window of any collector */

/* Return the window that collectors count for this one: above 480 s in whole minutes (R3). */
uint32_t place_round_window(uint32_t window_s);

/* Of a native datagram of version 2. */
#define PLACE_HEADER_SIZE 28
#define PLACE_RECORD_SIZE 8
#define PLACE_RECORD_MAX  255 /* visitors */
#define PLACE_TAG_SIZE    8

/* True if `text` is 1 to `longest` bytes of UTF-8 without control characters. */
bool place_is_name(const char *text, size_t longest);

/* Parse a name and write the form in which it is kept: a site and a source lower-cased, a room that
 * is a path without repeated and trailing slashes. `ret` may be `text`. False, with `ret` left
 * alone: no such name can exist. */
bool place_parse_site(const char *text, char ret[PLACE_SITE_MAX + 1]);
bool place_parse_room(const char *text, char ret[PLACE_ROOM_MAX + 1]);
bool place_parse_source(const char *text, char ret[PLACE_SOURCE_MAX + 1]);

/* Parse a country, two letters in any case, and write it in capitals; "" for the codes that stand
 * for no country, such as XX. False, with `ret` left alone: it is neither a country nor such a
 * code. */
bool place_parse_country(const char *text, char ret[3]);

/* Find the beginning and the length of a text without the spaces around it. */
const char *place_trim(const char *text, size_t *ret_length);

/* True if `length` bytes, which are trimmed, are a visitor's id: 1 to PLACE_ID_MAX bytes, and
 * neither the UUID of zeros nor what failed scripts send (undefined, null, NaN). */
bool place_is_visitor(const char *id, size_t length);

/* Write the 16 bytes that stand for a visitor's id, however it is spelled. False, with `ret` left
 * alone: place_is_visitor is false of it. */
bool place_visitor_id(const char *text, uint8_t ret[PLACE_ID_SIZE]);

/* Parse the first character of UTF-8 text. Return its size in bytes; 0, with `ret` left alone, at
 * the text's end and where there is no valid character or a control character. */
size_t place_character(const char *text, uint32_t *ret);

/* One heartbeat in text. `place` points into the rest, and lives as long. */
struct place_heartbeat {
    struct presence_place place; /* absent names are NULL, an absent country is "" */
    uint8_t id[PLACE_ID_SIZE];
    char site[PLACE_SITE_MAX + 1], room[PLACE_ROOM_MAX + 1], country[3];
    char source[PLACE_SOURCE_MAX + 1], event[PLACE_EVENT_MAX + 1];
};

/* Parse a line "PH1 site=... visitor=...". Errors: -ENODATA, it has no visitor or an id that is too
 * long; -EINVAL, it is malformed. */
int place_parse_heartbeat(const char *line, size_t length, struct place_heartbeat *ret);

#endif
