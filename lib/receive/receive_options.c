#include "receive_options.h"

const char *const receive_engines[] = {
    [RECEIVE_AUTO] = "auto",
    [RECEIVE_IO_URING] = "io_uring",
    [RECEIVE_RECVMMSG] = "recvmmsg",
    NULL,
};

int receive_add_listen(void *settings, const char *text)
{
    return endpoints_add(settings, text);
}

int receive_add_allowed(void *list, const char *text)
{
    return network_list_add(list, text);
}
