/* engine_problem.h - say in words why the engine can't be used. Any thread. */
#ifndef PRESENCE_ENGINE_PROBLEM_H
#define PRESENCE_ENGINE_PROBLEM_H

#include "engine_link.h"

/* Write a phrase, and return `error`. */
int engine_fail(char ret[ENGINE_PROBLEM_SIZE], int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True if a reply is an error with that first word. */
bool engine_reply_is(const redisReply *reply, const char *word);

/* Return 0, or for an error that ends a call (engine_link_call) what that returns: -EAGAIN also for
 * MOVED. */
int engine_reply_ends_call(const redisReply *reply);

#endif
