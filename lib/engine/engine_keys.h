/* engine_keys.h - the keys and fields of counts in Redis or Valkey: what presence-publisher writes
 * and readers read. docs/engine.md describes them for others.
 *
 * All keys begin with `{presence}:`, so that a cluster keeps them in one slot and one transaction
 * may change all of them. GROUP is a group's name, K the number of a shard from 1, WINDOW a window
 * in seconds (as it is shown: whole minutes above 480 s), SITE a site's name, which may contain
 * colons.
 *
 *   {presence}:groups              HASH  group -> its number of shards
 *   {presence}:GROUP:K             HASH  the shard's state: engine_shard.h
 *   {presence}:GROUP:K:owner       STRING of the publisher that writes the shard; lives for 5 s
 *   {presence}:GROUP:K:WINDOW      HASH  site -> count, and "" -> epoch
 *   {presence}:GROUP:K:WINDOW:SITE HASH  room, country or source, each behind its letter
 *                                        (`r/pricing`, `cDE`, `snews.example`) -> count, "" ->
 *                                        epoch, and marks
 *
 * Only what is not 0 has a field. A site has a key of its own while it, or one of its rooms,
 * countries and sources, has a count, or while a mark is set.
 *
 * An epoch is a random word that a publisher draws whenever it writes a shard anew. A hash whose
 * field "" is not the epoch of the shard's state is left over, or was evicted and begun again:
 * nobody may believe it. (No site, room, country or source has an empty name.)
 *
 * All functions: any thread. Each writes at most its size, with a terminator.
 */
#ifndef PRESENCE_ENGINE_KEYS_H
#define PRESENCE_ENGINE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/place.h"

#define ENGINE_VERSION     1       /* of keys and fields; readers believe no other */
#define ENGINE_GROUP_MAX   63      /* bytes of a group's name */
#define ENGINE_SHARDS_MAX  64      /* of a group, as presence-relay's */
#define ENGINE_KEY_MAX     384     /* bytes of any key, with a terminator */
#define ENGINE_FIELD_MAX   257     /* bytes of any field, with a terminator */
#define ENGINE_LIFETIME_MS 7200000 /* after which keys expire that nobody renews */
#define ENGINE_RENEW_S     600     /* keys are renewed so often; a shard's state with each write */
#define ENGINE_OWNER_MS    5000    /* for which a publisher owns a shard after each write */
#define ENGINE_FRESH_MS    4000    /* greatest age of a fresh shard's state */

#define ENGINE_KEY_GROUPS  "{presence}:groups"

#define ENGINE_MARK_EPOCH  "" /* in both kinds of hashes with counts */

/* Letters by enum presence_kind: those of sites are in marks alone. */
#define ENGINE_LETTERS "nrcs"

/* Marks in GROUP:K:WINDOW:SITE. The first three have the value "1". */
#define ENGINE_MARK_ROOMS     "?r" /* a room that isn't there is unknown (R6): one was refused */
#define ENGINE_MARK_COUNTRIES "?c"
#define ENGINE_MARK_SOURCES   "?s"
#define ENGINE_MARK_PARTIAL   "?p" /* letters: counts of these kinds are lower bounds; n: all */
#define ENGINE_MARK_QUIET     "?q" /* Unix seconds of the site's last heartbeat, over 60 s ago */

/* True if `text` is 1 to ENGINE_GROUP_MAX letters, digits, '_', '.' and '-'. */
bool engine_is_group(const char *text);

/* Write {presence}:GROUP:K and {presence}:GROUP:K:owner. */
void engine_key_shard(const char *group, uint32_t shard, char ret[ENGINE_KEY_MAX]);
void engine_key_owner(const char *group, uint32_t shard, char ret[ENGINE_KEY_MAX]);

/* Write {presence}:GROUP:K:WINDOW and {presence}:GROUP:K:WINDOW:SITE. */
void engine_key_sites(const char *group, uint32_t shard, uint32_t window_s,
                      char ret[ENGINE_KEY_MAX]);
void engine_key_site(const char *group, uint32_t shard, uint32_t window_s, const char *site,
                     char ret[ENGINE_KEY_MAX]);

/* Write the field of a scope: of a site its name, otherwise the kind's letter and the name. */
void engine_field(enum presence_kind kind, const char *site, const char *name,
                  char ret[ENGINE_FIELD_MAX]);

#endif
