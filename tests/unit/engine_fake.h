/* engine_fake.h - an engine in memory: answers the commands that readers send, through the parser
 * of replies, as a link would; and a reader of it. A test that includes this is linked with
 * engine_fake_arguments. */
#ifndef PRESENCE_TESTS_ENGINE_FAKE_H
#define PRESENCE_TESTS_ENGINE_FAKE_H

#include "../support/unit.h"

#include <engine/engine_link.h>
#include <engine/engine_parser.h>
#include <engine/engine_reader.h>
#include <time.h>

#define FAKE_NOW        1767225600 /* the wall clock, Unix seconds */
#define FAKE_KEYS_MAX   512
#define FAKE_FIELDS_MAX 80
#define FAKE_WORDS_MAX  80

struct fake_field {
    char name[300];
    size_t name_length;
    char *value;
};

struct fake_key {
    char name[400];
    struct fake_field fields[FAKE_FIELDS_MAX];
    size_t field_count;
    long long pttl; /* -1: it never expires */
};

static struct {
    struct engine_reader *reader;
    bool full;     /* no transaction is accepted */
    bool watching; /* until EXEC: no call may come by another connection */
    struct fake_key keys[FAKE_KEYS_MAX];
    size_t key_count;
    unsigned calls, commands;  /* so far */
    int error;                 /* of the next call, 0: none */
    void (*before_call)(void); /* may change everything */
} fake;

static inline struct fake_key *fake_find(const char *name)
{
    for (size_t i = 0; i < fake.key_count; i++) {
        if (strcmp(fake.keys[i].name, name) == 0)
            return &fake.keys[i];
    }
    return NULL;
}

static inline struct fake_field *fake_find_field(struct fake_key *key, const char *name,
                                                 size_t length)
{
    for (size_t i = 0; key && i < key->field_count; i++) {
        if (key->fields[i].name_length == length && memcmp(key->fields[i].name, name, length) == 0)
            return &key->fields[i];
    }
    return NULL;
}

/* Set a field whose name may have any bytes; and one whose name is a string. */
static inline void fake_set_bytes(const char *name, const char *field, size_t length,
                                  const char *value)
{
    struct fake_key *key = fake_find(name);

    if (!key) {
        assert_in_range(fake.key_count, 0, FAKE_KEYS_MAX - 1);
        key = &fake.keys[fake.key_count++];
        snprintf(key->name, sizeof(key->name), "%s", name);
        key->field_count = 0;
        key->pttl = -1;
    }
    struct fake_field *found = fake_find_field(key, field, length);
    if (!found) {
        assert_in_range(key->field_count, 0, FAKE_FIELDS_MAX - 1);
        found = &key->fields[key->field_count++];
        memcpy(found->name, field, length);
        found->name_length = length;
        found->value = NULL;
    }
    free(found->value);
    found->value = strdup(value);
}

static inline void fake_set(const char *key, const char *field, const char *value)
{
    fake_set_bytes(key, field, strlen(field), value);
}

static inline void fake_expire(const char *name, long long pttl)
{
    fake_find(name)->pttl = pttl;
}

static inline bool fake_delete(const char *name)
{
    struct fake_key *key = fake_find(name);

    if (!key)
        return false;
    for (size_t i = 0; i < key->field_count; i++)
        free(key->fields[i].value);
    if (key != &fake.keys[--fake.key_count])
        *key = fake.keys[fake.key_count];
    return true;
}

static inline void fake_clear(void)
{
    while (fake.key_count > 0)
        fake_delete(fake.keys[fake.key_count - 1].name);
}

/* ---- commands ---------------------------------------------------------------------------- */

struct fake_command {
    const char *words[FAKE_WORDS_MAX];
    size_t lengths[FAKE_WORDS_MAX], count;
};

/* Cut a command off; each word gets a terminator in place of its CR. */
static inline char *fake_cut(char *at, struct fake_command *ret)
{
    ret->count = strtoul(at + 1, &at, 10);
    assert_in_range(ret->count, 1, FAKE_WORDS_MAX);
    for (size_t i = 0; i < ret->count; i++) {
        ret->lengths[i] = strtoul(at + 3, &at, 10);
        ret->words[i] = at + 2;
        at += 2 + ret->lengths[i];
    }
    return at + 2;
}

static inline void fake_put_string(FILE *out, const char *bytes, size_t length)
{
    fprintf(out, "$%zu\r\n", length);
    fwrite(bytes, 1, length, out);
    fputs("\r\n", out);
}

static inline void fake_put_field(FILE *out, const struct fake_field *field)
{
    if (field)
        fake_put_string(out, field->value, strlen(field->value));
    else
        fputs("$-1\r\n", out);
}

/* Put all fields, or only their names. */
static inline void fake_put_hash(FILE *out, const struct fake_key *key, bool values)
{
    fprintf(out, "*%zu\r\n", key ? key->field_count * (values ? 2 : 1) : 0);
    for (size_t i = 0; key && i < key->field_count; i++) {
        fake_put_string(out, key->fields[i].name, key->fields[i].name_length);
        if (values)
            fake_put_field(out, &key->fields[i]);
    }
}

static inline bool fake_is(const struct fake_command *command, const char *name)
{
    return strncmp(command->words[0], name, command->lengths[0]) == 0 &&
           strlen(name) == command->lengths[0];
}

