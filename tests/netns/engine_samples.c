/* engine_samples - read counts from an engine at a steady pace, as programs do, and print them all.
 *
 * Usage: engine_samples URL PERIOD_MS
 * Lines of stdin say what to read, up to an empty one; fields are separated by tabs:
 *     count KIND WINDOW SITE [NAME]
 *     list KIND WINDOW [SITE]
 * with the KIND of enum presence_kind and the WINDOW in seconds. Then it reads until stdin ends.
 * Each time it prints these lines, times being nanoseconds of CLOCK_BOOTTIME:
 *     poll BEGIN END ERROR (0 or an errno; otherwise only `end` follows)
 *     count INDEX ERROR COUNT FLAGS AS_OF PUBLISHED_MS
 *     list INDEX ERROR FLAGS
 *     entry COUNT PARTIAL NAME
 *     group NAME SHARDS FLAGS
 *     shard PROBLEM AGE_MS LOSING SILENT MISSING
 *     end
 * FLAGS are digits: exists known partial stale warming; partial; whole partial warming.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "engine/engine_reader.h"

#define MOST      512 /* queries, and lists */
#define LINE_SIZE 1024

static struct engine_query queries[MOST];
static struct engine_list lists[MOST];
static struct engine_poll asked = {.queries = queries, .lists = lists};

static int64_t boottime_ns(void)
{
    return monotonic_of(CLOCK_BOOTTIME);
}

static void add_line(char *line)
{
    const char *words[5] = {"", "0", "0", "", ""};
    char *position = line;

    for (int i = 0; i < 5 && position; i++)
        words[i] = strsep(&position, "\t");
    enum presence_kind kind = (enum presence_kind)atoi(words[1]);
    uint32_t window = (uint32_t)atoi(words[2]);
    if (strcmp(words[0], "count") == 0 && asked.query_count < MOST)
        queries[asked.query_count++] = (struct engine_query){
            .kind = kind, .window_s = window, .site = words[3], .name = words[4]};
    else if (strcmp(words[0], "list") == 0 && asked.list_count < MOST)
        lists[asked.list_count++] = (struct engine_list){
            .kind = kind, .window_s = window, .site = words[3][0] ? words[3] : NULL};
}

static void read_lines(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    while ((length = getline(&line, &size, stdin)) > 1) {
        line[length - 1] = '\0';
        add_line(line);
        line = NULL; /* the queries point into it until the program ends */
        size = 0;
    }
    free(line);
}

static void print_counts(void)
{
    for (size_t i = 0; i < asked.query_count; i++) {
        const struct engine_reading *found = &queries[i].reading;
        printf("count %zu %d %" PRIu64 " %d%d%d%d%d %" PRId64 " %" PRIu64 "\n", i,
               -queries[i].error, found->count, found->exists, found->known, found->partial,
               found->stale, found->warming, found->as_of, found->published_ms);
    }
}

static void print_lists(void)
{
    for (size_t i = 0; i < asked.list_count; i++) {
        printf("list %zu %d %d\n", i, -lists[i].error, lists[i].partial);
        for (size_t j = 0; j < lists[i].length; j++) {
            const struct engine_entry *entry = &lists[i].entries[j];
            printf("entry %" PRIu64 " %d %s\n", entry->count, entry->partial, entry->name);
        }
        engine_list_free(&lists[i]);
    }
}

static void print_groups(const struct engine_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        printf("group %s %" PRIu32 " %d%d%d\n", group->name, group->shard_count, group->whole,
               group->partial, group->warming);
        for (uint32_t k = 0; k < group->shard_count; k++) {
            const struct engine_shard_state *shard = &group->shards[k];
            printf("shard %d %" PRIu64 " %u %u %u\n", shard->problem, shard->age_ms,
                   shard->streams_losing, shard->streams_silent, shard->streams_missing);
        }
    }
}

static void sample(struct engine_reader *reader)
{
    int64_t begin = boottime_ns();
    int r = engine_reader_poll(reader, &asked, monotonic_ns() + ENGINE_PATIENCE_MS * NS_PER_MS);

    printf("poll %" PRId64 " %" PRId64 " %d\n", begin, boottime_ns(), -r);
    if (r == 0) {
        print_counts();
        print_lists();
        print_groups(engine_reader_state(reader));
    }
    printf("end\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char problem[ENGINE_PROBLEM_SIZE];
    struct engine_reader *reader;

    if (argc != 3) {
        fprintf(stderr, "Usage: engine_samples URL PERIOD_MS\n");
        return 2;
    }
    const struct engine_options options = {.url = argv[1]};
    if (engine_reader_open(&options, &reader, problem) < 0) {
        fprintf(stderr, "engine_samples: %s\n", problem);
        return 1;
    }
    read_lines();
    int64_t period = atoi(argv[2]) * NS_PER_MS, next = boottime_ns(), now;
    do {
        sample(reader);
        next += period;
        now = boottime_ns();
        if (next < now)
            next = now;
    } while (poll(&input, 1, (int)((next - now) / NS_PER_MS)) == 0);
    engine_reader_close(reader);
    return 0;
}
