/* discard_receiver.c - receive.h alone, as the daemon uses it: the cost of receiving. */
#include "discard.h"
#include "receive/receive.h"

static enum receive_engine engine_named(const char *name)
{
    if (strcmp(name, "io_uring") == 0)
        return RECEIVE_IO_URING;
    return strcmp(name, "recvmmsg") == 0 ? RECEIVE_RECVMMSG : RECEIVE_AUTO;
}

static void receive(struct receiver *receiver, struct discard *discard)
{
    const struct receive_buffer *buffers;
    unsigned count;

    if (receiver_wait(receiver, &buffers, &count) < 0)
        return;
    discard_begin_batch(discard);
    for (unsigned i = 0; i < count; i++)
        discard_train(discard, buffers[i].data, buffers[i].length, buffers[i].segment_bytes);
    receiver_release(receiver);
}

int main(int argc, char **argv)
{
    static struct discard discard;
    struct receiver *receiver;
    char program[64];

    discard_open(argc, argv, &discard);
    const struct receive_options options = {.engine = engine_named(discard.engine)};
    int r = receiver_open(&options, &discard.socket, 1, &receiver);
    if (r < 0) {
        fprintf(stderr, "%s: cannot receive with %s: %s\n", argv[0], discard.engine, strerror(-r));
        return 1;
    }
    while (!discard_stop)
        receive(receiver, &discard);
    snprintf(program, sizeof(program), "discard_receiver %s", receiver_engine(receiver));
    discard_report(program, &discard);
    receiver_close(receiver);
    return 0;
}
