/* fuzz_engine.c - pass any bytes to readers as a shard's state and as an engine's replies. */
#include "engine_replies.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *wrong = engine_bytes_check(data, size);

    if (wrong)
        fuzz_fail("the answer has %s", wrong);
    return 0;
}
