#include "packet.h"

#include <stdlib.h>
#include <string.h>

static void *copy_of(const void *from, size_t size)
{
    void *copy = malloc(size);

    if (size)
        memcpy(copy, from, size);
    return copy;
}

struct packet packet_copy(const struct packet *packet)
{
    struct packet copy = *packet;

    copy.beats = copy_of(packet->beats, packet->records * sizeof(*packet->beats));
    copy.bytes = copy_of(packet->bytes, packet->length);
    return copy;
}

void packet_free(struct packet *packet)
{
    free(packet->beats);
    free(packet->bytes);
    *packet = (struct packet){0};
}
