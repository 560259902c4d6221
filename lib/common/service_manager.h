/* service_manager.h - talk to the service manager: systemd, or whatever speaks its protocol
 * (sd_notify(3), sd_listen_fds(3)). Without one, all of this does nothing. The main thread only.
 *
 * Its descriptor store keeps descriptors while no daemon runs, and passes them to the next one.
 * Each has a name, by which it is removed.
 */
#ifndef PRESENCE_SERVICE_MANAGER_H
#define PRESENCE_SERVICE_MANAGER_H

#include <stdbool.h>

struct service_manager {
    const char *program; /* its name, with which the names of its descriptors begin */
    int socket;          /* connected to the service manager's; negative: there is none */
    char **names;        /* of the descriptors that were passed, "" once it was removed; or NULL */
    int count;           /* of them; the first is SERVICE_MANAGER_FIRST, the others follow */
    bool is_unready;     /* it has not taken READY=1 yet */
    char status[256];
};

#define SERVICE_MANAGER_FIRST 3 /* SD_LISTEN_FDS_START */

/* Find the service manager and what it passes: from the environment, which is cleared of that.
 * `program` has to outlive this. */
void service_manager_open(const char *program, struct service_manager *ret);

/* True if there is one that may store descriptors. */
bool service_manager_exists(const struct service_manager *manager);

/* True if a descriptor of that name was passed, and not removed since. */
bool service_manager_has_passed(const struct service_manager *manager, const char *name);

/* Store a descriptor under a name, unless one was passed that has it. Before seccomp. */
void service_manager_store(const struct service_manager *manager, int descriptor, const char *name);

/* Remove all stored descriptors of that name. */
void service_manager_remove(const struct service_manager *manager, const char *name);

/* Say that the daemon receives, and with which status line. */
void service_manager_ready(struct service_manager *manager, const char *status);

/* Say that it is alive, and READY=1 once more if that was not taken. Once a second. */
void service_manager_alive(struct service_manager *manager);

/* Say that it reloads, and with which status line until service_manager_reloaded. */
void service_manager_reloading(struct service_manager *manager, const char *status);
void service_manager_reloaded(struct service_manager *manager);

/* Say that it stops, and with which status line. */
void service_manager_stopping(const struct service_manager *manager, const char *status);

/* Free everything. The passed descriptors stay open. */
void service_manager_close(struct service_manager *manager);

#endif
