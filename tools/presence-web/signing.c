#include "signing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "secrets.h"

#define BLANK " \t"

static bool is_empty(const char *line)
{
    return *line == '\0' || *line == '#';
}

static bool parse_line(const char *line, struct signing_key *ret)
{
    size_t id_length = strcspn(line, BLANK);
    const char *digits = line + id_length + strspn(line + id_length, BLANK);
    size_t length = strcspn(digits, BLANK "#");
    const char *rest = digits + length + strspn(digits + length, BLANK);

    ret->id = id_length <= 3 ? key_text_id(line, (uint32_t)id_length) : 0;
    return ret->id != 0 && length == KEY_TEXT_DIGITS && is_empty(rest) &&
           key_text_bytes(digits, (uint32_t)length, ret->bytes);
}

/* All lines have to be right, the first one is taken. */
static int take_lines(const struct secrets *secrets, struct signing_key *ret)
{
    *ret = (struct signing_key){0};
    for (size_t i = 0; i < secrets->count; i++) {
        const char *line = secrets->items[i] + strspn(secrets->items[i], BLANK);
        struct signing_key key;

        if (is_empty(line))
            continue;
        if (!parse_line(line, &key))
            return -EBADMSG;
        if (ret->id == 0)
            *ret = key;
        explicit_bzero(&key, sizeof(key));
    }
    return ret->id == 0 ? -ENOKEY : 0;
}

int signing_read(const char *path, struct signing_key *ret)
{
    struct secrets secrets;
    struct signing_key key;
    int r = secrets_read(path, 1, &secrets);

    if (r < 0)
        return r;
    r = take_lines(&secrets, &key);
    if (r == 0)
        *ret = key;
    explicit_bzero(&key, sizeof(key));
    secrets_free(&secrets);
    return r;
}
