/* fuzz.h - what all targets share. A target is a fuzz_NAME.c with libFuzzer's entry. With
 * -Dfuzz=true it becomes fuzz_NAME, otherwise replay_NAME, which passes it the files of
 * corpus/NAME. */
#ifndef PRESENCE_FUZZ_H
#define PRESENCE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Return 0. What is wrong is reported by fuzz_fail, or by a sanitizer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Say in a line what is wrong, and abort. */
#define fuzz_fail(...)                                                             \
    (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), \
     fputc('\n', stderr), abort())

#define fuzz_check(condition)                      \
    do {                                           \
        if (!(condition))                          \
            fuzz_fail("not true: %s", #condition); \
    } while (0)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The rest of an input that is taken apart. */
struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
};

/* Take a number of up to 8 bytes, little-endian; bytes that are missing are zero. */
static inline uint64_t fuzz_number(struct fuzz_input *input, size_t bytes)
{
    uint64_t number = 0;

    for (size_t i = 0; i < bytes && input->size > 0; i++, input->bytes++, input->size--)
        number |= (uint64_t)*input->bytes << 8 * i;
    return number;
}

/* Take the bytes before the next `separator`, or all that are left. */
static inline struct fuzz_input fuzz_piece(struct fuzz_input *input, uint8_t separator)
{
    const uint8_t *end = input->size ? memchr(input->bytes, separator, input->size) : NULL;
    struct fuzz_input piece = {input->bytes, end ? (size_t)(end - input->bytes) : input->size};
    size_t taken = piece.size + (end != NULL);

    input->bytes += taken;
    input->size -= taken;
    return piece;
}

/* Copy a piece and put a zero byte behind it. The caller frees it. */
static inline char *fuzz_text(struct fuzz_input piece)
{
    char *text = malloc(piece.size + 1);

    if (piece.size)
        memcpy(text, piece.bytes, piece.size);
    text[piece.size] = '\0';
    return text;
}

/* Make a command line of words that end with NULL. Returns how many there are. */
static inline int fuzz_command_line(const char *const *words, char **ret)
{
    int count = 0;

    for (; words[count]; count++)
        ret[count] = (char *)(uintptr_t)words[count]; /* they are only reordered */
    ret[count] = NULL;
    return count;
}

#endif
