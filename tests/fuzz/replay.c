/* replay.c - compare every datagram of a corpus: one datagram a file, in the directories given. */
#include "compare.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Return 0, 1 if the decoders and the judge differ, or a negative errno. */
static int replay_file(const char *path)
{
    static uint8_t datagram[65536];
    FILE *file = fopen(path, "rb");
    if (!file)
        return -errno;
    size_t length = fread(datagram, 1, sizeof(datagram), file);
    int error = ferror(file) ? -EIO : 0;
    fclose(file);
    if (error)
        return error;
    return compare_datagram(datagram, (uint32_t)length) ? 0 : 1;
}

/* Return how many files there were, or -1 after printing what failed. */
static int replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    int files = 0;
    struct dirent *entry;
    while (files >= 0 && (entry = readdir(directory))) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        struct stat status;
        if (stat(file, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        int result = replay_file(file);
        if (result != 0)
            fprintf(stderr, "replay: %s: %s\n", file, result < 0 ? strerror(-result) : "differs");
        files = result == 0 ? files + 1 : -1;
    }
    closedir(directory);
    return files;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int files = replay_directory(argv[i]);
        if (files < 0)
            return 1;
        total += files;
    }
    printf("%d datagrams\n", total);
    return total > 0 ? 0 : 1;
}
