/* fuzz_archive.c - a database that presence-recorder has written and somebody has changed, or any
 * file in its place: it is opened and read, and written to. SQLite finds damage late or never; what
 * comes out of it must be texts that end, and minutes in their order.
 *
 * An input is a byte that chooses, and changes: an offset in two bytes, a length, and the bytes. */
#include <errno.h>

#include "../support/scratch.h"

#include <archive/archive.h>

#undef LENGTH
#include "fuzz.h"

#define BEGAN    INT64_C(1769860800)
#define FILE_MAX (1 << 20)

enum flag {
    FLAG_WRITE = 1,  /* it is written to, too */
    FLAG_ANY = 2,    /* the input is the file */
    FLAG_CUT = 4,    /* the file is cut off */
    FLAG_TOTALS = 8, /* of groups of collectors */
};

static const struct presence_scope site = {PRESENCE_SITE, "example.com", ""};
static const struct presence_scope room = {PRESENCE_ROOM, "example.com", "/a"};

static struct {
    struct scratch scratch;
    size_t sizes[2];
    uint8_t *files[2]; /* of a collector, and of groups */
} target;

/* ---- the file ---------------------------------------------------------------------------- */

/* Put some minutes and peaks of a scope. Returns the first error. */
static int put(struct archive *archive, const struct presence_scope *scope)
{
    const uint8_t boot_id[16] = "a boot, sixteen";
    const struct archive_peak peak = {.count = 9, .at = BEGAN};
    archive_id scope_id, boot;
    int r = archive_put_scope(archive, scope, BEGAN, &scope_id);

    if (r == 0)
        r = archive_put_boot(archive, boot_id, BEGAN, &boot);
    for (unsigned i = 0; r == 0 && i < 3; i++) {
        const struct archive_minute minute = {.minute = i,
                                              .start = BEGAN + 60 * i,
                                              .maximum = i,
                                              .mean = i,
                                              .seconds = 60,
                                              .has_traffic = true};
        r = archive_put_minute(archive, scope_id, boot, &minute);
    }
    return r < 0 ? r : archive_put_peak(archive, scope_id, &peak);
}

static void make_file(enum archive_subject subject, size_t index)
{
    char problem[ARCHIVE_PROBLEM_SIZE];
    struct archive *archive;

    fuzz_check(archive_open_writable(target.scratch.path, subject, &archive, problem) == 0);
    fuzz_check(archive_begin(archive) == 0 && put(archive, &site) == 0 && put(archive, &room) == 0);
    fuzz_check(archive_commit(archive) == 0);
    archive_close(archive);
    FILE *file = fopen(target.scratch.path, "rb");
    target.files[index] = malloc(FILE_MAX);
    target.sizes[index] = fread(target.files[index], 1, FILE_MAX, file);
    fclose(file);
    unlink(target.scratch.path);
}

static void close_target(void)
{
    free(target.files[0]);
    free(target.files[1]);
    scratch_close(&target.scratch);
}

static void open_target(void)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort */
    scratch_open(&target.scratch);
    make_file(ARCHIVE_OF_COLLECTOR, 0);
    make_file(ARCHIVE_OF_GROUPS, 1);
    atexit(close_target);
}

static void write_file(unsigned flags, struct fuzz_input *input)
{
    size_t index = flags & FLAG_TOTALS ? 1 : 0, size = target.sizes[index];
    FILE *file = fopen(target.scratch.path, "wb");

    fuzz_check(file);
    if (flags & FLAG_ANY) {
        fwrite(input->bytes, 1, input->size, file);
        fclose(file);
        return;
    }
    if (flags & FLAG_CUT)
        size = size * fuzz_number(input, 1) / 256;
    fwrite(target.files[index], 1, size, file);
    while (input->size > 0) {
        size_t offset = fuzz_number(input, 2), length = fuzz_number(input, 1);
        length = length < input->size ? length : input->size;
        fseek(file, (long)(size ? offset % size : 0), SEEK_SET);
        fwrite(input->bytes, 1, length, file);
        input->bytes += length;
        input->size -= length;
    }
    fclose(file);
}

/* ---- reading ----------------------------------------------------------------------------- */

static void check_error(struct archive *archive, int r)
{
    fuzz_check(r <= 0);
    if (r < 0 && r != -ENOENT && r != -ENOMEM)
        fuzz_check(*archive_problem(archive) && strlen(archive_problem(archive)) < 512);
}

static int visit(void *context, const struct archive_minute *minute)
{
    (void)minute;
    return ++*(unsigned *)context > 100000 ? -ECANCELED : 0;
}

static int visit_scope(void *context, const struct presence_scope *scope,
                       const struct archive_minute *minute)
{
    fuzz_check(strnlen(scope->site, sizeof(scope->site)) < sizeof(scope->site));
    fuzz_check(strnlen(scope->name, sizeof(scope->name)) < sizeof(scope->name));
    fuzz_check(scope->kind >= PRESENCE_SITE && scope->kind <= PRESENCE_SOURCE);
    return visit(context, minute);
}

static void read_scope(struct archive *archive, const struct presence_scope *scope)
{
    struct archive_minutes minutes;
    struct archive_peaks peaks;
    unsigned count = 0;

    check_error(archive,
                archive_history(archive, scope->kind, scope->site, scope->name, 0, visit, &count));
    check_error(archive,
                archive_peaks(archive, scope->kind, scope->site, scope->name, BEGAN, &peaks));
    int r = archive_load(archive, scope->kind, scope->site, scope->name, 0, INT64_MAX, &minutes);
    check_error(archive, r);
    if (r < 0)
        return;
    for (size_t i = 1; i < minutes.length; i++)
        fuzz_check(minutes.minutes[i - 1].start <= minutes.minutes[i].start);
    archive_minutes_free(&minutes);
}

static void read_all(struct archive *archive)
{
    unsigned count = 0;

    read_scope(archive, &site);
    read_scope(archive, &room);
    check_error(archive, archive_minutes_at(archive, 1, visit_scope, &count));
}

static void write_all(struct archive *archive)
{
    int r = archive_begin(archive);

    check_error(archive, r);
    if (r < 0)
        return;
    archive_was_written(archive);
    r = put(archive, &site);
    if (r == 0)
        r = archive_delete_before(archive, BEGAN + 60);
    check_error(archive, r);
    if (r == 0)
        r = archive_commit(archive);
    if (r < 0)
        archive_roll_back(archive);
    archive_check(archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned flags = (unsigned)fuzz_number(&input, 1);
    char problem[ARCHIVE_PROBLEM_SIZE] = "";
    struct archive *archive;

    if (!target.files[0])
        open_target();
    write_file(flags, &input);
    int r = archive_open(target.scratch.path, &archive, problem);
    fuzz_check((r == 0) == (*problem == '\0'));
    if (r == 0) {
        read_all(archive);
        archive_close(archive);
    }
    enum archive_subject subject = flags & FLAG_TOTALS ? ARCHIVE_OF_GROUPS : ARCHIVE_OF_COLLECTOR;
    if (flags & FLAG_WRITE &&
        archive_open_writable(target.scratch.path, subject, &archive, problem) == 0) {
        fuzz_check(archive_subject(archive) == subject);
        write_all(archive);
        read_all(archive);
        archive_close(archive);
    }
    struct scratch again;
    scratch_close(&target.scratch);
    scratch_open(&again);
    fuzz_check(rename(again.directory, target.scratch.directory) == 0);
    return 0;
}
