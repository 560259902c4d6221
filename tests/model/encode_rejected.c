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
    {REJECTED_VERSION, TEXT("PH\3\1\0\0")},
    {REJECTED_MALFORMED, TEXT("PH\2")},
    {REJECTED_MALFORMED, TEXT("PH\2\0\0\6")},
    {REJECTED_VERSION, TEXT("PH\0")},
    {REJECTED_MALFORMED, TEXT("PH\1\1\0\5")},
};

static const uint8_t native1[] = "PH\1\1\0\x28\0\0\0\0\0\0\0\1\1\1\2\0DE"
                                 "a/ss0123456789abcdef";

#define NATIVE1_SIZE (sizeof(native1) - 1)

/* Encode the datagram of version 1 with one byte, or its length, made wrong. */
static uint32_t encode_v1_rejected(struct random_source *random, uint8_t *datagram,
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

    memcpy(datagram, native1, NATIVE1_SIZE);
    *ret = REJECTED_MALFORMED;
    if (change < 17) {
        datagram[changes[change].offset] = changes[change].value;
        *ret = changes[change].reason;
        return NATIVE1_SIZE;
    }
    if (change < 19) /* truncated, or followed by something */
        return change == 17 ? random_between(random, 3, NATIVE1_SIZE - 1) : NATIVE1_SIZE + 1;
    datagram[13] = 0; /* no visitors, and a length to match */
    datagram[5] = NATIVE1_SIZE - 16;
    *ret = REJECTED_VISITOR;
    return NATIVE1_SIZE - 16;
}

static const uint8_t native2[] = "PH\2\0\0\x38\0\2\0\0\0\0"
                                 "\1\2\3\4\5\6\7\x8\0\0\0\1\0\1\0\0"
                                 "\1a\1/\1\1\2\0\0\1DE0123456789abcdef";

#define NATIVE2_SIZE (sizeof(native2) - 1)

/* Encode the datagram of version 2 with one byte, its stream or its length made wrong. */
static uint32_t encode_v2_rejected(struct random_source *random, uint8_t *datagram,
                                   enum rejection *ret)
{
    static const struct {
        uint8_t offset, value;
    } changes[] = {
        {3, 1},     {3, 2},  {5, 0x37},  {5, 0x39}, {6, 1},    {7, 0},     {7, 1},     {7, 3},
        {25, 0},    {25, 2}, {24, 0xff}, {28, 0},   {28, 2},   {28, 0xff}, {29, 0x1f}, {29, 0xff},
        {31, 0x7f}, {32, 0}, {32, 4},    {32, 5},   {33, 0},   {33, 3},    {34, 3},    {35, 0xff},
        {36, 1},    {36, 3}, {37, 0},    {37, 2},   {38, 'd'}, {38, 0},    {39, 0},
    };
    unsigned count = sizeof(changes) / sizeof(changes[0]), change = random_below(random, count + 4);

    memcpy(datagram, native2, NATIVE2_SIZE);
    *ret = REJECTED_MALFORMED;
    if (change < count) {
        datagram[changes[change].offset] = changes[change].value;
    } else if (change == count) {
        memset(datagram + 12, 0, 8); /* a sequence, but no stream */
    } else if (change == count + 1) {
        datagram[2] = 3;
        *ret = REJECTED_VERSION;
    } else { /* truncated, or followed by something, with a length to match or not */
        uint32_t length = change == count + 2 ? random_between(random, 3, NATIVE2_SIZE - 1)
                                              : NATIVE2_SIZE + random_between(random, 1, 30);
        memset(datagram + NATIVE2_SIZE, 'x', 30);
        if (random_one_in(random, 2))
            datagram[5] = (uint8_t)length;
        return length;
    }
    return NATIVE2_SIZE;
}

uint32_t encode_rejected(struct random_source *random, uint8_t *datagram, enum rejection *ret)
{
    unsigned count = sizeof(rejected) / sizeof(rejected[0]);
    unsigned form = random_below(random, count * 3);

    if (form >= count * 2)
        return encode_v2_rejected(random, datagram, ret);
    if (form >= count)
        return encode_v1_rejected(random, datagram, ret);
    memcpy(datagram, rejected[form].bytes, rejected[form].length);
    *ret = rejected[form].reason;
    return rejected[form].length;
}
