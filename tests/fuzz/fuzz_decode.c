/* fuzz_decode.c - libFuzzer's entry: pass any bytes to both decoders, and compare with the
 * judge. */
#include "compare.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 65536 && !compare_datagram(data, (uint32_t)size))
        abort();
    return 0;
}
