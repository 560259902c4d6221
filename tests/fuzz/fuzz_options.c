/* fuzz_options.c - command lines and configuration files, by each program's table.
 *
 * An input is the program's number and lines: words of the command line, an empty line, and the
 * file. What is wrong is said in one line, what is right in none, and a NAME = VALUE line of the
 * file means the same as --NAME=VALUE. */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "options/program.h"

#define WORDS_MAX 64

static const struct program *const programs[] = {
    &program_presenced, &program_web,      &program_relay, &program_publisher,
    &program_exporter,  &program_recorder, &program_send,  &program_ctl,
};

struct words {
    int count;
    char *all[WORDS_MAX + 2];
};

static unsigned lines_printed;

void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Stand in for the line on stderr. */
void __wrap_log_error(const char *format, ...)
{
    char line[4096];
    va_list arguments;

    va_start(arguments, format);
    fuzz_check(vsnprintf(line, sizeof(line), format, arguments) > 0);
    va_end(arguments);
    lines_printed++;
}

static void add_word(struct words *words, char *word)
{
    if (words->count <= WORDS_MAX)
        words->all[words->count++] = word;
    else
        free(word);
}

static void begin_words(struct words *words)
{
    *words = (struct words){0};
    add_word(words, strdup("program"));
}

/* Parse the words, and free them. Options are permuted in a copy: getopt would lose none. */
static enum option_verdict parse(const struct program *program, struct words *words)
{
    char *copy[WORDS_MAX + 2] = {0};

    for (int i = 0; i < words->count; i++)
        copy[i] = words->all[i];
    lines_printed = 0;
    enum option_verdict verdict = program->parse(words->count, copy);
    if (lines_printed != (verdict == OPTION_WRONG))
        fuzz_fail("%s: verdict %d with %u lines", program->table->program, (int)verdict,
                  lines_printed);
    for (int i = 0; i < words->count; i++)
        free(words->all[i]);
    return verdict;
}

/* Make a file of the bytes. Returns its descriptor. */
static int make_file(struct fuzz_input file, char ret_path[32])
{
    int descriptor = memfd_create("fuzz", MFD_CLOEXEC);

    fuzz_check(descriptor >= 0);
    if (file.size)
        fuzz_check(write(descriptor, file.bytes, file.size) == (ssize_t)file.size);
    snprintf(ret_path, 32, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

static const struct option_entry *find_entry(const struct option_table *table, const char *name)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        if (entry->kind != OPTION_KIND_HEADING && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

/* True if the text is printable ASCII that means nothing to inih, and has no blanks around it. */
static bool is_plain(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~' || strchr(";#=:[\"", text[i]))
            return false;
    }
    return length > 0 && text[0] != ' ' && text[length - 1] != ' ';
}

/* Compare a line of a file with the same option on the command line, where both can have it. */
static void compare(const struct program *program, const char *name, const char *value)
{
    const struct option_entry *entry = find_entry(program->table, name);
    struct words words;
    char path[32], *line;

    if (!entry || entry->kind == OPTION_KIND_FLAG || entry->line_only || entry->renamed ||
        !is_plain(value) || strlen(name) + strlen(value) > 150)
        return;
    int length = asprintf(&line, "%s = %s\n", name, value);
    int descriptor = make_file((struct fuzz_input){(uint8_t *)line, (size_t)length}, path);
    begin_words(&words);
    add_word(&words, strdup("--config"));
    add_word(&words, strdup(path));
    enum option_verdict by_file = parse(program, &words);
    close(descriptor);
    free(line);
    begin_words(&words);
    fuzz_check(asprintf(&line, "--%s=%s", name, value) > 0);
    add_word(&words, line);
    enum option_verdict by_line = parse(program, &words);
    if (by_file != by_line && !program->table->commands)
        fuzz_fail("%s: %s = %s: %d in a file, %d on the line", program->table->program, name, value,
                  (int)by_file, (int)by_line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *unseen;
    struct fuzz_input input = {data, size}, piece;
    struct words words;
    char path[32];
    FILE *before = stdout;

    if (!unseen)
        unseen = fopen("/dev/null", "w");
    stdout = unseen;
    unsetenv("PRESENCE_SEGMENT");
    const struct program *program = programs[fuzz_number(&input, 1) % LENGTH(programs)];
    begin_words(&words);
    while (input.size > 0 && (piece = fuzz_piece(&input, '\n')).size > 0)
        add_word(&words, fuzz_text(piece));
    int descriptor = -1;
    if (input.size > 0) {
        descriptor = make_file(input, path);
        add_word(&words, strdup("--config"));
        add_word(&words, strdup(path));
    }
    parse(program, &words);
    if (descriptor >= 0)
        close(descriptor);
    while (input.size > 0) {
        piece = fuzz_piece(&input, '\n');
        char *line = fuzz_text(piece), *value = strstr(line, " = ");
        if (value) {
            *value = '\0';
            compare(program, line, value + 3);
        }
        free(line);
    }
    stdout = before;
    return 0;
}
