#include "receive_engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/mman.h>

int receive_memory_map(struct receiver *receiver, unsigned count)
{
    size_t bytes = (size_t)RECEIVE_STRIDE_BYTES * count;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    /* Most datagrams touch one page of their buffer: huge ones would make all of it resident. */
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    receiver->memory = memory;
    receiver->memory_bytes = bytes;
    return 0;
}

void receive_memory_fit(struct receiver *receiver)
{
    if (receiver->is_huge || !receiver->has_trains)
        return;
    madvise(receiver->memory, receiver->memory_bytes, MADV_DONTNEED);
    madvise(receiver->memory, receiver->memory_bytes, MADV_HUGEPAGE);
    receiver->is_huge = true;
}

void receive_memory_unmap(struct receiver *receiver)
{
    if (receiver->memory)
        munmap(receiver->memory, receiver->memory_bytes);
}

uint32_t receive_segment_bytes(const void *control, size_t control_bytes, uint32_t length)
{
    struct cmsghdr header;
    int segment;

    if (control_bytes < CMSG_LEN(sizeof(segment)))
        return length;
    memcpy(&header, control, sizeof(header));
    if (header.cmsg_level != IPPROTO_UDP || header.cmsg_type != UDP_GRO ||
        header.cmsg_len < CMSG_LEN(sizeof(segment)))
        return length;
    memcpy(&segment, (const uint8_t *)control + CMSG_LEN(0), sizeof(segment));
    return segment > 0 && (uint32_t)segment < length ? (uint32_t)segment : length;
}

const struct sockaddr *receive_sender(const void *address, size_t bytes)
{
    sa_family_t family;

    if (bytes < sizeof(family))
        return NULL;
    memcpy(&family, address, sizeof(family));
    if (family == AF_INET ? bytes < sizeof(struct sockaddr_in)
                          : family != AF_INET6 || bytes < sizeof(struct sockaddr_in6))
        return NULL;
    return address;
}
