/* patch.h - changes of a segment that an input describes: small ones, since a whole segment is no
 * input that a fuzzer could learn from. */
#ifndef PRESENCE_FUZZ_PATCH_H
#define PRESENCE_FUZZ_PATCH_H

#include <core/segment.h>

#include "fuzz.h"

#define PATCHES_MAX     32
#define PATCH_WORDS_MAX 8

struct patch {
    uint64_t offset; /* in the file */
    uint32_t words;
    uint64_t values[PATCH_WORDS_MAX];
};

struct patches {
    unsigned count;
    struct patch all[PATCHES_MAX];
};

/* Take one patch: the section (or the header), which word of it, how many words, and their values.
 * Where bit 7 of the number of words is set, the values are added to the tick: most of a segment's
 * numbers are times. */
static inline void patch_take(struct fuzz_input *input, const struct segment_header *header,
                              struct patch *ret)
{
    unsigned part = (unsigned)(fuzz_number(input, 1) % (SECTIONS + 1));
    uint64_t at = fuzz_number(input, 2), count = fuzz_number(input, 1);
    const struct segment_section *section = &header->geometry.sections[part];
    uint64_t begin = part == SECTIONS ? 0 : section->offset;
    uint64_t size = part == SECTIONS ? sizeof(*header) : section->size;

    ret->words = size < 8 ? 0 : 1 + (uint32_t)count % PATCH_WORDS_MAX;
    uint64_t words = size / 8;
    if (ret->words > words)
        ret->words = (uint32_t)words;
    ret->offset = begin + (words > ret->words ? at % (words - ret->words + 1) : 0) * 8;
    for (uint32_t i = 0; i < ret->words; i++)
        ret->values[i] = fuzz_number(input, 8) + (count & 0x80 ? header->tick : 0);
}

/* Take all that is left of an input. */
static inline void patches_take(struct fuzz_input *input, const struct segment_header *header,
                                struct patches *ret)
{
    ret->count = 0;
    while (input->size > 0 && ret->count < PATCHES_MAX)
        patch_take(input, header, &ret->all[ret->count++]);
}

/* Write them to a segment in memory. Others may read it meanwhile. */
static inline void patches_apply(const struct patches *patches, void *segment)
{
    for (unsigned i = 0; i < patches->count; i++) {
        const struct patch *patch = &patches->all[i];
        uint64_t *words = (uint64_t *)(void *)((char *)segment + patch->offset);
        for (uint32_t j = 0; j < patch->words; j++)
            atomic_store_relaxed(&words[j], patch->values[j]);
    }
}

/* Undo them with the help of a copy from before. */
static inline void patches_undo(const struct patches *patches, void *segment, const void *copy)
{
    for (unsigned i = 0; i < patches->count; i++) {
        const struct patch *patch = &patches->all[i];
        uint64_t *words = (uint64_t *)(void *)((char *)segment + patch->offset);
        const uint64_t *before =
            (const uint64_t *)(const void *)((const char *)copy + patch->offset);
        for (uint32_t j = 0; j < patch->words; j++)
            atomic_store_relaxed(&words[j], before[j]);
    }
}

#endif
