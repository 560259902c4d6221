/* archive_open.c - open a database, also a copy that can only be read, and notice when a file that
 * is written is not at its path any more. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive_handle.h"
#include "common/permission.h"

#define BUSY_TIMEOUT_MS 5000

/* ---- the files ---------------------------------------------------------------------------- */

/* Get a file's status, all zero if it does not exist. `suffix`: "", "-wal" or "-shm". */
static struct stat status_of(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    struct stat status;

    if (snprintf(name, sizeof(name), "%s%s", path, suffix) >= (int)sizeof(name) ||
        stat(name, &status) < 0)
        return (struct stat){0};
    return status;
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

int archive_remember_files(struct archive *archive)
{
    char *real = realpath(archive->path, NULL);

    if (!real) /* it is gone already, which archive_check will find */
        real = strdup(archive->path);
    if (!real)
        return archive_fail(archive, -ENOMEM, strerror(ENOMEM));
    free(archive->real);
    archive->real = real;
    archive->files = (struct archive_files){
        .main = status_of(real, ""),
        .wal = status_of(real, "-wal"),
        .shm = status_of(real, "-shm"),
    };
    return 0;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* The ways to open a database. */
enum access {
    ACCESS_SHARED,     /* others may read and write it meanwhile */
    ACCESS_UNLOCKED,   /* it has a -wal file, but no -shm file can be made */
    ACCESS_UNCHANGING, /* nobody writes it, and the file is all there is */
};

/* Write a path as a URI that tells SQLite that the file never changes. `ret` has room for three
 * times the path and 32 bytes. */
static void unchanging_uri(const char *path, char *ret)
{
    ret += sprintf(ret, "file:%s", *path == '/' ? "//" : "");
    for (; *path; path++) {
        if (strchr("%?#", *path))
            ret += sprintf(ret, "%%%02X", (unsigned char)*path);
        else
            *ret++ = *path;
    }
    strcpy(ret, "?immutable=1");
}

static int open_file(struct archive *archive, int flags, enum access access)
{
    const char *system = access == ACCESS_UNLOCKED ? "unix-none" : NULL;
    char *uri = access == ACCESS_UNCHANGING ? malloc(3 * strlen(archive->path) + 32) : NULL;

    if (access == ACCESS_UNCHANGING && !uri)
        return archive_fail(archive, -ENOMEM, strerror(ENOMEM));
    if (uri)
        unchanging_uri(archive->path, uri);
    flags |= SQLITE_OPEN_NOMUTEX | (uri ? SQLITE_OPEN_URI : 0);
    int result = sqlite3_open_v2(uri ? uri : archive->path, &archive->database, flags, system);
    free(uri);
    int r = archive_result(archive, result);
    if (r < 0)
        return r;
    sqlite3_extended_result_codes(archive->database, 1);
    /* The file may be a stranger's. */
    sqlite3_db_config(archive->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_timeout(archive->database, BUSY_TIMEOUT_MS);
    if (access != ACCESS_UNLOCKED)
        return 0;
    /* With an exclusive lock SQLite keeps the index of the -wal file in memory. */
    sqlite3_db_config(archive->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return archive_run(archive, "PRAGMA locking_mode = EXCLUSIVE");
}

static void close_file(struct archive *archive)
{
    for (unsigned i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(archive->statements[i]);
        archive->statements[i] = NULL;
    }
    sqlite3_close(archive->database);
    archive->database = NULL;
}

/* Check that a database is ours and of a known version. Returns 1 if it is empty. */
static int check_schema(struct archive *archive)
{
    int64_t application, version, tables;
    int r = archive_select_sql(archive, "PRAGMA application_id", &application);

    if (r == 0)
        r = archive_select_sql(archive, "PRAGMA user_version", &version);
    if (r == 0)
        r = archive_select_sql(archive, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (application == 0 && version == 0 && tables == 0)
        return 1;
    if (application != ARCHIVE_APPLICATION_ID || version < 1)
        return archive_fail(
            archive, -EBADMSG,
            archive->is_writer
                ? "it is no database of presence-recorder, but of another program; name "
                  "another with --database"
                : "it is not a database of presence-recorder, but of another program; "
                  "check --database");
    if (version > ARCHIVE_VERSION)
        return archive_fail(archive, -EPROTO,
                            "written by a newer presence-recorder; update this program");
    if (archive->is_writer && version != (int64_t)archive->subject)
        return archive_fail(archive, -EMEDIUMTYPE,
                            version == ARCHIVE_OF_GROUPS
                                ? "it has the totals of groups (--engine), not one collector's "
                                  "counts; name another with --database"
                                : "it has one collector's counts, not the totals of groups; name "
                                  "another with --database");
    archive->subject = (enum archive_subject)version;
    return 0;
}

enum archive_subject archive_subject(const struct archive *archive)
{
    return archive->subject;
}

static int prepare(struct archive *archive, unsigned count)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < count; i++)
        r = archive_result(
            archive, sqlite3_prepare_v3(archive->database, archive_sql(archive->subject, i), -1,
                                        SQLITE_PREPARE_PERSISTENT, &archive->statements[i], NULL));
    return r;
}

static int open_to_read_as(struct archive *archive, enum access access)
{
    close_file(archive);
    int r = open_file(archive, SQLITE_OPEN_READONLY, access);
    if (r == 0)
        r = check_schema(archive);
    if (r == 1)
        r = archive_fail(archive, -EBADMSG,
                         "it is empty, and not a database of presence-recorder yet; start "
                         "presence-recorder, or check --database");
    return r < 0 ? r : prepare(archive, READING_STATEMENTS);
}

/* True if SQLite could not open or make one of the files. */
static bool is_out_of_reach(const struct archive *archive)
{
    int result = sqlite3_errcode(archive->database) & 0xff;

    return result == SQLITE_CANTOPEN || result == SQLITE_READONLY || result == SQLITE_PERM ||
           result == SQLITE_IOERR;
}

/* A process that writes the database has a -shm file beside it, which the recorder leaves there. To
 * make one, SQLite needs a directory that it may write. If there is none and the -wal file is
 * empty, nobody writes, and the database file is complete. */
static int open_to_read(struct archive *archive)
{
    int r = archive_remember_files(archive);

    if (r < 0)
        return r;
    off_t wal = archive->files.wal.st_size;
    off_t journal = status_of(archive->real, "-journal").st_size;
    if (!archive->files.shm.st_ino && wal == 0 && journal == 0)
        return open_to_read_as(archive, ACCESS_UNCHANGING);
    r = open_to_read_as(archive, ACCESS_SHARED);
    if (r == 0 || journal || !is_out_of_reach(archive))
        return r;
    return open_to_read_as(archive, wal ? ACCESS_UNLOCKED : ACCESS_UNCHANGING);
}

/* Switch to WAL, and keep its files in place: readers may not be allowed to create them. */
static int write_ahead(struct archive *archive)
{
    int keep = 1;

    sqlite3_file_control(archive->database, NULL, SQLITE_FCNTL_PERSIST_WAL, &keep);
    return archive_run(archive, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                "PRAGMA foreign_keys = ON;"
                                "PRAGMA temp_store = MEMORY;" /* files may be out of reach */
                                "PRAGMA journal_size_limit = 4194304");
}

/* Create the tables. If two processes do so at once, one waits and finds them created. */
static int create(struct archive *archive)
{
    int r = archive_run(archive, "BEGIN IMMEDIATE");

    if (r == 0)
        r = check_schema(archive);
    if (r == 1)
        r = archive_run(archive, archive_schema(archive->subject));
    if (r == 0)
        return archive_commit(archive);
    archive_roll_back(archive);
    return r;
}

static int open_to_write(struct archive *archive)
{
    int r = open_file(archive, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, ACCESS_SHARED);

    if (r == 0)
        r = check_schema(archive); /* before changing anything */
    if (r >= 0) {
        bool is_empty = r == 1;
        r = write_ahead(archive);
        if (r == 0 && is_empty)
            r = create(archive);
    }
    if (r == 0)
        r = prepare(archive, STATEMENTS);
    if (r == 0)
        r = archive_select_sql(archive, "PRAGMA data_version", &archive->data_version);
    return r < 0 ? r : archive_remember_files(archive);
}

/* Check the file first: SQLite only says that it was unable to open it, or waits for a FIFO. */
static int check_file(struct archive *archive, int rights)
{
    char denied[PERMISSION_TEXT_SIZE];
    struct stat status;
    int error = faccessat(AT_FDCWD, archive->path, rights, AT_EACCESS) < 0 ? -errno : 0;

    if (error == 0 && stat(archive->path, &status) == 0 && !S_ISREG(status.st_mode))
        return archive_fail(archive, -EBADMSG,
                            "not a regular file, so no database of presence-recorder; name another "
                            "with --database");
    if (error == 0)
        return 0;
    if (error == -ENOENT && archive->is_writer)
        return 0;
    if (error == -ENOENT)
        return archive_fail(archive, error,
                            "no such file; start presence-recorder, or give --database");
    if (error == -EACCES && archive->is_writer)
        return archive_fail(archive, error,
                            "permission denied; run as its owner, or chown it to this user");
    if (error == -EACCES) {
        permission_explain(archive->path, denied);
        return archive_fail(archive, error, denied);
    }
    if (error == -EROFS)
        return archive_fail(archive, error, "read-only file system; name another with --database");
    return archive_fail(archive, error, strerror(-error));
}

/* Open a database: with a subject to write it. */
static int open_archive(const char *path, enum archive_subject subject, struct archive **ret,
                        char ret_problem[ARCHIVE_PROBLEM_SIZE])
{
    bool is_writer = subject != 0;
    struct archive *archive = calloc(1, sizeof(*archive));
    int r = -ENOMEM;

    /* Names that begin with a colon have a meaning for SQLite. */
    if (archive && asprintf(&archive->path, "%s%s", *path == '/' ? "" : "./", path) >= 0) {
        archive->is_writer = is_writer;
        archive->subject = subject;
        r = check_file(archive, is_writer ? R_OK | W_OK : R_OK);
        if (r == 0)
            r = is_writer ? open_to_write(archive) : open_to_read(archive);
    }
    if (r == 0) {
        *ret = archive;
        return 0;
    }
    snprintf(ret_problem, ARCHIVE_PROBLEM_SIZE, "%s",
             archive && *archive->problem ? archive->problem : strerror(-r));
    archive_close(archive);
    return r;
}

int archive_open(const char *path, struct archive **ret, char ret_problem[ARCHIVE_PROBLEM_SIZE])
{
    return open_archive(path, 0, ret, ret_problem);
}

int archive_open_writable(const char *path, enum archive_subject subject, struct archive **ret,
                          char ret_problem[ARCHIVE_PROBLEM_SIZE])
{
    return open_archive(path, subject, ret, ret_problem);
}

void archive_close(struct archive *archive)
{
    if (!archive)
        return;
    close_file(archive);
    free(archive->path);
    free(archive->real);
    free(archive);
}

/* ---- a file that is not where it was ------------------------------------------------------ */

/* True if the file has changed since our last commit, and SQLite has not changed it. Another
 * process that commits changes `data_version`, too. One that only moves what our commit had to
 * leave in the -wal file does not: then, as while the database is locked, nobody can tell. */
static bool is_overwritten(struct archive *archive, const struct stat *now)
{
    const struct stat *then = &archive->files.main;
    int64_t version = archive->data_version;

    if (archive->files.wal.st_size > 0)
        return false;
    if (now->st_size == then->st_size && now->st_mtim.tv_sec == then->st_mtim.tv_sec &&
        now->st_mtim.tv_nsec == then->st_mtim.tv_nsec)
        return false;
    int r = archive_select_sql(archive, "PRAGMA data_version", &version);
    return r < 0 ? r != -EBUSY : version == archive->data_version;
}

/* True if we are root without its privileges, and the file is where only another user may look. */
static bool is_out_of_sight(const char *path)
{
    struct stat status;

    return geteuid() == 0 && stat(path, &status) < 0 && errno == EACCES;
}

enum archive_state archive_check(struct archive *archive)
{
    if (is_out_of_sight(archive->path))
        return ARCHIVE_IN_PLACE; /* what is open can still be written */

    const struct archive_files *files = &archive->files;
    struct stat now = status_of(archive->path, "");
    struct stat wal = status_of(archive->real, "-wal"), shm = status_of(archive->real, "-shm");
    char real[PATH_MAX];
    int moved = 0;

    if (!now.st_ino || !realpath(archive->path, real))
        return ARCHIVE_GONE;
    sqlite3_file_control(archive->database, NULL, SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved || strcmp(real, archive->real) != 0 || !is_same_file(&now, &files->main))
        return ARCHIVE_REPLACED;
    if ((files->wal.st_ino && !is_same_file(&wal, &files->wal)) ||
        (files->shm.st_ino && !is_same_file(&shm, &files->shm)) || is_overwritten(archive, &now))
        return ARCHIVE_OVERWRITTEN;
    return ARCHIVE_IN_PLACE;
}

void archive_leave(struct archive *archive, enum archive_state state)
{
    if (state == ARCHIVE_OVERWRITTEN) /* what we hold is not of this file any more */
        sqlite3_db_config(archive->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    else
        sqlite3_wal_checkpoint_v2(archive->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    archive_close(archive);
}

bool archive_was_written(struct archive *archive)
{
    int64_t version;

    return archive_select_sql(archive, "PRAGMA data_version", &version) == 0 &&
           version != archive->data_version;
}
