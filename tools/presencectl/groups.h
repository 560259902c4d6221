/* groups.h - ask Redis or Valkey for the answers of all groups of collectors (--engine), and say
 * how far to trust them. */
#ifndef PRESENCECTL_GROUPS_H
#define PRESENCECTL_GROUPS_H

#include "answer.h"
#include "presencectl.h"
#include "scope.h"

/* Open a reader; release it with engine_reader_close. Returns EXIT_FINE, or EXIT_FAILED after
 * reporting why. */
int groups_open(const struct options *options, struct engine_reader **ret);

/* Return until when an answer is waited for, by monotonic_ns. */
int64_t groups_deadline(void);

/* Report why the engine can't be used. Returns EXIT_FAILED. */
int groups_report_problem(const struct options *options, const char *problem);

/* Ask for everything at once. Returns EXIT_FINE, or EXIT_FAILED after reporting why. */
int groups_poll(struct engine_reader *reader, const struct options *options,
                struct engine_poll *poll);

/* Ask for a scope's count. Returns EXIT_FINE, or EXIT_FAILED or EXIT_USAGE after reporting why. */
int groups_load(struct engine_reader *reader, const struct options *options,
                const struct scope *scope, uint32_t window_s, struct answer *ret);

/* Ask likewise for the default window, for a command that prints the database of presence-recorder,
 * too. If the engine can't be used but the database exists, the answer is unknown, and stale as of
 * now: `ret_live` is false then. */
int groups_load_beside(struct engine_reader *reader, const struct options *options,
                       const struct scope *scope, struct answer *ret, bool *ret_live);

/* Report that no group publishes a window. Returns EXIT_USAGE. */
int groups_report_window(const struct engine_reader *reader, uint32_t window_s);

/* Report the marks of an answer, and an absent place, as report_reading and report_answer do. */
int groups_report_reading(const struct engine_state *state, const struct answer *answer,
                          const char *what, const char *place);
int groups_report_answer(const struct engine_state *state, const struct answer *answer,
                         const char *what, const char *place);

/* ---- groups_text.c: clauses about groups and shards, for messages ---- */

/* Escape the host of a shard's publisher; "?" if it is not known. */
struct shown_name show_host(const struct engine_shard_state *shard);

/* Format the age of a shard's state, such as "0.4 s" or "5 min". */
struct shown_duration show_age(uint64_t age_ms);

/* Say which shards a group lacks that is not whole, as "group a lacks shard 2 of 3 (eu-2 has been
 * silent for 12 s)"; and why it is incomplete, as "group a: stream 0102030405060708 goes on
 * elsewhere and never came to shard 2 of 3 (eu-2)". The texts are the caller's to free; they exit
 * if out of memory. */
char *group_describe_lack(const struct engine_group *group);
char *group_describe_incomplete(const struct engine_group *group);

/* Join these clauses of all groups that are not whole, or of all that are, by semicolons. */
char *groups_describe_lacks(const struct engine_state *state);
char *groups_describe_incomplete(const struct engine_state *state);

/* List the groups, such as "a, b and c". */
char *groups_list(const struct engine_state *state);

#endif
