/* engine_reader.h - read counts of groups of collectors from Redis or Valkey, and give the one
 * answer that R9 makes of them. One thread at a time.
 *
 * A poll is one pipeline, whose commands are one transaction: all numbers are of one moment. Only a
 * list of sites takes further ones, for the marks of the sites that it found. Nothing is kept
 * between two polls but the list of groups: who goes on showing a number while there is no engine
 * keeps it.
 */
#ifndef PRESENCE_ENGINE_READER_H
#define PRESENCE_ENGINE_READER_H

#include "engine_link.h"
#include "engine_shard.h"

struct engine_reader;

/* One answer, like struct presence_reading, of all groups. Either a number (`exists`), nobody
 * (`known` alone), or unknown (neither).
 *
 * Stale: no group is whole. Then the number is the last one: of the group whose shards' states are
 * all there and which was whole last, the sum of each shard's last number, as of the oldest of
 * them; unknown if no group has all, and `as_of` and both ages are 0 then. */
struct engine_reading {
    uint64_t count;
    uint32_t window_s;         /* the published window that was read */
    uint64_t last_heartbeat_s; /* of the site; only with `quiet` */
    bool exists, known, partial, stale, warming;
    bool quiet; /* the site's last heartbeat was over 60 s ago, in each shard that has the site */
    int64_t as_of;         /* Unix seconds: the oldest tick among the shards that made the number */
    uint64_t as_of_age_s;  /* by the engine's clock; if stale, by ours where that says more */
    uint64_t published_ms; /* age of the oldest state among these, by the engine's clock: what had
                              reached all collectors before that may be in the number */
};

/* Something to count. `site`, `name` and `window_s` are the caller's, the names in the form in
 * which they are kept (place.h). A window is rounded as collectors do (R3); 0 is the default: 300 s
 * if it is published, otherwise the longest that is. A group publishes a window if each of its
 * shards that is there does. */
struct engine_query {
    enum presence_kind kind;
    const char *site, *name;
    uint32_t window_s;
    int error;                     /* 0, or -ERANGE: no group publishes this window */
    struct engine_reading reading; /* with error 0 */
};

struct engine_entry {
    char name[PRESENCE_NAME_MAX + 1];
    uint64_t count;
    uint64_t last_heartbeat_s; /* only with `quiet`; never of rooms, countries and sources */
    bool partial, quiet;
};

/* A listing to make: of all sites (`site` NULL), or of a site's rooms, countries or sources. Each
 * entry's count is its own answer (R9): entries may be of different groups. */
struct engine_list {
    const char *site;
    enum presence_kind kind;
    uint32_t window_s;
    size_t limit;       /* the busiest, 0: all */
    bool without_marks; /* of all sites: entries are never quiet, and partial only by streams */
    int error;          /* as of a query */
    struct engine_entry *entries;  /* by count, most first, then by name; NULL with an error */
    size_t length, total;          /* total: without the limit */
    bool partial;                  /* entries may be missing */
    struct engine_reading reading; /* the site's own; without a site only how fresh */
};

/* ---- the groups, as the last poll found them ---- */

enum engine_shard_problem {
    ENGINE_SHARD_FINE,       /* fresh */
    ENGINE_SHARD_ABSENT,     /* no publisher has written it within two hours */
    ENGINE_SHARD_SILENT,     /* its publisher has been silent for over ENGINE_FRESH_MS */
    ENGINE_SHARD_STALE,      /* its collector is stale, or its publisher has ended */
    ENGINE_SHARD_DISAGREES,  /* its publisher was told another number of shards */
    ENGINE_SHARD_UNREADABLE, /* another version's, or damaged */
    ENGINE_SHARD_EVICTED,    /* counts that it published are gone: the engine evicts keys.
                                Found out only where a poll reads them */
};

/* Why a group is partial (R9): by a stream of a fresh shard. */
enum engine_lack_kind {
    ENGINE_STREAM_LOSING,  /* lost over 1 % of its datagrams here in the last 30 s */
    ENGINE_STREAM_SILENT,  /* silent here for 5 s while it goes on in another shard or group */
    ENGINE_STREAM_MISSING, /* goes on elsewhere for over 30 s and never came here */
};

struct engine_lack {
    uint64_t stream;
    enum engine_lack_kind kind;
};

struct engine_shard_state {
    enum engine_shard_problem problem; /* the first that fits */
    struct engine_shard shard;         /* zero if absent, or of an unknown version */
    uint64_t age_ms;                   /* by the engine's clock */
    uint64_t visitors; /* of all sites, in its default window; 0 unless asked for, or if evicted */
    struct engine_lack *lacks; /* by stream */
    size_t lack_count;
    unsigned streams_losing, streams_silent, streams_missing; /* how many of each kind */
};

struct engine_group {
    char name[ENGINE_GROUP_MAX + 1];
    uint32_t shard_count;
    struct engine_shard_state *shards; /* shard_count of them */
    bool whole;                        /* each shard is fine */
    bool warming, partial;             /* a shard warms up; a fresh shard lacks streams */
};

/* Add up the visitors of a group's shards, or UINT64_MAX if there are more. */
uint64_t engine_group_visitors(const struct engine_group *group);

#define ENGINE_GROUPS_MAX 64 /* that a reader takes */

struct engine_state {
    struct engine_group *groups; /* by name */
    size_t count;
};

/* Open a reader, with nothing connected yet. Errors: as engine_link_open. */
int engine_reader_open(const struct engine_options *options, struct engine_reader **ret,
                       char ret_problem[ENGINE_PROBLEM_SIZE]);
int engine_reader_reload(struct engine_reader *reader, /* as engine_link_reload */
                         char ret_problem[ENGINE_PROBLEM_SIZE]);
void engine_reader_close(struct engine_reader *reader); /* NULL is fine */

/* What one poll asks for. */
struct engine_poll {
    struct engine_query *queries;
    size_t query_count;
    struct engine_list *lists;
    size_t list_count;
    bool visitors; /* count each shard's visitors, for status */
};

/* Ask for all at once, by `deadline_ns` (monotonic_ns), and fill in the answers. Release the
 * entries of the lists with engine_list_free. Errors: as engine_link_call; -ENODATA the engine
 * works, but no shard of any group has a state there: nobody has published for two hours; -EAGAIN
 * groups come and go too fast; -EMSGSIZE there are over ENGINE_GROUPS_MAX; -ENOMEM. With an error
 * no answer is touched, and engine_reader_problem explains. */
int engine_reader_poll(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns);
void engine_list_free(struct engine_list *list);

/* Return the groups as of the last poll that succeeded or found no state (-ENODATA); valid until
 * the next call. */
const struct engine_state *engine_reader_state(const struct engine_reader *reader);

/* Answer how fresh numbers in the default window are, and whether their groups lack visitors: a
 * reading without a count. `now` is Unix seconds. */
struct engine_reading engine_state_freshness(const struct engine_state *state, int64_t now);

/* Say why the last call failed, for "cannot use the engine URL: TEXT". Valid until the next call.
 */
const char *engine_reader_problem(const struct engine_reader *reader);

/* Return the windows that some group publishes, "60, 300"; valid until the next call. */
const char *engine_reader_windows(const struct engine_reader *reader);

/* Remove a group with its keys. Keys that nobody has renewed, left by a publisher that was killed,
 * expire by themselves. Errors: as engine_link_call; -ENOENT there is none; -EBUSY a shard of it is
 * still being published; -ENOSPC the engine is full. `ret_keys`: how many keys went. */
int engine_reader_forget(struct engine_reader *reader, const char *group, int64_t deadline_ns,
                         uint64_t *ret_keys);

#endif
