/* engine_text.h - bytes that the engine has: fields of a hash and their values. They come from
 * whoever may write there, so they are parsed strictly. Any thread. */
#ifndef PRESENCE_ENGINE_TEXT_H
#define PRESENCE_ENGINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, with no terminator; they may be anything, zeros too. NULL: there is no such field. */
struct engine_text {
    const char *bytes;
    size_t length;
};

/* True if the text is there and equal to a string. */
bool engine_text_is(struct engine_text text, const char *expected);

/* Parse a decimal number of digits alone, without leading zeros, at most `maximum`. False, with
 * `ret` left alone: it is anything else. */
bool engine_text_number(struct engine_text text, uint64_t maximum, uint64_t *ret);

/* Copy a text with a terminator. False, with `ret` left alone: it is not there, has a zero in it or
 * does not fit `size` bytes. */
bool engine_text_copy(struct engine_text text, char *ret, size_t size);

/* Cut off the part before the first `separator`, or the whole text, and leave what follows that
 * separator; NULL: nothing follows. */
struct engine_text engine_text_cut(struct engine_text *text, char separator);

#endif
