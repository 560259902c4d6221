/* scope_name.h - the keyed hashes of scope names. Needs xxHash (header-only).
 *
 * Daemon and readers must agree on the chain that a scope is found in, and on the key that its
 * visitors are hashed under.
 */
#ifndef PRESENCE_SCOPE_NAME_H
#define PRESENCE_SCOPE_NAME_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/scope.h"

/* Name a site. `bytes` is in canonical form (canonical.h) and must outlive the name. */
static inline struct scope_name scope_name_site(const uint64_t *secret, const uint8_t *bytes,
                                                uint32_t length)
{
    return (struct scope_name){
        .hash = XXH3_64bits_withSeed(bytes, length, secret[0]),
        .bytes = bytes,
        .length = length,
        .site = SCOPE_NONE,
        .kind = SCOPE_SITE,
    };
}

/* Name a room, country or source of the site at index `site` of the directory; `bytes` likewise. */
static inline struct scope_name scope_name_label(const struct scope_name *site_name, uint32_t site,
                                                 enum scope_kind kind, const uint8_t *bytes,
                                                 uint32_t length)
{
    return (struct scope_name){
        .hash = XXH3_64bits_withSeed(bytes, length, site_name->hash + (uint64_t)kind),
        .bytes = bytes,
        .length = length,
        .site = site,
        .kind = kind,
    };
}

/* Derive the key that the scope's visitors are hashed under. A label's is derived from its site's
 * key, which is NULL for a site itself. */
static inline struct scope_key scope_key_derive(const uint64_t *secret,
                                                const struct scope_key *site,
                                                const struct scope_name *name)
{
    struct scope_key key;

    for (unsigned i = 0; i < HASH_KEY_WORDS; i++) {
        uint64_t seed = secret[i] ^ (site ? site->words[i] : 0);
        key.words[i] = XXH3_64bits_withSeed(name->bytes, name->length, seed + (uint64_t)name->kind);
    }
    return key;
}

#endif
