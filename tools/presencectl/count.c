#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "place.h"
#include "show.h"

static json_t *integer_or_null(bool known, uint32_t value)
{
    return known ? json_integer(value) : json_null();
}

static void print_json(const struct place *place, bool known,
                       const struct presence_reading *reading)
{
    json_t *object = json_object();

    json_set_place(object, place);
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count", integer_or_null(known, reading->count));
    json_object_set_new(object, "stale", json_boolean(reading->stale));
    json_object_set_new(object, "warming", json_boolean(reading->warming));
    json_object_set_new(object, "last_heartbeat_s",
                        integer_or_null(known, reading->last_heartbeat_s));
    json_object_set_new(object, "as_of", json_string(show_time(reading->as_of).text));
    json_print(object);
}

static int count_unknown(struct presence *presence, const struct options *options,
                         const struct place *place)
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
        print_json(place, false, &reading);
    }
    return complain_unknown(presence, &status, place_describe(place).text);
}

int command_count(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_reading reading;
    struct place place;

    if (!place_read(options, arguments, &place))
        return EXIT_USAGE;
    int r = presence_count_scope(presence, place.kind, place.site, place.name, options->window_s,
                                 &reading);
    if (r == -ENOENT)
        return count_unknown(presence, options, &place);
    if (r < 0)
        return complain_of(r, presence, options);
    if (options->json)
        print_json(&place, true, &reading);
    else
        printf("%" PRIu32 "\n", reading.count);
    return note_reading(presence, &reading, "this is the count", place_describe(&place).text);
}
