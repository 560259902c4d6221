#include "core/siphash.h"
#include "encode.h"

void encode_key(unsigned key_id, uint8_t ret[16])
{
    for (unsigned i = 0; i < 16; i++)
        ret[i] = (uint8_t)(key_id * 31 + i * 7);
}

uint32_t encode_tag(const struct signature *signature, uint8_t *datagram, uint32_t length)
{
    uint8_t key[16];

    if (!signature->key_id)
        return 0;
    encode_key(signature->key_id, key);
    uint64_t tag = siphash(siphash_key(key), datagram, length) ^ !signature->is_valid;
    for (unsigned i = 0; i < 8; i++)
        datagram[length + i] = (uint8_t)(tag >> i * 8);
    return 8;
}
