#include "key_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536 /* 255 keys take 10 KB */
#define GROUP          "presence"
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

/* True if members of the group may read keys. */
static bool is_group_trusted(const struct stat *status)
{
    static gid_t presence;
    static bool is_known;
    const struct group *group = is_known ? NULL : getgrnam(GROUP);

    if (!is_known)
        presence = group ? group->gr_gid : (gid_t)-1;
    is_known = true;
    return status->st_gid == presence ||
           (status->st_uid != geteuid() && group_member(status->st_gid));
}

/* Check owner and mode: whoever can read a key can change the count. */
static int check_file(int descriptor, const char **ret_problem)
{
    struct stat status;

    if (fstat(descriptor, &status) < 0) {
        *ret_problem = strerrordesc_np(errno);
        return -errno;
    }
    bool by_group = is_group_trusted(&status) && !(status.st_mode & 07137);
    if (!S_ISREG(status.st_mode))
        *ret_problem = "not a regular file";
    else if (status.st_uid != geteuid() && status.st_uid != 0)
        *ret_problem = "belongs to another user: chown it to the one that reads it";
    else if (status.st_mode & 07177 && !by_group)
        *ret_problem = "its mode gives more than its owner needs: chmod 600";
    else
        return 0;
    return S_ISREG(status.st_mode) ? -EPERM : -EINVAL;
}

/* Read the whole file into `text` of FILE_BYTES_MAX bytes, and end it with a zero. */
static int read_text(int descriptor, char *text, const char **ret_problem)
{
    size_t length = 0;
    ssize_t r;

    do {
        r = read(descriptor, text + length, FILE_BYTES_MAX - length);
        length += r > 0 ? (size_t)r : 0;
    } while ((r > 0 && length < FILE_BYTES_MAX) || (r < 0 && errno == EINTR));
    if (r < 0) {
        *ret_problem = strerrordesc_np(errno);
        return -errno;
    }
    if (length == FILE_BYTES_MAX) {
        *ret_problem = "too long for a key file";
        return -EFBIG;
    }
    text[length] = '\0';
    if (strlen(text) == length)
        return 0;
    *ret_problem = "has a zero byte: not a key file";
    return -EBADMSG;
}

int key_file_open(const char *path, struct key_file *ret, const char **ret_problem)
{
    /* O_NONBLOCK: a FIFO must not hold us up. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct key_file file = {.text = calloc(1, FILE_BYTES_MAX)};
    int r = descriptor < 0 ? -errno : !file.text ? -ENOMEM : 0;

    if (r < 0)
        *ret_problem = strerrordesc_np(-r);
    else
        r = check_file(descriptor, ret_problem);
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
