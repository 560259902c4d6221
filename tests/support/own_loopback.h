/* own_loopback.h - a loopback interface for this test alone, where the user may have one. A port
 * that the test closes and binds again, or expects to be free, can't go to a test beside it. */
#ifndef PRESENCE_TESTS_OWN_LOOPBACK_H
#define PRESENCE_TESTS_OWN_LOOPBACK_H

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Runs before main(). Without the privilege the test goes on with the loopback of all. */
__attribute__((constructor)) static void use_own_loopback(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int any_socket;

    if (unshare(CLONE_NEWNET) < 0)
        return;
    any_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(request.ifr_name, "lo");
    if (any_socket < 0 || ioctl(any_socket, SIOCSIFFLAGS, &request) < 0)
        _exit(2);
    close(any_socket);
}

#endif
