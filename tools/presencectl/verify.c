#include <inttypes.h>
#include <stdio.h>

#include "presencectl.h"
#include "show.h"

static void print_json(const struct presence_verification *result, bool consistent,
                       const struct presence_status *status)
{
    json_t *object = json_object();

    json_object_set_new(object, "consistent", json_boolean(consistent));
    json_object_set_new(object, "words", json_integer((json_int_t)result->words));
    json_object_set_new(object, "difference", json_integer((json_int_t)result->difference));
    json_object_set_new(object, "in_flight", json_integer((json_int_t)result->in_flight));
    json_object_set_new(object, "worst_tick_age_s",
                        result->difference ? json_integer((json_int_t)result->worst_tick_age_s)
                                           : json_null());
    json_set_moment(object, status->stale, status->warming, status->as_of);
    json_print(object);
}

static void print_text(const struct presence_verification *result, bool consistent)
{
    printf("%s: %" PRIu64 " words, difference %" PRIu64, consistent ? "consistent" : "different",
           result->words, result->difference);
    if (result->difference)
        printf(" (most at the tick %s ago)", show_duration(result->worst_tick_age_s).text);
    printf(", in flight %" PRIu64 "\n", result->in_flight);
}

int command_verify(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_verification result;
    struct presence_status status;
    int r = presence_verify(presence, &result);

    (void)arguments;
    if (r == 0)
        r = presence_status(presence, &status);
    if (r < 0)
        return complain_of(r, presence, options);

    bool consistent = result.difference <= result.in_flight;
    if (options->json)
        print_json(&result, consistent, &status);
    else
        print_text(&result, consistent);
    if (!consistent) {
        complain("table and rings differ by %" PRIu64 " more visitors than the %" PRIu64
                 " in flight explain; what a killed collector left is gone %s after the kill",
                 result.difference - result.in_flight, result.in_flight,
                 show_window(status.max_window_s).text);
        return EXIT_FAILED;
    }
    status.warming = false; /* whatever was counted can be verified */
    return note_status(&status, "this is the comparison");
}
