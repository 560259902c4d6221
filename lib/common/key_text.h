/* key_text.h - a key as people write it: an id from 1 to 255 in decimal, and 32 hex digits. */
#ifndef PRESENCE_KEY_TEXT_H
#define PRESENCE_KEY_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_TEXT_BYTES  16
#define KEY_TEXT_DIGITS 32
#define KEY_TEXT_ID_MAX 255

/* A key's id, of `length` bytes of text; 0 when it is none. */
static inline uint8_t key_text_id(const char *text, uint32_t length)
{
    unsigned id = 0;

    if (length > 3)
        return 0;
    for (uint32_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        id = 10 * id + (unsigned)(text[i] - '0');
    }
    return id <= KEY_TEXT_ID_MAX ? (uint8_t)id : 0;
}

/* The digit's value, 16 when it is none. */
static inline unsigned key_text_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0');
    unsigned letter = (unsigned)(unsigned char)(digit | 0x20) - 'a';
    return letter < 6 ? 10 + letter : 16;
}

/* A key's bytes, of `length` bytes of text; false, with some of them written, when it is none. */
static inline bool key_text_bytes(const char *text, uint32_t length,
                                  uint8_t ret_key[KEY_TEXT_BYTES])
{
    if (length != KEY_TEXT_DIGITS)
        return false;
    for (uint32_t i = 0; i < KEY_TEXT_BYTES; i++) {
        unsigned high = key_text_digit(text[2 * i]), low = key_text_digit(text[2 * i + 1]);
        if (high > 15 || low > 15)
            return false;
        ret_key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

#endif
