#include <string.h>

#include "encode.h"

#define TEXT(bytes) bytes, sizeof(bytes) - 1

static const struct {
    enum rejection reason;
    const char *bytes;
    unsigned length;
} rejected[] = {
    {REJECTED_MALFORMED, TEXT("")},
    {REJECTED_MALFORMED, TEXT("\0\0\n")},
    {REJECTED_MALFORMED, TEXT("PH")},
    {REJECTED_MALFORMED, TEXT("hello")},
    {REJECTED_MALFORMED, TEXT("PH1 ")},
    {REJECTED_MALFORMED, TEXT("PH1 visitor=v")},
    {REJECTED_MALFORMED, TEXT("PH1 site=- visitor=v")},
    {REJECTED_MALFORMED, TEXT("PH1 site=\"\" visitor=v")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a site=a visitor=v")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=v word")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=v kind=unknown")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=v kind=event")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=v kind=leave event=e")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=\"unclosed")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=\"\\x\"")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=\"\\ud800\"")},
    {REJECTED_MALFORMED, TEXT("PH1 visitor=v site=\"\\udc00\\ud800\"")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=v room=\"\\q\" kind=\"leave")},
    {REJECTED_MALFORMED, TEXT("xPH1 site=a visitor=v")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a visitor=v room=\"x\"y")},
    {REJECTED_MALFORMED, TEXT("PH1 site=a\xff visitor=v")},
    {REJECTED_MALFORMED, TEXT("PH1 site=\"a\\u0000\" visitor=v")},
    {REJECTED_VISITOR, TEXT("PH1 site=a")},
    {REJECTED_VISITOR, TEXT("PH1 site=a visitor=-")},
    {REJECTED_VISITOR, TEXT("PH1 site=a visitor=undefined")},
    {REJECTED_VISITOR, TEXT("PH1 site=a visitor=\" NULL \"")},
    {REJECTED_VISITOR, TEXT("PH1 site=a visitor=nan room=\"")},
    {REJECTED_VISITOR, TEXT("PH1 site=a visitor=00000000-0000-0000-0000-000000000000")},
    {REJECTED_VISITOR, TEXT("PH1 site=a visitor=\"  \" room=/")},
    {REJECTED_VERSION, TEXT("PH2 site=a visitor=v")},
    {REJECTED_VERSION, TEXT("PH\2\1\0\0")},
    {REJECTED_VERSION, TEXT("PH\0")},
    {REJECTED_MALFORMED, TEXT("PH\1\1\0\5")},
};

static const uint8_t native[] = "PH\1\1\0\x28\0\0\0\0\0\0\0\1\1\1\2\0DE"
                                "a/ss0123456789abcdef";

#define NATIVE_SIZE (sizeof(native) - 1)

/* Encode the native datagram with one byte, or its length, made wrong. */
static uint32_t encode_native_rejected(struct random_source *random, uint8_t *datagram,
                                       enum rejection *ret)
{
    static const struct {
        enum rejection reason;
        uint8_t offset, value;
    } changes[] = {
        {REJECTED_VERSION, 2, 3},       {REJECTED_MALFORMED, 3, 0},
        {REJECTED_MALFORMED, 3, 5},     {REJECTED_MALFORMED, 3, 4},
        {REJECTED_MALFORMED, 5, 0x29},  {REJECTED_MALFORMED, 6, 1},
        {REJECTED_MALFORMED, 6, 2},     {REJECTED_MALFORMED, 7, 1},
        {REJECTED_MALFORMED, 13, 2},    {REJECTED_MALFORMED, 14, 0},
        {REJECTED_MALFORMED, 16, 3},    {REJECTED_MALFORMED, 17, 1},
        {REJECTED_MALFORMED, 18, 'd'},  {REJECTED_MALFORMED, 19, 0},
        {REJECTED_MALFORMED, 20, 0x1f}, {REJECTED_MALFORMED, 21, 0xff},
        {REJECTED_MALFORMED, 22, 0x7f},
    };
    unsigned change = random_below(random, 20);

    memcpy(datagram, native, NATIVE_SIZE);
    *ret = REJECTED_MALFORMED;
    if (change < 17) {
        datagram[changes[change].offset] = changes[change].value;
        *ret = changes[change].reason;
        return NATIVE_SIZE;
    }
    if (change < 19) /* truncated, or followed by something */
        return change == 17 ? random_between(random, 3, NATIVE_SIZE - 1) : NATIVE_SIZE + 1;
    datagram[13] = 0; /* no visitors, and a length to match */
    datagram[5] = NATIVE_SIZE - 16;
    *ret = REJECTED_VISITOR;
    return NATIVE_SIZE - 16;
}

uint32_t encode_rejected(struct random_source *random, uint8_t *datagram, enum rejection *ret)
{
    unsigned count = sizeof(rejected) / sizeof(rejected[0]);
    unsigned form = random_below(random, count * 2);

    if (form >= count)
        return encode_native_rejected(random, datagram, ret);
    memcpy(datagram, rejected[form].bytes, rejected[form].length);
    *ret = rejected[form].reason;
    return rejected[form].length;
}
