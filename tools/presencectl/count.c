#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "presencectl.h"
#include "show.h"

static json_t *integer_or_null(bool known, uint32_t value)
{
    return known ? json_integer(value) : json_null();
}

static void print_json(const char *site, const char *room, bool known,
                       const struct presence_reading *reading)
{
    json_t *object = json_object();

    json_object_set_new(object, "site", json_string(site));
    json_object_set_new(object, "room", room ? json_string(room) : json_null());
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count", integer_or_null(known, reading->count));
    json_object_set_new(object, "stale", json_boolean(reading->stale));
    json_object_set_new(object, "warming", json_boolean(reading->warming));
    json_object_set_new(object, "last_heartbeat_s",
                        integer_or_null(known, reading->last_heartbeat_s));
    json_object_set_new(object, "as_of", json_string(show_time(reading->as_of).text));
    json_print(object);
}

static int count_unknown(struct presence *presence, const struct options *options, const char *site,
                         const char *room, const char *place)
{
    struct presence_status status;
    int r = presence_status(presence, &status);

    if (r < 0)
        return complain_of(r, presence, options);
    if (options->json) {
        struct presence_reading reading = {
            .window_s = window_or_default(options, &status),
            .stale = status.stale,
            .warming = status.warming,
            .as_of = status.as_of,
        };
        print_json(site, room, false, &reading);
    }
    return complain_unknown(presence, &status, place);
}

int command_count(struct presence *presence, const struct options *options, char **arguments)
{
    const char *site = arguments[0], *room = arguments[1];
    struct presence_reading reading;

    if (!argument_site(arguments[0]) || (room && !argument_room(room)))
        return EXIT_USAGE;
    int r = presence_count(presence, site, room, options->window_s, &reading);

    struct place_name place = describe_place(site, room);
    if (r == -ENOENT)
        return count_unknown(presence, options, site, room, place.text);
    if (r < 0)
        return complain_of(r, presence, options);
    if (options->json)
        print_json(site, room, true, &reading);
    else
        printf("%" PRIu32 "\n", reading.count);
    return note_reading(presence, &reading, "this is the count", place.text);
}
