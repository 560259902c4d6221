#include "reader.h"

#include <errno.h>
#include <string.h>

#include "core/text.h"

int presence_seen(struct presence *presence, const char *site, const char *visitor,
                  uint32_t *ret_age_s)
{
    struct reader_place place;
    uint8_t id[WIRE_VISITOR_SIZE];
    uint64_t word;
    int r = reader_place(PRESENCE_SITE, site, NULL, &place);

    if (r < 0)
        return r;
    size_t length = visitor ? strnlen(visitor, WIRE_DATAGRAM_MAX) : 0;
    if (!text_visitor_id((const uint8_t *)visitor, (uint32_t)length, id))
        return -EINVAL;

    struct reader_moment moment = reader_moment(presence);
    const uint64_t *secret = presence->header.secret;
    struct scope_name name = scope_name_site(secret, place.site.bytes, place.site.length);
    struct scope_key scope = scope_key_derive(secret, NULL, &name);
    struct table_key key = table_key(hash_visitor(&scope, id), presence->segment.table.pairs);

    /* Twice: a racing insert may move the key to a slot that the first search has passed. */
    if (!table_find(&presence->segment.table, key, &word) &&
        !table_find(&presence->segment.table, key, &word))
        return -ENOENT;
    uint64_t age = table_age(word, moment.tick);
    if (age >= TABLE_AGE_FUTURE)
        age = 0; /* written since the tick was read */
    if (reader_is_gone(presence, age))
        return -ENOENT;
    *ret_age_s = (uint32_t)age;
    return 0;
}
