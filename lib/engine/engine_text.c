#include "engine_text.h"

#include <string.h>

bool engine_text_is(struct engine_text text, const char *expected)
{
    return text.bytes && text.length == strlen(expected) &&
           memcmp(text.bytes, expected, text.length) == 0;
}

bool engine_text_number(struct engine_text text, uint64_t maximum, uint64_t *ret)
{
    uint64_t number = 0;

    if (!text.bytes || text.length == 0 || (text.bytes[0] == '0' && text.length > 1))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.bytes[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(c - '0'), &number))
            return false;
    }
    if (number > maximum)
        return false;
    *ret = number;
    return true;
}

bool engine_text_copy(struct engine_text text, char *ret, size_t size)
{
    if (!text.bytes || text.length >= size || memchr(text.bytes, '\0', text.length))
        return false;
    memcpy(ret, text.bytes, text.length);
    ret[text.length] = '\0';
    return true;
}

struct engine_text engine_text_cut(struct engine_text *text, char separator)
{
    const char *end = text->bytes ? memchr(text->bytes, separator, text->length) : NULL;
    struct engine_text part = *text;

    if (!end) {
        *text = (struct engine_text){0};
        return part;
    }
    part.length = (size_t)(end - part.bytes);
    *text = (struct engine_text){end + 1, text->length - part.length - 1};
    return part;
}
