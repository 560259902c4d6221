/* changes.h - make commands for the engine of the differences between two passes. One thread at a
 * time. */
#ifndef PRESENCE_PUBLISHER_CHANGES_H
#define PRESENCE_PUBLISHER_CHANGES_H

#include "engine/engine_keys.h"
#include "engine/engine_request.h"
#include "mirror.h"

#define CHANGES_FIELDS 512 /* of one command: the engine serves others between two, too */

/* Renewals are spread over this many slots, one a second. */
#define CHANGES_SLOTS ENGINE_RENEW_S

struct changes {
    struct mirror *mirror;
    const char *group, *epoch;
    uint32_t shard;
    /* Nothing that the engine has is believed: each key is deleted before it is first written. */
    bool anew;
    struct engine_request *request; /* commands are added here */

    /* Called while writing anew, between commands, once the request has `spill_bytes`; it may empty
     * the request. Returns 0, or a negative errno that ends everything. */
    int (*spill)(void *context);
    void *context;
    size_t spill_bytes;
    int error; /* what it has returned; no command is added after that */
};

/* Add what has changed. Errors: those of `spill`. */
int changes_add(struct changes *changes);

/* Add a renewal for each key that the engine has and whose slot is among `count` slots from `first`
 * on: all keys within CHANGES_SLOTS slots, and those of sites' counts always. A reply to these
 * commands is 0 if a key, or its epoch, is gone. */
void changes_add_renewals(struct changes *changes, unsigned first, unsigned count);

/* Add a command for each key that the engine has, whose reply is 0 if the key, or its epoch, is
 * gone: it was evicted, and perhaps begun again. */
void changes_add_inventory(struct changes *changes);

#endif
