#include "service_manager.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define MESSAGE_SIZE 512

_Static_assert(SERVICE_MANAGER_FIRST == SD_LISTEN_FDS_START, "the first that is passed");

/* Connect to $NOTIFY_SOCKET. seccomp later forbids what sd_notify(3) does for each message: open a
 * socket and send to an address. A connected one takes write(2). */
static int connect_to_manager(const char *path)
{
    static const struct timeval patience = {.tv_usec = 200000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address.sun_path))
        return -EINVAL;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') /* an abstract name */
        address.sun_path[0] = '\0';
    int r = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (r < 0)
        return -errno;
    setsockopt(r, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(r, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0)
        return r;
    int error = -errno;
    close(r);
    return error;
}

void service_manager_open(const char *program, struct service_manager *ret)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *ret = (struct service_manager){.program = program, .socket = -1};
    ret->count = sd_listen_fds_with_names(true, &ret->names);
    if (ret->count < 0) {
        log_line("cannot take what the service manager passes ($LISTEN_FDS): %s",
                 strerror(-ret->count));
        ret->count = 0;
    }
    if (!path)
        return;
    ret->socket = connect_to_manager(path);
    if (ret->socket < 0)
        log_line("cannot reach the service manager at %s ($NOTIFY_SOCKET): %s", path,
                 strerror(-ret->socket));
}

bool service_manager_exists(const struct service_manager *manager)
{
    return manager->socket >= 0;
}

/* Returns false if it was not taken: the service manager hangs, or has gone. */
__attribute__((format(printf, 2, 3))) static bool notify(const struct service_manager *manager,
                                                         const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list arguments;

    if (manager->socket < 0)
        return true;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return length > 0 && length < (int)sizeof(message) &&
           write(manager->socket, message, (size_t)length) == length;
}

bool service_manager_has_passed(const struct service_manager *manager, const char *name)
{
    for (int i = 0; i < manager->count; i++) {
        if (strcmp(manager->names[i], name) == 0)
            return true;
    }
    return false;
}

void service_manager_store(const struct service_manager *manager, int descriptor, const char *name)
{
    char message[MESSAGE_SIZE];

    if (service_manager_has_passed(manager, name) || manager->socket < 0)
        return;
    /* Not polled, a socket stays in the store also when it has an error to report. */
    snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    int r = sd_pid_notify_with_fds(0, false, message, &descriptor, 1);
    if (r < 0)
        log_line("cannot give %s to the service manager: %s", name, strerror(-r));
}

void service_manager_remove(const struct service_manager *manager, const char *name)
{
    if (!*name)
        return;
    for (int i = 0; i < manager->count; i++) {
        if (strcmp(manager->names[i], name) == 0)
            manager->names[i][0] = '\0';
    }
    if (!notify(manager, "FDSTOREREMOVE=1\nFDNAME=%s", name))
        log_line("cannot take %s back from the service manager: %s", name, strerror(errno));
}

void service_manager_ready(struct service_manager *manager, const char *status)
{
    snprintf(manager->status, sizeof(manager->status), "%s", status);
    manager->is_unready = !notify(manager, "READY=1\nSTATUS=%s", manager->status);
}

void service_manager_alive(struct service_manager *manager)
{
    if (manager->is_unready)
        service_manager_reloaded(manager);
    notify(manager, "WATCHDOG=1");
}

void service_manager_reloading(struct service_manager *manager, const char *status)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    notify(manager, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=%s",
           (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000,
           status);
}

void service_manager_reloaded(struct service_manager *manager)
{
    manager->is_unready = !notify(manager, "READY=1\nSTATUS=%s", manager->status);
}

void service_manager_stopping(const struct service_manager *manager, const char *status)
{
    notify(manager, "STOPPING=1\nSTATUS=%s", status);
}

void service_manager_close(struct service_manager *manager)
{
    for (int i = 0; manager->names && manager->names[i]; i++)
        free(manager->names[i]);
    free(manager->names);
    if (manager->socket >= 0)
        close(manager->socket);
}
