#include "key_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_text.h"
#include "permission.h"
#include "trust.h"

#define FILE_BYTES_MAX 65536 /* 255 keys take 10 KB */
#define BLANK          " \t"
#define HEX            "0123456789abcdefABCDEF"

static uint8_t hex_value(char digit)
{
    return (uint8_t)(isdigit((unsigned char)digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

int key_parse(const char *text, char separator, struct key *ret)
{
    size_t digits = strspn(text, "0123456789");
    const char *hex = text + digits;
    int id = digits <= 3 ? atoi(text) : 0;

    if (separator == ' ')
        hex += strspn(hex, BLANK);
    else if (*hex == separator)
        hex++;
    if (id < 1 || id > 255 || hex == text + digits || strspn(hex, HEX) != 2 * KEY_SIZE)
        return -EINVAL;
    const char *rest = hex + 2 * KEY_SIZE + strspn(hex + 2 * KEY_SIZE, BLANK);
    if (*rest && *rest != '#')
        return -EINVAL;
    ret->id = (uint8_t)id;
    for (unsigned i = 0; i < KEY_SIZE; i++)
        ret->bytes[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
    return 0;
}

/* Check owner and mode: whoever can read a key can change the count. */
static int check_file(int descriptor, const char **ret_problem)
{
    struct stat status;

    if (fstat(descriptor, &status) < 0) {
        *ret_problem = strerrordesc_np(errno);
        return -errno;
    }
    bool by_group = status.st_gid == trust_group() && !(status.st_mode & 07137);
    if (!S_ISREG(status.st_mode))
        *ret_problem = "not a regular file";
    else if (status.st_uid != geteuid() && status.st_uid != 0)
        *ret_problem = "belongs to another user: chown it to the one that reads it";
    else if (status.st_mode & 07177 && !by_group)
        *ret_problem = "its mode gives more than its owner needs: chmod 600, or chgrp " TRUST_USER
                       " and chmod 640";
    else
        return 0;
    return S_ISREG(status.st_mode) ? -EPERM : -EINVAL;
}

/* Read the whole file into `text` of FILE_BYTES_MAX bytes, and end it with a zero. */
static int read_text(int descriptor, char *text, const char **ret_problem)
{
    size_t length;
    int r = file_text_read(descriptor, text, FILE_BYTES_MAX, &length);

    if (r < 0) {
        *ret_problem = r == -EFBIG ? "too long for a key file" : strerrordesc_np(-r);
        return r;
    }
    if (strlen(text) == length)
        return 0;
    *ret_problem = "has a zero byte: not a key file";
    return -EBADMSG;
}

int key_file_open(const char *path, struct key_file *ret, const char **ret_problem)
{
    /* O_NONBLOCK: a FIFO must not hold us up. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    static char denied[PERMISSION_TEXT_SIZE];
    struct key_file file = {.text = calloc(1, FILE_BYTES_MAX)};
    int r = descriptor < 0 ? -errno : !file.text ? -ENOMEM : 0;

    if (r == -EACCES) {
        permission_explain(path, denied);
        *ret_problem = denied;
    } else if (r < 0) {
        *ret_problem = strerrordesc_np(-r);
    } else {
        r = check_file(descriptor, ret_problem);
    }
    if (r == 0)
        r = read_text(descriptor, file.text, ret_problem);
    if (descriptor >= 0)
        close(descriptor);
    if (r < 0) {
        key_file_close(&file);
        return r;
    }
    file.rest = file.text;
    *ret = file;
    return 0;
}

char *key_file_line(struct key_file *file)
{
    while (file->rest) {
        char *line = strsep(&file->rest, "\n");
        file->line++;
        line[strcspn(line, "\r")] = '\0';
        line += strspn(line, BLANK);
        if (*line && *line != '#')
            return line;
    }
    return NULL;
}

void key_file_close(struct key_file *file)
{
    if (file->text)
        explicit_bzero(file->text, FILE_BYTES_MAX);
    free(file->text);
    *file = (struct key_file){0};
}

/* Find the next line's key. `seen` has the ids of those before. Returns 1, 0 after the last, or
 * -EBADMSG. */
static int next_key(struct key_file *file, bool seen[KEY_ID_MAX + 1], struct key *ret,
                    const char **ret_problem)
{
    const char *line = key_file_line(file);

    if (!line)
        return 0;
    if (key_parse(line, ' ', ret) < 0)
        *ret_problem = "a line is ID HEX32: a number from 1 to 255, and 32 hex digits";
    else if (seen[ret->id])
        *ret_problem = "a second key with this id";
    else
        seen[ret->id] = true;
    return *ret_problem ? -EBADMSG : 1;
}

/* Add all keys. `*ret_line`: the number of the wrong one; 0: it is the whole file. */
static int add_keys(const char *path, key_add add, void *context, unsigned *ret_line,
                    const char **ret_problem)
{
    bool seen[KEY_ID_MAX + 1] = {false};
    struct key_file file;
    struct key key;
    unsigned count = 0;
    int r = key_file_open(path, &file, ret_problem);

    if (r < 0)
        return r;
    for (; (r = next_key(&file, seen, &key, ret_problem)) == 1; count++)
        add(context, &key);
    explicit_bzero(&key, sizeof(key));
    *ret_line = r < 0 ? file.line : 0;
    key_file_close(&file);
    if (r == 0 && count == 0) {
        *ret_problem = "has no key";
        r = -EBADMSG;
    }
    return r;
}

int key_file_load(const char *path, key_add add, void *context,
                  char ret_problem[KEY_FILE_PROBLEM_SIZE])
{
    const char *problem = NULL;
    unsigned line = 0;
    int r = add_keys(path, add, context, &line, &problem);

    if (r < 0 && line)
        snprintf(ret_problem, KEY_FILE_PROBLEM_SIZE, "%.400s:%u: %s", path, line, problem);
    else if (r < 0)
        snprintf(ret_problem, KEY_FILE_PROBLEM_SIZE, "%.400s: %s", path, problem);
    return r;
}

static void keep_first(void *context, const struct key *key)
{
    struct key *first = context;

    if (first->id == 0)
        *first = *key;
}

int key_file_load_first(const char *path, struct key *ret, char ret_problem[KEY_FILE_PROBLEM_SIZE])
{
    struct key first = {0};
    int r = key_file_load(path, keep_first, &first, ret_problem);

    if (r == 0)
        *ret = first;
    explicit_bzero(&first, sizeof(first));
    return r;
}
