/* address.h - HOST:PORT, as users type it. */
#ifndef PRESENCE_ADDRESS_H
#define PRESENCE_ADDRESS_H

#define ADDRESS_HOST_SIZE 256 /* bytes, with the terminator: a DNS name has at most 253 */
#define ADDRESS_PORT_SIZE 6
#define ADDRESS_SIZE      (ADDRESS_HOST_SIZE + ADDRESS_PORT_SIZE + 2)

/* HOST:PORT in its two parts. An IPv6 host is in brackets, which are left out of `host`; a port is
 * a number from 1 to 65535. Whether the host exists is not looked at. Any thread. */
struct address {
    char host[ADDRESS_HOST_SIZE];
    char port[ADDRESS_PORT_SIZE];
};

/* Errors: -EINVAL, it is not of that form. */
int address_split(const char *text, struct address *ret);

#endif
