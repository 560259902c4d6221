/* fuzz_engine.c - libFuzzer's entry: pass any bytes to readers as a shard's state and as replies.
 */
#include "engine_replies.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *wrong = engine_bytes_check(data, size);

    if (!wrong)
        return 0;
    fprintf(stderr, "the answer has %s\n", wrong);
    abort();
}
