/* test_sender_names.c - the names of a sender's open datagram against an own model: which are
 * refused, in which form they are kept, and which number they have. */
#include "../support/unit.h"

#include <errno.h>
#include <sender_names.h>

#define SIZE_MAX_BYTES 2000
#define TEXT_MAX       300

/* The names as they should be. */
static struct {
    uint32_t count, size;
    uint32_t lengths[WIRE_V2_NAMES_MAX];
    uint8_t names[WIRE_V2_NAMES_MAX][WIRE_V2_NAME_MAX];
} model;

static struct sender_names names;
static uint8_t bytes[SIZE_MAX_BYTES + SENDER_NAMES_SPARE];

/* Write a name of pieces that matter to its form. Mostly short, often twice the same. */
static void draw_text(uint64_t *random, char text[TEXT_MAX])
{
    static const char *const pieces[] = {"/", "/", "a",  "b",    "A",    "Z",        "_",   "[",
                                         "@", "`", "\t", "\x7f", "\xff", "\xc3\xa9", "0.9", " "};
    uint64_t draw = random_next(random);
    size_t length = 0, most = draw % 16 == 0 ? TEXT_MAX - 8 : draw % 16 < 4 ? 30 : 4;
    size_t wanted = draw / 16 % most;
    /* Most names are valid and in canonical form. */
    uint64_t choice = draw / 65536 % 8 ? 4 : LENGTH(pieces);

    while (length < wanted) {
        const char *piece = pieces[random_next(random) % choice];
        memcpy(text + length, piece, strlen(piece));
        length += strlen(piece);
    }
    text[length] = '\0';
}

/* Bring a name into canonical form, one byte after the other. Return its length, or an error. */
static int canonical_of(enum sender_name which, const char *text, uint8_t ret[TEXT_MAX])
{
    static const uint32_t longest[] = {253, 255, 253, 63};
    struct canonical_room room = {.bytes = ret, .capacity = TEXT_MAX};
    uint32_t length = (uint32_t)strlen(text);

    memcpy(ret, text, length);
    if (which == SENDER_ROOM) {
        for (uint32_t i = 0; i < length; i++)
            canonical_room_put(&room, (uint8_t)text[i]);
        length = canonical_room_length(&room);
    }
    if (length > longest[which])
        return -ENAMETOOLONG;
    for (uint32_t i = 0, size; i < length; i += size) {
        size = utf8_character_size(ret + i, length - i);
        if (size == 0)
            return -EILSEQ;
    }
    for (uint32_t i = 0; which % 2 == 0 && i < length; i++)
        ret[i] = (uint8_t)(ret[i] >= 'A' && ret[i] <= 'Z' ? ret[i] + 32 : ret[i]);
    return (int)length;
}

static int model_number(enum sender_name which, const char *text)
{
    uint8_t name[TEXT_MAX];
    int length = canonical_of(which, text, name);

    if (length <= 0)
        return length;
    for (uint32_t i = 0; i < model.count; i++) {
        if (model.lengths[i] == (uint32_t)length &&
            memcmp(model.names[i], name, (size_t)length) == 0)
            return (int)i + 1;
    }
    if (model.count == WIRE_V2_NAMES_MAX || model.size + 1 + (uint32_t)length > SIZE_MAX_BYTES)
        return -ENOSPC;
    memcpy(model.names[model.count], name, (size_t)length);
    model.lengths[model.count] = (uint32_t)length;
    model.size += 1 + (uint32_t)length;
    return (int)++model.count;
}

static int model_place(const char *const texts[SENDER_NAMES], uint8_t ret[SENDER_NAMES])
{
    for (int i = 0; i < SENDER_NAMES; i++) {
        int number = model_number((enum sender_name)i, texts[i]);
        if (number < 0)
            return number;
        ret[i] = (uint8_t)number;
    }
    return 0;
}

static void check_bytes(void)
{
    const uint8_t *next = bytes;

    assert_int_equal(names.count, model.count);
    assert_int_equal(names.size, model.size);
    for (uint32_t i = 0; i < model.count; i++) {
        assert_int_equal(next[0], model.lengths[i]);
        assert_memory_equal(next + 1, model.names[i], model.lengths[i]);
        next += 1 + next[0];
    }
}

/* Number a place in both, and undo it if it was refused, as a datagram does. Return the error. */
static int check_place(const char *const texts[SENDER_NAMES], struct wire_v2_record *last)
{
    const struct presence_place place = {
        .site = texts[0], .room = texts[1], .source = texts[2], .event = texts[3]};
    const uint32_t count = model.count, size = model.size;
    struct wire_v2_record record = *last;
    uint8_t numbers[SENDER_NAMES];
    int expected = model_place(texts, numbers);
    int error = sender_names_number(&names, &place, last, SIZE_MAX_BYTES, &record);

    assert_int_equal(error, expected);
    check_bytes();
    if (error < 0) {
        sender_names_truncate(&names, count);
        model.count = count;
        model.size = size;
        check_bytes();
        return error;
    }
    assert_int_equal(record.site, numbers[SENDER_SITE]);
    assert_int_equal(record.room, numbers[SENDER_ROOM]);
    assert_int_equal(record.source, numbers[SENDER_SOURCE]);
    assert_int_equal(record.event, numbers[SENDER_EVENT]);
    *last = record;
    return 0;
}

static void names_are_those_of_a_model(void **state)
{
    uint64_t random = random_seed("names_are_those_of_a_model");
    unsigned seen[256] = {0};

    (void)state;
    for (int datagram = 0; datagram < 2000; datagram++) {
        struct wire_v2_record last = {0};
        sender_names_init(&names, bytes);
        memset(&model, 0, sizeof(model));
        for (int step = 0; step < 60; step++) {
            char texts[SENDER_NAMES][TEXT_MAX];
            for (int i = 0; i < SENDER_NAMES; i++)
                draw_text(&random, texts[i]);
            seen[-check_place((const char *[]){texts[0], texts[1], texts[2], texts[3]}, &last)]++;
        }
        sender_names_clear(&names);
        assert_int_equal(names.count, 0);
    }
    assert_in_range(seen[0], 1000, 119000);
    assert_true(seen[ENAMETOOLONG] > 100 && seen[EILSEQ] > 100 && seen[ENOSPC] > 100);
}

/* A datagram has at most 255 names, however many slots they share. */
static void names_are_limited(void **state)
{
    struct wire_v2_record last = {0};
    char text[8];

    (void)state;
    for (int round = 0; round < 50; round++) {
        sender_names_init(&names, bytes);
        memset(&model, 0, sizeof(model));
        for (int i = 0; i <= WIRE_V2_NAMES_MAX; i++) {
            snprintf(text, sizeof(text), "%d", round * 1000 + i);
            int error = check_place((const char *[]){text, "", "", ""}, &last);
            assert_int_equal(error, i < WIRE_V2_NAMES_MAX ? 0 : -ENOSPC);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_a_model),
        cmocka_unit_test(names_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
