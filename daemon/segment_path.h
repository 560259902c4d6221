/* segment_path.h - make sure that the segment's directory, and the name in it, belong to us.
 *
 * Anybody may create files in /dev/shm, so a stranger may own either: anybody but root, our own
 * user and the user `presence`. As root, we move a stranger's file aside to NAME.untrusted-PID.
 * Nothing is deleted, and no link of a stranger's is followed; as root, none but root's. What a
 * link leads to keeps its mode.
 */
#ifndef PRESENCED_SEGMENT_PATH_H
#define PRESENCED_SEGMENT_PATH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Make the segment's directory if it is missing, move a segment into it that an earlier version
 * left in its place, and check that both names belong to us. Logs what is wrong and what was moved.
 * Before other threads start. Errors: -EPERM a stranger owns one, or others may write it; -ENOTDIR
 * something else is in the directory's place; -EBUSY another presenced holds a segment there; those
 * of mkdir(2) and rename(2). */
int segment_path_prepare(const char *path);

/* The same, unless a collector holds the segment: then nothing is touched. Returns a descriptor of
 * the directory. Errors: those of segment_path_prepare; -EBUSY; -EINVAL the path has no name in a
 * directory, and nothing is logged. */
int segment_path_take(const char *path);

/* Clear the path of a segment that has lost its name: make the directory again, and move aside what
 * has the name now, unless another presenced holds it. The main thread, confined or not. Errors:
 * those of segment_path_prepare. */
int segment_path_clear(const char *path);

/* True if the user is root, our own or `presence`. After segment_path_prepare. */
bool segment_path_trusts(uid_t user);

/* Let the group `presence` read a file or directory of ours, if we run with that group and others
 * have no access: an earlier daemon may have run with another. Writes a line to the log. */
void segment_path_share(int descriptor, const struct stat *status, const char *path);

/* Log a line unless it is the same as the last one, since attempts are repeated every second. After
 * a success, segment_path_reset_log lets the next line through. */
void segment_path_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void segment_path_reset_log(void);

#endif
