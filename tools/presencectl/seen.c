#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "presencectl.h"
#include "show.h"

/* The visitor's id is neither shown nor kept: README rule 8. */
static void print_json(const char *site, const uint32_t *age_s,
                       const struct presence_status *status)
{
    json_t *object = json_object();

    json_object_set_new(object, "site", json_string(site));
    json_object_set_new(object, "seen", json_boolean(age_s != NULL));
    json_object_set_new(object, "last_heartbeat_s", age_s ? json_integer(*age_s) : json_null());
    json_set_moment(object, status->stale, status->warming, status->as_of);
    json_print(object);
}

int command_seen(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_status status;
    uint32_t age_s;

    if (!argument_site(arguments[0]))
        return EXIT_USAGE;
    int seen = presence_seen(presence, arguments[0], arguments[1], &age_s);

    if (seen < 0 && seen != -ENOENT)
        return complain_of(seen, presence, options);
    int r = presence_status(presence, &status);
    if (r < 0)
        return complain_of(r, presence, options);
    if (options->json)
        print_json(arguments[0], seen == 0 ? &age_s : NULL, &status);
    else if (seen == 0)
        printf("%" PRIu32 "\n", age_s);
    if (seen == 0) {
        status.warming = false; /* the age is what it is */
        return note_status(&status, "this is the age");
    }
    if (status.stale)
        return complain_unknown(presence, &status, "this visitor");
    complain("not on %s within the longest window, %s, or gone by a leave",
             show_name(arguments[0]).text, show_window(status.max_window_s).text);
    return EXIT_UNKNOWN;
}