static inline void fake_answer(FILE *out, const struct fake_command *command)
{
    char name[400] = "";

    if (command->count > 1)
        snprintf(name, sizeof(name), "%.*s", (int)command->lengths[1], command->words[1]);
    struct fake_key *key = fake_find(name);
    if (fake_is(command, "HGETALL") || fake_is(command, "HKEYS"))
        fake_put_hash(out, key, fake_is(command, "HGETALL"));
    else if (fake_is(command, "HMGET")) {
        fprintf(out, "*%zu\r\n", command->count - 2);
        for (size_t i = 2; i < command->count; i++)
            fake_put_field(out, fake_find_field(key, command->words[i], command->lengths[i]));
    } else if (fake_is(command, "HGET"))
        fake_put_field(out, fake_find_field(key, command->words[2], command->lengths[2]));
    else if (fake_is(command, "HEXISTS"))
        fprintf(out, ":%d\r\n",
                fake_find_field(key, command->words[2], command->lengths[2]) != NULL);
    else if (fake_is(command, "PTTL"))
        fprintf(out, ":%lld\r\n", key ? key->pttl : -2);
    else if (fake_is(command, "EXISTS"))
        fprintf(out, ":%d\r\n", key != NULL);
    else if (fake_is(command, "UNLINK"))
        fprintf(out, ":%d\r\n", fake_delete(name));
    else if (fake_is(command, "HDEL"))
        fprintf(out, ":%d\r\n", fake_delete(name)); /* tests have one field there */
    else {
        assert_true(fake_is(command, "WATCH"));
        fputs("+OK\r\n", out);
        fake.watching = true;
    }
}

static inline void fake_put_results(FILE *out, FILE *in_exec, size_t count, char *const *results,
                                    const size_t *length)
{
    if (fake.full) {
        fputs("-EXECABORT Transaction discarded\r\n", out);
        return;
    }
    fflush(in_exec);
    fprintf(out, "*%zu\r\n", count);
    fwrite(*results, 1, *length, out);
}

/* Answer a whole request: in a transaction everything comes with EXEC. */
static inline void fake_answer_all(FILE *out, char *at, size_t commands)
{
    bool transaction = false;
    char *results = NULL;
    size_t length = 0, count = 0;
    FILE *in_exec = open_memstream(&results, &length);

    for (size_t i = 0; i < commands; i++) {
        struct fake_command command;
        at = fake_cut(at, &command);
        if (fake_is(&command, "MULTI")) {
            transaction = true;
            fputs("+OK\r\n", out);
        } else if (fake_is(&command, "EXEC")) {
            fake.watching = false;
            fake_put_results(out, in_exec, count, &results, &length);
        } else {
            fake_answer(transaction ? in_exec : out, &command);
            count++;
            if (transaction)
                fputs(fake.full ? "-OOM command not allowed\r\n" : "+QUEUED\r\n", out);
        }
    }
    fclose(in_exec);
    free(results);
}

int __wrap_engine_link_call(struct engine_link *link, const struct engine_request *request,
                            int64_t deadline_ns, redisReply ***ret);

int __wrap_engine_link_call(struct engine_link *link, const struct engine_request *request,
                            int64_t deadline_ns, redisReply ***ret)
{
    struct engine_parser parser;
    size_t length = 0;
    char *text = NULL, *bytes = calloc(1, request->length + 1);
    int error = fake.error;

    (void)link;
    (void)deadline_ns;
    fake.calls++;
    fake.commands += (unsigned)request->commands;
    if (fake.before_call)
        fake.before_call();
    fake.error = 0;
    assert_true(request->same_connection || !fake.watching);
    if (error) {
        free(bytes);
        return error;
    }
    memcpy(bytes, request->bytes, request->length);
    FILE *out = open_memstream(&text, &length);
    fake_answer_all(out, bytes, request->commands);
    fclose(out);
    free(bytes);
    redisReply **replies = calloc(request->commands, sizeof(redisReply *));
    assert_int_equal(engine_parser_open(&parser), 0);
    engine_parser_begin(&parser);
    assert_int_equal(engine_parser_feed(&parser, text, length), 0);
    for (size_t i = 0; i < request->commands; i++)
        assert_int_equal(engine_parser_next(&parser, &replies[i]), 0);
    assert_true(engine_parser_is_empty(&parser));
    engine_parser_close(&parser);
    free(text);
    *ret = replies;
    return 0;
}

void __wrap_engine_link_reset(struct engine_link *link);

void __wrap_engine_link_reset(struct engine_link *link)
{
    (void)link;
    fake.watching = false;
}

/* ---- a reader of it ---------------------------------------------------------------------- */

time_t __wrap_time(time_t *ret);

time_t __wrap_time(time_t *ret)
{
    if (ret)
        *ret = FAKE_NOW;
    return FAKE_NOW;
}

/* Set up and tear down a test. */
static inline int fake_open_reader(void **state)
{
    char url[] = "unix:/nowhere", problem[ENGINE_PROBLEM_SIZE];

    (void)state;
    fake.calls = 0;
    return engine_reader_open(&(struct engine_options){.url = url}, &fake.reader, problem);
}

static inline int fake_close_reader(void **state)
{
    (void)state;
    engine_reader_close(fake.reader);
    fake_clear();
    fake.error = 0;
    fake.before_call = NULL;
    fake.watching = fake.full = false;
    return 0;
}

#endif
