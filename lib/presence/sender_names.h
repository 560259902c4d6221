/* sender_names.h - the names of an open datagram of version 2, each once, numbered from 1.
 *
 * Nearly every name is plain ASCII and in canonical form: one pass over its words proves that,
 * copies it behind the other names and computes its hash. One thread at a time.
 */
#ifndef PRESENCE_SENDER_NAMES_H
#define PRESENCE_SENDER_NAMES_H

#include "sender_place.h"

#define SENDER_NAMES_SLOTS 512 /* at least twice the names; a power of two */
/* Bytes, for a name that turns out not to fit. */
#define SENDER_NAMES_SPARE (1 + WIRE_V2_NAME_MAX)

struct sender_names {
    uint8_t *bytes; /* as they are sent: the length of each, then the name */
    uint32_t size;  /* of `bytes` */
    uint32_t count;
    uint32_t offsets[WIRE_V2_NAMES_MAX]; /* in `bytes`; by number - 1, like the following */
    uint32_t hashes[WIRE_V2_NAMES_MAX];
    uint8_t slots[SENDER_NAMES_SLOTS]; /* numbers, by hash; 0: free */
};

/* Begin without names. `bytes` is the caller's, and has room for the largest `size_max` of later
 * calls and SENDER_NAMES_SPARE more. */
void sender_names_init(struct sender_names *names, uint8_t *bytes);

void sender_names_clear(struct sender_names *names);

/* Store the numbers of a place's names in `place`; new names are appended. `last` is a place whose
 * names are tried first. Errors, after which some may have been appended: those of
 * sender_name_parse; -ENOSPC there would be too many names, or more than `size_max` bytes. */
int sender_names_number(struct sender_names *names, const struct presence_place *given,
                        const struct wire_v2_record *last, uint32_t size_max,
                        struct wire_v2_record *place);

/* Remove the names above number `count`. */
void sender_names_truncate(struct sender_names *names, uint32_t count);

/* Append `size` bytes as a name that nobody refers to; sender_names_clear has to be next. */
void sender_names_pad(struct sender_names *names, uint32_t size);

#endif
