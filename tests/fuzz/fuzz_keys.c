/* fuzz_keys.c - files of keys: of heartbeats, of the API, of tokens and passwords, and keys on a
 * command line. What is loaded, written to a file, is loaded again as the same. */
#include <common/key_file.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secrets.h"

#include "fuzz.h"

#define KEY_LINE 64

struct loaded {
    unsigned count;
    struct key keys[KEY_ID_MAX + 1];
};

static void add(void *context, const struct key *key)
{
    struct loaded *loaded = context;

    fuzz_check(loaded->count < KEY_ID_MAX && key->id != 0);
    for (unsigned i = 0; i < loaded->count; i++)
        fuzz_check(loaded->keys[i].id != key->id);
    loaded->keys[loaded->count++] = *key;
}

/* Make a private file of the bytes. Returns its descriptor. */
static int make_file(const void *bytes, size_t size, char ret_path[32])
{
    int descriptor = memfd_create("keys", MFD_CLOEXEC);

    fuzz_check(descriptor >= 0 && fchmod(descriptor, 0600) == 0);
    if (size)
        fuzz_check(write(descriptor, bytes, size) == (ssize_t)size);
    snprintf(ret_path, 32, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

/* Format a key as a line of a file. */
static void format_key(const struct key *key, char separator, char ret[KEY_LINE])
{
    int used = snprintf(ret, KEY_LINE, "%u%c", key->id, separator);

    for (unsigned i = 0; i < KEY_SIZE; i++)
        used += snprintf(ret + used, KEY_LINE - (size_t)used, "%02x", key->bytes[i]);
}

static void check_key(const char *text, char separator)
{
    char line[KEY_LINE];
    struct key key = {0}, again = {0};

    if (key_parse(text, separator, &key) < 0)
        return;
    format_key(&key, separator, line);
    fuzz_check(key_parse(line, separator, &again) == 0 && memcmp(&key, &again, sizeof(key)) == 0);
}

static void check_problem(int r, const char *problem)
{
    fuzz_check(r == -EBADMSG || r == -EFBIG);
    fuzz_check(*problem && !strchr(problem, '\n') && strlen(problem) < KEY_FILE_PROBLEM_SIZE);
}

static void check_key_file(const char *path)
{
    static struct loaded loaded, again;
    static char text[KEY_LINE * (KEY_ID_MAX + 1)];
    char problem[KEY_FILE_PROBLEM_SIZE], other[32];
    struct key first;
    size_t used = 0;

    loaded.count = again.count = 0;
    int r = key_file_load(path, add, &loaded, problem);
    fuzz_check(key_file_load_first(path, &first, problem) == r);
    if (r < 0) {
        check_problem(r, problem);
        return;
    }
    fuzz_check(loaded.count > 0 && memcmp(&first, &loaded.keys[0], sizeof(first)) == 0);
    for (unsigned i = 0; i < loaded.count; i++) {
        format_key(&loaded.keys[i], ' ', text + used);
        used += strlen(text + used);
        text[used++] = '\n';
    }
    int descriptor = make_file(text, used, other);
    fuzz_check(key_file_load(other, add, &again, problem) == 0);
    close(descriptor);
    fuzz_check(again.count == loaded.count &&
               memcmp(loaded.keys, again.keys, loaded.count * sizeof(loaded.keys[0])) == 0);
}

static void check_secrets(const char *path, size_t least)
{
    struct secrets secrets = {0};
    const char *problem = NULL;
    int r = secrets_load(path, least, &secrets, &problem);

    if (r < 0) {
        fuzz_check(problem && secrets.count == 0);
        return;
    }
    fuzz_check(secrets.count > 0 && secrets.count <= SECRETS_MAX);
    for (size_t i = 0; i < secrets.count; i++) {
        const char *secret = secrets.items[i];
        char *longer;
        fuzz_check(strlen(secret) >= least && strlen(secret) <= SECRETS_MAX_BYTES);
        fuzz_check(*secret != '#' && !strpbrk(secret, "\r\n") && secrets_have(&secrets, secret));
        fuzz_check(asprintf(&longer, "%s\n", secret) > 0);
        fuzz_check(!secrets_have(&secrets, longer));
        free(longer);
    }
    fuzz_check(!secrets_have(&secrets, ""));
    secrets_free(&secrets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32], *text = fuzz_text((struct fuzz_input){data, size});
    int descriptor = make_file(data, size, path);

    check_key(text, ' ');
    check_key(text, ':');
    check_key_file(path);
    check_secrets(path, 16);
    check_secrets(path, 32);
    close(descriptor);
    free(text);
    return 0;
}
