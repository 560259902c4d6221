/* confine.h - give up access to files by Landlock. */
#ifndef PRESENCE_CONFINE_H
#define PRESENCE_CONFINE_H

#include <stdint.h>

enum {
    CONFINE_READ = 1,
    CONFINE_WRITE = 2,
    CONFINE_EXECUTE = 4,
};

/* Restrict this thread, and those it starts, for good: of the kinds of access in `taken` only those
 * in `left` remain, and only beneath the `count` directories. Each of these is a descriptor, which
 * is closed, or the negative errno of opening it, which is returned. A kernel without Landlock
 * restricts nothing. Errors: as in landlock(7). */
int confine_files(unsigned taken, unsigned left, const int *directories, unsigned count);

/* Open, for confine_files, the directory above the one that holds `file`, so that this one can be
 * made again; or this one, if it is the root of a mount. Returns a descriptor or a negative errno.
 */
int confine_open_above(const char *file);

/* Open, for confine_files, the mount point of the file system that holds `path`, or will: the
 * nearest directory that exists counts. Directories below it, as that of a service in /run, may be
 * deleted and made again. Returns a descriptor or a negative errno. */
int confine_open_mount(const char *path);

/* Open, for confine_files, the directory that holds a file which may be replaced, and the one where
 * a link of that name leads. Returns how many descriptors or negative errnos are in `ret`. */
#define CONFINE_BESIDE_MAX 2
unsigned confine_open_beside(const char *file, int ret[CONFINE_BESIDE_MAX]);

/* Open, for confine_files, where libc reads to look up a host: hosts, nsswitch.conf and their like,
 * and where resolv.conf may be a link to. Returns how many descriptors are in `ret`. */
#define CONFINE_NAMES_MAX 2
unsigned confine_open_names(int ret[CONFINE_NAMES_MAX]);

#endif
