/* sender_place.h - check a caller's place and bring it into canonical form (canonical.h).
 *
 * All functions: any thread. Names that are in that form already are not copied.
 */
#ifndef PRESENCE_SENDER_PLACE_H
#define PRESENCE_SENDER_PLACE_H

#include "core/wire.h"
#include "presence/presence.h"

#include <errno.h>

enum sender_name { SENDER_SITE, SENDER_ROOM, SENDER_SOURCE, SENDER_EVENT };

#define SENDER_NAMES 4

/* Memory for names that are not in canonical form. */
struct sender_scratch {
    uint8_t names[SENDER_NAMES][WIRE_ROOM_MAX];
};

static inline bool sender_name_is_absent(const char *text)
{
    return !text || text[0] == '\0';
}

/* Check a name and find it in canonical form: in `text`, or in `scratch`, which has WIRE_ROOM_MAX
 * bytes. An absent one is empty. Errors: -ENAMETOOLONG; -EILSEQ it is not UTF-8 or has control
 * characters. */
int sender_name_parse(enum sender_name which, const char *text, uint8_t *scratch,
                      struct wire_name *ret);

/* Parse a country that is not absent; zeros if its code stands for none. Errors: -EINVAL. */
int sender_country_parse(const char *country, uint8_t ret[2]);

/* Check a place's kind, country (zeros if absent) and which names are given, and store the first
 * two. Errors: -EINVAL the site is missing, the kind or the country is invalid, or event and kind
 * don't match. */
static inline int sender_labels_parse(const struct presence_place *given, uint8_t *ret_kind,
                                      uint8_t ret_country[2])
{
    uint32_t kind = given->kind ? given->kind : PRESENCE_HEARTBEAT;
    const char *country = given->country;

    if (kind > PRESENCE_EVENT || sender_name_is_absent(given->event) != (kind != PRESENCE_EVENT) ||
        sender_name_is_absent(given->site))
        return -EINVAL;
    *ret_kind = (uint8_t)kind;
    ret_country[0] = ret_country[1] = 0;
    if (sender_name_is_absent(country))
        return 0;
    /* Nearly all codes: those that stand for no country repeat a letter or have a digit. */
    if (utf8_is_within((uint8_t)country[0], 'A', 'Z') &&
        utf8_is_within((uint8_t)country[1], 'A', 'Z') && country[0] != country[1] &&
        country[2] == '\0') {
        ret_country[0] = (uint8_t)country[0];
        ret_country[1] = (uint8_t)country[1];
        return 0;
    }
    return sender_country_parse(country, ret_country);
}

/* Check a whole place, for text_encode. `ret` points into `given` and `scratch`; its other fields
 * are zero. Errors: as those two; `ret` may then be partly written. */
int sender_place_parse(const struct presence_place *given, struct sender_scratch *scratch,
                       struct wire_heartbeat *ret);

#endif
