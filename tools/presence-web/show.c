#include "show.h"

#include <stdio.h>
#include <time.h>

struct shown_time show_time(int64_t seconds)
{
    struct shown_time shown;
    time_t time = seconds;
    struct tm tm;

    if (!gmtime_r(&time, &tm) ||
        !strftime(shown.text, sizeof(shown.text), "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(shown.text, sizeof(shown.text), "@%lld", (long long)seconds);
    return shown;
}

struct shown_time show_time_us(int64_t microseconds)
{
    int64_t fraction = microseconds % 1000000;
    struct shown_time shown;

    if (fraction < 0)
        fraction += 1000000;
    struct shown_time whole = show_time((microseconds - fraction) / 1000000);
    snprintf(shown.text, sizeof(shown.text), "%.19s.%06dZ", whole.text, (int)fraction);
    return shown;
}

json_t *show_count(const struct number *number)
{
    return number->known ? json_integer(number->count) : json_null();
}

void show_marks(json_t *object, bool stale, bool warming, bool has_time, int64_t as_of)
{
    json_object_set_new(object, "stale", json_boolean(stale));
    json_object_set_new(object, "warming", json_boolean(warming));
    json_object_set_new(object, "as_of",
                        has_time ? json_string(show_time(as_of).text) : json_null());
}

void show_number(json_t *object, const struct place *place, const struct number *number)
{
    json_object_set_new(object, "site", json_string(place->site));
    json_object_set_new(object, "room", place->room[0] ? json_string(place->room) : json_null());
    json_object_set_new(object, "window_s", json_integer(number->window_s));
    json_object_set_new(object, "last_heartbeat_s",
                        number->has_heartbeat ? json_integer(number->last_heartbeat_s)
                                              : json_null());
    show_marks(object, number->stale, number->warming, number->has_time, number->as_of);
}

json_t *show_place(const struct place *place, const struct number *number)
{
    json_t *object = json_object();

    json_object_set_new(object, "count", show_count(number));
    show_number(object, place, number);
    return object;
}
