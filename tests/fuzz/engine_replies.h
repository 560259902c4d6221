/* engine_replies.h - answer polls by hostile replies, and check that the answers make sense. */
#ifndef PRESENCE_TESTS_ENGINE_REPLIES_H
#define PRESENCE_TESTS_ENGINE_REPLIES_H

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

/* Answer a poll by an engine's replies, the first of them the registry's. Returns NULL, or what is
 * wrong with the answer. Replies that can't be those to the poll's commands are ignored. */
const char *engine_replies_check(redisReply *const *replies, size_t count);

/* Take bytes as the fields of a shard's state, separated by zeros, and as replies. */
const char *engine_bytes_check(const uint8_t *bytes, size_t size);

/* Return how many polls were answered so far. */
uint64_t engine_replies_answered(void);

#endif
