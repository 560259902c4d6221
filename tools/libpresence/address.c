#include "address.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int port_copy(const char *text, char port[ADDRESS_PORT_SIZE])
{
    size_t length = strlen(text);
    unsigned number = 0;

    if (length == 0 || length >= ADDRESS_PORT_SIZE)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (number < 1 || number > 65535)
        return -EINVAL;
    memcpy(port, text, length + 1);
    return 0;
}

int address_split(const char *text, struct address *ret)
{
    bool bracketed = text[0] == '[';
    const char *host = text + bracketed;
    const char *host_end = bracketed ? strchr(text, ']') : strchr(text, ':');
    struct address address;

    if (!host_end || host_end == host || (size_t)(host_end - host) >= sizeof(address.host))
        return -EINVAL;
    const char *colon = host_end + bracketed;
    if (*colon != ':' || port_copy(colon + 1, address.port) < 0)
        return -EINVAL;
    memcpy(address.host, host, (size_t)(host_end - host));
    address.host[host_end - host] = '\0';
    *ret = address;
    return 0;
}
