/* sampler.h - make minutes and peaks of samples that are taken about once a second. Knows no clock
 * and no database: samples come in, minutes go out.
 *
 * Minutes are those of the wall clock, numbered since 1970, so that recorders that run one after
 * the other continue each other's. A second is sampled once, however often the clock shows it
 * within its minute. When the clock was set back to an earlier minute, that one begins anew, and
 * the database keeps of both the one that was sampled for longer. */
#ifndef PRESENCE_SAMPLER_H
#define PRESENCE_SAMPLER_H

#include "archive/archive.h"

/* Minutes of scopes that wait for the database; older ones are dropped. About 80 MB. */
#define SAMPLER_OVER_MAX 100000

struct sample {
    uint64_t count;
    bool warming, partial; /* it is a lower bound */
};

/* A scope's minute. */
struct sampled {
    struct presence_scope scope;
    struct archive_minute minute; /* without a boot */
    struct archive_peak peak;     /* its highest sample, the first of equals */
    double sum;                   /* of the samples */
};

struct sampled_list {
    struct sampled **items; /* allocated, each of them too */
    size_t length, capacity;
};

/* Zeroed, it has no minutes. */
struct sampler {
    int64_t minute;   /* the running one; 0: none */
    int64_t at;       /* the second that is being sampled, Unix seconds */
    uint64_t seconds; /* bit N: second N of the running minute was sampled */
    struct sampled_list running;
    void *index;              /* of `running`, a tree */
    struct sampled_list over; /* minutes that are over, oldest first: store and discard them */
    uint64_t dropped;         /* minutes of scopes that had to be */
};

/* Begin a second, Unix seconds. If it is in another minute the running one is over. Returns false
 * if it was sampled already: then don't add any samples. Call it also when there are none to add,
 * since a minute ends without them, too. */
bool sampler_begin(struct sampler *sampler, int64_t at);

/* Add a scope's sample of this second. Errors: -ENOMEM. */
int sampler_add(struct sampler *sampler, enum presence_kind kind, const char *site,
                const char *name, const struct sample *sample);

/* Continue a scope's minute that an earlier recorder has stored, and the seconds until this one
 * count as sampled. Ignored unless it is the running one. Errors: -ENOMEM. */
int sampler_continue(struct sampler *sampler, const struct presence_scope *scope,
                     const struct archive_minute *minute);

/* End the running minute, as it is. */
void sampler_end(struct sampler *sampler);

/* Discard the minutes that are over. */
void sampler_discard(struct sampler *sampler);

void sampler_free(struct sampler *sampler);

#endif
