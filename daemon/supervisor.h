/* supervisor.h - talk to the service manager: systemd, or whatever speaks its protocol
 * (sd_notify(3), sd_listen_fds(3)). Without one, all of this does nothing. The main thread only.
 *
 * Its descriptor store keeps descriptors while no daemon runs, and passes them to the next one.
 * Each has a name, by which it is removed.
 */
#ifndef PRESENCED_SUPERVISOR_H
#define PRESENCED_SUPERVISOR_H

#include <stdbool.h>

struct supervisor {
    int socket;      /* connected to the service manager's; negative: there is none */
    char **names;    /* of the descriptors that were passed, "" once it was removed; or NULL */
    int count;       /* of them; the first is SUPERVISOR_FIRST, the others follow */
    bool is_unready; /* it has not taken READY=1 yet */
    char status[256];
};

#define SUPERVISOR_FIRST 3 /* SD_LISTEN_FDS_START */

/* Find the service manager and what it passes: from the environment, which is cleared of that. */
void supervisor_open(struct supervisor *ret);

/* True if there is one that may store descriptors. */
bool supervisor_exists(const struct supervisor *supervisor);

/* True if a descriptor of that name was passed, and not removed since. */
bool supervisor_has_passed(const struct supervisor *supervisor, const char *name);

/* Store a descriptor under a name, unless one was passed that has it. Before seccomp. */
void supervisor_store(const struct supervisor *supervisor, int descriptor, const char *name);

/* Remove all stored descriptors of that name. */
void supervisor_remove(const struct supervisor *supervisor, const char *name);

/* Say that the daemon receives, and with which status line. */
void supervisor_ready(struct supervisor *supervisor, const char *status);

/* Say that it is alive, and READY=1 once more if that was not taken. Once a second. */
void supervisor_alive(struct supervisor *supervisor);

/* Say that it reloads; supervisor_reloaded follows. */
void supervisor_reloading(struct supervisor *supervisor);
void supervisor_reloaded(struct supervisor *supervisor);

/* Say that it stops. */
void supervisor_stopping(const struct supervisor *supervisor);

/* Free everything. The passed descriptors stay open. */
void supervisor_close(struct supervisor *supervisor);

#endif
