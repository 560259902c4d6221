#include "reader.h"

#include <errno.h>
#include <stdlib.h>

int presence_events(struct presence *presence, const char *site, uint64_t from_sequence,
                    size_t limit, struct presence_events *ret)
{
    (void)presence;
    (void)site;
    (void)from_sequence;
    (void)limit;
    (void)ret;
    return -ENOSYS;
}

void presence_events_free(struct presence_events *events)
{
    free(events->events);
    *events = (struct presence_events){0};
}

int presence_events_since(struct presence *presence, int64_t time_us, uint64_t *ret_sequence)
{
    (void)presence;
    (void)time_us;
    (void)ret_sequence;
    return -ENOSYS;
}
