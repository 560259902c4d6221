/* engine_call - send commands by way of an engine link, for tests: engine_call URL [PASSWORD_FILE
 * [USER]]. Each line of stdin is a patience in ms and the words of one command; each line of stdout
 * is the result, the connections so far, the ms that it took, and the reply or the problem. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"
#include "engine/engine_link.h"

static void show_reply(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_INTEGER)
        printf("%lld", reply->integer);
    else if (reply->type == REDIS_REPLY_NIL)
        printf("(nothing)");
    else if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            show_reply(reply->element[i]);
    else
        printf("%s ", reply->str);
}

static void call(struct engine_link *link, char *line)
{
    struct engine_request request = {0};
    char *words[16], *rest;
    size_t count = 0;
    redisReply **replies;
    int64_t patience = strtol(strtok_r(line, " \n", &rest), NULL, 10), begun = monotonic_ns();

    while (count < 16 && (words[count] = strtok_r(NULL, " \n", &rest)))
        count++;
    engine_request_begin(&request, count);
    for (size_t i = 0; i < count; i++)
        engine_request_text(&request, words[i]);
    int r = engine_link_call(link, &request, begun + patience * NS_PER_MS, &replies);
    printf("%d %" PRIu64 " %" PRId64 " ", r, engine_link_connections(link),
           (monotonic_ns() - begun) / NS_PER_MS);
    if (r == 0) {
        show_reply(replies[0]);
        engine_replies_free(replies, request.commands);
    } else {
        printf("%s", engine_link_problem(link));
    }
    printf("\n");
    fflush(stdout);
    engine_request_free(&request);
}

int main(int argc, char **argv)
{
    const struct engine_options options = {
        .url = argv[1],
        .password_file = argc > 2 ? argv[2] : NULL,
        .user = argc > 3 ? argv[3] : NULL,
    };
    char problem[ENGINE_PROBLEM_SIZE], line[1024];
    struct engine_link *link;

    if (argc < 2)
        return 2;
    if (engine_link_open(&options, &link, problem) < 0) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin))
        call(link, line);
    engine_link_close(link);
    return 0;
}
