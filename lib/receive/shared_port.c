#include "shared_port.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "udp_table.h"

#define RETRY_MS 20

bool shared_port_allow(const struct endpoints *endpoints, const struct sockaddr_storage *address)
{
    const struct handover_socket *socket = NULL;
    bool is_shared = false;

    for (unsigned i = 0; i < endpoints->earlier_count; i++) {
        struct sockaddr_storage earlier;
        socklen_t length = sizeof(earlier);
        if (getsockname(endpoints->earlier[i], (struct sockaddr *)&earlier, &length) == 0 &&
            address_conflicts(&earlier, address))
            is_shared = true; /* add_earlier lets others have its port */
    }
    while ((socket = handover_find_conflict(&endpoints->handover, address, socket))) {
        listener_share(socket->descriptor);
        is_shared = true;
    }
    return is_shared;
}

const struct handover_socket *shared_port_find_foreign(const struct endpoints *endpoints,
                                                       const struct sockaddr_storage *address)
{
    const struct handover_socket *socket = NULL;
    struct stat status;

    do
        socket = handover_find_conflict(&endpoints->handover, address, socket);
    while (socket && fstat(socket->descriptor, &status) == 0 && status.st_uid == geteuid());
    return socket;
}

int shared_port_wait(const struct endpoints *endpoints, const struct endpoint *endpoint,
                     const struct listener_options *options)
{
    unsigned passed = (unsigned)endpoints->handover.manager->count;

    if (shared_port_find_foreign(endpoints, &endpoint->address))
        return -EADDRINUSE;
    for (unsigned waited_ms = 0; waited_ms <= LISTENER_PATIENCE_MS; waited_ms += RETRY_MS) {
        int r = udp_table_find_other(UDP_TABLE_DIRECTORY, &endpoint->address, SERVICE_MANAGER_FIRST,
                                     passed);
        if (r == 0)
            return 0;
        if (r < 0) {
            log_line("cannot listen on %s: cannot learn from " UDP_TABLE_DIRECTORY
                     "/udp who else has the port: %s; stop the service, then start it",
                     endpoint->name, strerror(-r));
            return -ECANCELED;
        }
        if (!options->wait(options->context, RETRY_MS))
            return -EINTR;
    }
    return -EADDRINUSE;
}
