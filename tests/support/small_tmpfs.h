/* small_tmpfs.h - a file system that is soon full, at a scratch directory, seen by one child. */
#ifndef PRESENCE_TESTS_SMALL_TMPFS_H
#define PRESENCE_TESTS_SMALL_TMPFS_H

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "scratch.h"

#define SMALL_TMPFS_SKIPPED 77

/* Run a check in a child. It returns 0, or something else once it has said what is wrong. `options`
 * are mount(8)'s, such as "size=2m". Skips the test where that is not permitted. */
static inline void in_small_tmpfs(const struct scratch *scratch, const char *options,
                                  int (*check)(const struct scratch *scratch))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", scratch->directory, "tmpfs", 0, options) < 0)
            _exit(SMALL_TMPFS_SKIPPED);
        int failed = check(scratch);
        umount2(scratch->directory, MNT_DETACH);
        _exit(failed ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SMALL_TMPFS_SKIPPED) {
        print_message("skipped: only root can mount a small tmpfs\n");
        skip();
    }
    if (status != 0)
        fail_msg("the child ended with status %#x", status);
}

static inline void small_tmpfs_filler(const struct scratch *scratch, char path[128])
{
    snprintf(path, 128, "%s/filler", scratch->directory);
}

/* Fill what is left of it. */
static inline void small_tmpfs_fill(const struct scratch *scratch)
{
    static const char zeros[4096];
    char path[128];

    small_tmpfs_filler(scratch, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    close(fd);
}

static inline void small_tmpfs_clear(const struct scratch *scratch)
{
    char path[128];

    small_tmpfs_filler(scratch, path);
    unlink(path);
}

#endif
