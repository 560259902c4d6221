#include "edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define SITE_NUMBER 1 /* in the names of a datagram */

/* Let `draws` draw 0 to `count` - 1 by Zipf's law: number n comes 1 / (n + 1) times as often as the
 * first, and each at least once. */
static void draw_by_zipf(uint16_t draws[EDGE_DRAWS], unsigned count)
{
    double sum = 0, passed = 0;
    unsigned drawn = 0;

    for (unsigned n = 1; n <= count; n++)
        sum += 1.0 / n;
    for (unsigned n = 1; n <= count; n++) {
        passed += 1.0 / n;
        unsigned until = (unsigned)(passed / sum * (EDGE_DRAWS - count)) + n;
        while (drawn < until)
            draws[drawn++] = (uint16_t)(n - 1);
    }
    while (drawn < EDGE_DRAWS) /* rounding */
        draws[drawn++] = 0;
}

struct edge *edge_open(void)
{
    struct edge *edge = malloc(sizeof(*edge));
    char text[32];

    if (!edge)
        bench_fail("no memory");
    for (unsigned i = 0; i < EDGE_ROOMS; i++) {
        edge->rooms[i].length = (uint8_t)sprintf(text, "/section-%u/article-%u", i % 20, i);
        memcpy(edge->rooms[i].bytes, text, edge->rooms[i].length + 1);
    }
    for (unsigned i = 0; i < EDGE_SOURCES; i++) {
        edge->sources[i].length = (uint8_t)sprintf(text, "www.source-%u.example", i);
        memcpy(edge->sources[i].bytes, text, edge->sources[i].length + 1);
    }
    for (unsigned i = 0; i < EDGE_COUNTRIES; i++) {
        edge->countries[i][0] = (uint8_t)('B' + i / 20);
        edge->countries[i][1] = (uint8_t)('C' + i % 20);
    }
    draw_by_zipf(edge->room_drawn, EDGE_ROOMS);
    draw_by_zipf(edge->country_drawn, EDGE_COUNTRIES);
    draw_by_zipf(edge->source_drawn, EDGE_SOURCES);
    return edge;
}

static struct wire_name name_of(const struct edge_name *name)
{
    return (struct wire_name){name->bytes, name->length};
}

struct wire_heartbeat edge_heartbeat(const struct edge *edge, uint64_t visitor,
                                     uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    uint64_t state = visitor * 2 + 1, drawn = bench_random(&state);
    struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)EDGE_SITE, sizeof(EDGE_SITE) - 1},
        .room = name_of(&edge->rooms[edge->room_drawn[drawn & 0xffff]]),
        .kind = WIRE_HEARTBEAT,
        .visitors = 1,
        .visitor_ids = ret_id,
    };

    memcpy(heartbeat.country, edge->countries[edge->country_drawn[drawn >> 16 & 0xffff]], 2);
    if ((drawn >> 48) % 5 < 2)
        heartbeat.source = name_of(&edge->sources[edge->source_drawn[drawn >> 32 & 0xffff]]);
    bench_visitor(visitor, ret_id);
    return heartbeat;
}

/* A datagram that is being filled: its names, and its records beside them. */
struct open_datagram {
    uint8_t *end; /* of the names */
    unsigned names;
    const uint8_t *known[WIRE_V2_NAMES_MAX + 1]; /* the names by number, from 1 */
    unsigned records_bytes;
    uint8_t records[EDGE_BYTES];
};

/* Return the number of a name, or the next one if it is new. Equal names have the same bytes. */
static uint8_t number_of(const struct open_datagram *datagram, struct wire_name name, uint8_t next)
{
    if (name.length == 0)
        return 0;
    for (unsigned i = datagram->names; i > 0; i--)
        if (datagram->known[i] == name.bytes)
            return (uint8_t)i;
    return next;
}

static void add_name(struct open_datagram *datagram, struct wire_name name)
{
    datagram->known[++datagram->names] = name.bytes;
    *datagram->end++ = (uint8_t)name.length;
    memcpy(datagram->end, name.bytes, name.length);
    datagram->end += name.length;
}

/* Add a heartbeat, unless it would need over `room` bytes. */
static bool add_heartbeat(struct open_datagram *datagram, const struct wire_heartbeat *heartbeat,
                          size_t room)
{
    unsigned names = datagram->names;
    struct wire_v2_record record = {
        .kind = heartbeat->kind,
        .site = SITE_NUMBER,
        .room = number_of(datagram, heartbeat->room, (uint8_t)(names + 1)),
        .visitors = 1,
        .country = {heartbeat->country[0], heartbeat->country[1]},
    };
    bool new_room = record.room > names;

    record.source = number_of(datagram, heartbeat->source, (uint8_t)(names + 1 + new_room));
    bool new_source = record.source > names;
    size_t needed = sizeof(record) + WIRE_VISITOR_SIZE +
                    (new_room ? 1 + heartbeat->room.length : 0) +
                    (new_source ? 1 + heartbeat->source.length : 0);
    if (needed > room)
        return false;
    if (new_room)
        add_name(datagram, heartbeat->room);
    if (new_source)
        add_name(datagram, heartbeat->source);
    memcpy(datagram->records + datagram->records_bytes, &record, sizeof(record));
    memcpy(datagram->records + datagram->records_bytes + sizeof(record), heartbeat->visitor_ids,
           WIRE_VISITOR_SIZE);
    datagram->records_bytes += sizeof(record) + WIRE_VISITOR_SIZE;
    return true;
}

uint32_t edge_fill(const struct edge *edge, uint64_t visitor, uint64_t visitors, uint64_t stream,
                   uint32_t sequence, uint8_t datagram[EDGE_BYTES], uint32_t *ret_count)
{
    struct open_datagram open;
    uint32_t count = 0;

    open.end = datagram + WIRE_V2_HEADER_SIZE;
    open.names = open.records_bytes = 0;
    for (;; count++) {
        uint8_t id[WIRE_VISITOR_SIZE];
        struct wire_heartbeat heartbeat = edge_heartbeat(edge, (visitor + count) % visitors, id);
        if (count == 0)
            add_name(&open, heartbeat.site);
        size_t used = (size_t)(open.end - datagram) + open.records_bytes;
        if (!add_heartbeat(&open, &heartbeat, EDGE_BYTES - used))
            break;
    }
    memcpy(open.end, open.records, open.records_bytes);
    struct wire_v2_header header = {
        .stream = stream,
        .sequence = sequence,
        .names = (uint8_t)open.names,
        .records = count,
        .length = (uint32_t)(open.end - datagram) + open.records_bytes,
    };
    wire_v2_encode_header(&header, datagram);
    *ret_count = count;
    return header.length;
}
