/* fuzz_wire.c - datagrams of versions 1 and 2: pass any bytes to the decoders, and compare with the
 * judge. */
#include "compare.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 65536 && !compare_datagram(data, (uint32_t)size))
        abort();
    return 0;
}
