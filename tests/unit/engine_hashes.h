/* engine_hashes.h - hashes as Redis keeps them, changed by the commands of a request. */
#ifndef PRESENCE_TESTS_ENGINE_HASHES_H
#define PRESENCE_TESTS_ENGINE_HASHES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/unit.h"

#include "engine/engine_request.h"

#define FAKE_FIELDS_MAX    8192
#define FAKE_ARGUMENTS_MAX 2048

struct fake_field {
    char *key, *field, *value; /* key NULL: free */
};

struct engine_hashes {
    struct fake_field fields[FAKE_FIELDS_MAX];
    unsigned renewals; /* PEXPIREs of keys that are there */
};

static inline struct fake_field *fake_find(struct engine_hashes *engine, const char *key,
                                           const char *field)
{
    for (unsigned i = 0; i < FAKE_FIELDS_MAX; i++) {
        struct fake_field *at = &engine->fields[i];
        if (at->key && strcmp(at->key, key) == 0 && (!field || strcmp(at->field, field) == 0))
            return at;
    }
    return NULL;
}

/* Return a field's value, or NULL. */
static inline const char *fake_get(struct engine_hashes *engine, const char *key, const char *field)
{
    const struct fake_field *found = fake_find(engine, key, field);

    return found ? found->value : NULL;
}

static inline void fake_remove(struct fake_field *field)
{
    free(field->key);
    free(field->field);
    free(field->value);
    *field = (struct fake_field){0};
}

static inline void fake_set(struct engine_hashes *engine, const char *key, const char *field,
                            const char *value)
{
    struct fake_field *at = fake_find(engine, key, field);

    if (at)
        fake_remove(at);
    for (at = engine->fields; at->key; at++)
        assert_true(at < &engine->fields[FAKE_FIELDS_MAX - 1]);
    *at = (struct fake_field){strdup(key), strdup(field), strdup(value)};
}

/* Carry out one command. What can't change anything, or names what isn't there, is a fault. */
static inline void fake_apply_command(struct engine_hashes *engine, char **words, unsigned count)
{
    struct fake_field *found;

    if (strcmp(words[0], "HSET") == 0) {
        assert_true(count >= 4 && count % 2 == 0);
        for (unsigned i = 2; i < count; i += 2) {
            const char *before = fake_get(engine, words[1], words[i]);
            if (before && strcmp(before, words[i + 1]) == 0)
                fail_msg("%s %s is %s already", words[1], words[i], before);
            fake_set(engine, words[1], words[i], words[i + 1]);
        }
    } else if (strcmp(words[0], "HDEL") == 0) {
        assert_true(count >= 3);
        for (unsigned i = 2; i < count; i++) {
            found = fake_find(engine, words[1], words[i]);
            if (!found)
                fail_msg("%s has no %s to be deleted", words[1], words[i]);
            fake_remove(found);
        }
    } else if (strcmp(words[0], "UNLINK") == 0) {
        for (unsigned i = 1; i < count; i++) {
            while ((found = fake_find(engine, words[i], NULL)))
                fake_remove(found);
        }
    } else if (strcmp(words[0], "HEXISTS") == 0) {
        assert_int_equal(count, 3);
        assert_non_null(fake_find(engine, words[1], words[2]));
    } else {
        assert_string_equal(words[0], "PEXPIRE");
        assert_int_equal(count, 3);
        assert_string_equal(words[2], "7200000");
        assert_non_null(fake_find(engine, words[1], NULL));
        engine->renewals++;
    }
}

/* Parse a line of the protocol: its type and a number. */
static inline unsigned fake_number(const char **at, char type)
{
    char *end;

    assert_int_equal(**at, type);
    unsigned long number = strtoul(*at + 1, &end, 10);
    assert_memory_equal(end, "\r\n", 2);
    *at = end + 2;
    return (unsigned)number;
}

/* Carry out all commands of a request, and clear it. */
static inline void fake_apply(struct engine_hashes *engine, struct engine_request *request)
{
    const char *at = request->bytes, *end = at + request->length;
    char *words[FAKE_ARGUMENTS_MAX];
    size_t commands = 0;

    assert_false(request->failed);
    for (; at < end; commands++) {
        unsigned count = fake_number(&at, '*');
        assert_true(count > 0 && count <= FAKE_ARGUMENTS_MAX);
        for (unsigned i = 0; i < count; i++) {
            unsigned length = fake_number(&at, '$');
            words[i] = strndup(at, length);
            assert_int_equal(strlen(words[i]), length);
            at += length;
            assert_memory_equal(at, "\r\n", 2);
            at += 2;
        }
        fake_apply_command(engine, words, count);
        for (unsigned i = 0; i < count; i++)
            free(words[i]);
    }
    assert_int_equal(commands, request->commands);
    engine_request_clear(request);
}

static inline unsigned fake_count(const struct engine_hashes *engine)
{
    unsigned count = 0;

    for (unsigned i = 0; i < FAKE_FIELDS_MAX; i++)
        count += engine->fields[i].key != NULL;
    return count;
}

static inline void fake_clear(struct engine_hashes *engine)
{
    for (unsigned i = 0; i < FAKE_FIELDS_MAX; i++)
        fake_remove(&engine->fields[i]);
}

#endif
