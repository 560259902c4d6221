#include "supervisor.h"

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

_Static_assert(SUPERVISOR_FIRST == SD_LISTEN_FDS_START, "the first that is passed");

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

void supervisor_open(struct supervisor *ret)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *ret = (struct supervisor){.socket = -1};
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

bool supervisor_exists(const struct supervisor *supervisor)
{
    return supervisor->socket >= 0;
}

/* Returns false if it was not taken: the service manager hangs, or has gone. */
__attribute__((format(printf, 2, 3))) static bool tell(const struct supervisor *supervisor,
                                                       const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list arguments;

    if (supervisor->socket < 0)
        return true;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return length > 0 && length < (int)sizeof(message) &&
           write(supervisor->socket, message, (size_t)length) == length;
}

bool supervisor_has_passed(const struct supervisor *supervisor, const char *name)
{
    for (int i = 0; i < supervisor->count; i++) {
        if (strcmp(supervisor->names[i], name) == 0)
            return true;
    }
    return false;
}

void supervisor_store(const struct supervisor *supervisor, int descriptor, const char *name)
{
    char message[MESSAGE_SIZE];

    if (supervisor_has_passed(supervisor, name) || supervisor->socket < 0)
        return;
    /* Not polled, a socket stays in the store also when it has an error to report. */
    snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    int r = sd_pid_notify_with_fds(0, false, message, &descriptor, 1);
    if (r < 0)
        log_line("cannot give %s to the service manager: %s", name, strerror(-r));
}

void supervisor_remove(const struct supervisor *supervisor, const char *name)
{
    if (!*name)
        return;
    for (int i = 0; i < supervisor->count; i++) {
        if (strcmp(supervisor->names[i], name) == 0)
            supervisor->names[i][0] = '\0';
    }
    if (!tell(supervisor, "FDSTOREREMOVE=1\nFDNAME=%s", name))
        log_line("cannot take %s back from the service manager: %s", name, strerror(errno));
}

void supervisor_ready(struct supervisor *supervisor, const char *status)
{
    snprintf(supervisor->status, sizeof(supervisor->status), "%s", status);
    supervisor->is_unready = !tell(supervisor, "READY=1\nSTATUS=%s", supervisor->status);
}

void supervisor_alive(struct supervisor *supervisor)
{
    if (supervisor->is_unready)
        supervisor_reloaded(supervisor);
    tell(supervisor, "WATCHDOG=1");
}

void supervisor_reloading(struct supervisor *supervisor)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    tell(supervisor, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading the keys",
         (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void supervisor_reloaded(struct supervisor *supervisor)
{
    supervisor->is_unready = !tell(supervisor, "READY=1\nSTATUS=%s", supervisor->status);
}

void supervisor_stopping(const struct supervisor *supervisor)
{
    tell(supervisor, "STOPPING=1\nSTATUS=counting what the sockets hold");
}

void supervisor_close(struct supervisor *supervisor)
{
    for (int i = 0; supervisor->names && supervisor->names[i]; i++)
        free(supervisor->names[i]);
    free(supervisor->names);
    if (supervisor->socket >= 0)
        close(supervisor->socket);
}
