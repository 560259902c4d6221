/* replay.c - pass a target each file of the directories given, in the order of their names. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX 65536

/* Of the sanitizers, where the program is built with them. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static char current[4096]; /* path of the input */

static void name_input(void)
{
    ssize_t ignored = write(STDERR_FILENO, "replay: at ", 11);

    ignored = write(STDERR_FILENO, current, strlen(current));
    ignored = write(STDERR_FILENO, "\n", 1);
    (void)ignored;
}

static void on_signal(int number)
{
    name_input();
    signal(number, SIG_DFL);
    raise(number);
}

/* Return 0 or a negative errno. */
static int replay_file(void)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(current, "rb");

    if (!file)
        return -errno;
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    int r = ferror(file) ? -EIO : 0;
    fclose(file);
    if (r < 0)
        return r;
    uint8_t *copy = malloc(size); /* of exactly that size: a sanitizer sees who reads further */
    if (size)
        memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

/* Return how many files there were, or -1 after printing what failed. */
static int replay_directory(const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort), files = 0;

    if (count < 0)
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    for (int i = 0; i < count; free(names[i]), i++) {
        struct stat status;
        snprintf(current, sizeof(current), "%s/%s", path, names[i]->d_name);
        if (files < 0 || stat(current, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        int r = replay_file();
        if (r < 0)
            fprintf(stderr, "replay: %s: %s\n", current, strerror(-r));
        files = r < 0 ? -1 : files + 1;
    }
    if (count >= 0)
        free(names);
    return count < 0 ? -1 : files;
}

int main(int argc, char **argv)
{
    int total = 0;

    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(name_input);
    else
        signal(SIGSEGV, on_signal);
    for (int i = 1; i < argc; i++) {
        int files = replay_directory(argv[i]);
        if (files < 0)
            return 1;
        total += files;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
