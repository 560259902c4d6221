#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "options_help.h"
#include "options_value.h"

/* getopt_long returns this plus an entry's index. The values must be distinct, or it would accept
 * abbreviations of several options, and none may be a character. */
#define CODE_FIRST 256

/* One option of the command line. */
struct word {
    unsigned entry;
    char *value; /* points into argv; NULL: a flag */
};

struct parsing {
    const struct option_table *table;
    void *target;
    uint64_t line, file; /* bit N: entry N was on the command line, in the file */
    struct word *words;
    unsigned word_count;
    char *config;
    bool help, version;
};

/* ---- values ------------------------------------------------------------------------------ */

/* Print why a value is refused: `error` is a negative errno. */
static bool refuse_value(const struct option_entry *entry, const char *text, int error)
{
    char expected[512];

    option_expected(entry, expected, sizeof(expected));
    if (error == -EINVAL && entry->secret)
        log_error("--%s takes %s", entry->name, expected);
    else if (error == -EINVAL)
        log_error("--%s takes %s, not '%.100s'", entry->name, expected, text);
    else if (error == -ENOSPC)
        log_error("--%s can be given at most %" PRIu64 " times", entry->name, entry->max);
    else
        log_error("--%s: %s", entry->name, strerror(-error));
    return false;
}

/* True if the entry may be given twice in one source. A flag may be on the command line, where it
 * says the same again, but not in a file, where it has a value. */
static bool is_repeatable(const struct option_entry *entry, bool in_file)
{
    return entry->repeatable || entry->kind == OPTION_KIND_LIST ||
           (entry->kind == OPTION_KIND_FLAG && !in_file);
}

/* Set entry `index`. `given` has the entries that this source, the command line or the file, has
 * set; one that isn't repeatable is refused the second time. False: one line was printed. */
static bool set_entry(struct parsing *parsing, unsigned index, const char *text, uint64_t *given)
{
    const struct option_entry *entry = &parsing->table->entries[index];

    if (entry->renamed) {
        log_error("--%s is now called --%s", entry->name, entry->renamed);
        return false;
    }
    if (*given >> index & 1 && !is_repeatable(entry, given == &parsing->file)) {
        log_error("--%s is given twice", entry->name);
        return false;
    }
    *given |= UINT64_C(1) << index;
    int r = option_set(entry, parsing->target, text);
    return r == 0 || refuse_value(entry, text, r);
}

/* ---- the command line -------------------------------------------------------------------- */

/* Allocate the table for getopt_long, with --config, --help and --version behind the entries. NULL:
 * out of memory. */
static struct option *make_getopt_table(const struct option_table *table)
{
    struct option *list = calloc(table->count + 4, sizeof(*list));
    unsigned used = 0;

    for (unsigned i = 0; list && i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        int argument = entry->kind == OPTION_KIND_FLAG ? no_argument : required_argument;
        if (entry->kind != OPTION_KIND_HEADING)
            list[used++] = (struct option){entry->name, argument, NULL, CODE_FIRST + (int)i};
    }
    if (!list)
        return NULL;
    int next = CODE_FIRST + (int)table->count;
    list[used++] = (struct option){"config", required_argument, NULL, next};
    list[used++] = (struct option){"help", no_argument, NULL, next + 1};
    list[used] = (struct option){"version", no_argument, NULL, next + 2};
    return list;
}

static const char *name_of(const struct option *list, int code)
{
    while (list->val != code)
        list++;
    return list->name;
}

/* Print the options that `word`, "--NAME" or "--NAME=VALUE", abbreviates. False: there are none. */
static bool refuse_abbreviation(const struct option *list, const char *word)
{
    size_t length = strcspn(word, "=");
    char names[512] = "";
    size_t used = 0;

    if (length < 3)
        return false;
    for (; list->name; list++) {
        if (strncmp(list->name, word + 2, length - 2) == 0 && used < sizeof(names))
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s--%s", used ? ", " : "",
                                     list->name);
    }
    if (used)
        log_error("'%.*s' is ambiguous: %s", (int)(length > 100 ? 100 : length), word, names);
    return used > 0;
}

/* Print why getopt_long has refused the word. */
static bool refuse_word(const struct parsing *parsing, const struct option *list, int answer,
                        const char *word)
{
    const char *program = parsing->table->program;

    if (answer == ':')
        log_error("--%s needs a value; see %s --help", name_of(list, optopt), program);
    else if (optopt >= CODE_FIRST)
        log_error("--%s takes no value; see %s --help", name_of(list, optopt), program);
    else if (optopt)
        log_error("no option '-%c'; see %s --help", optopt, program);
    else if (!refuse_abbreviation(list, word))
        log_error("no option '%.100s'; see %s --help", word, program);
    return false;
}

/* Split the command line into options and arguments. False: one line was printed. */
static bool scan_words(struct parsing *parsing, const struct option *list, int argc, char **argv)
{
    int answer;

    opterr = 0;
    optind = 0; /* glibc: start over */
    while ((answer = getopt_long(argc, argv, ":h", list, NULL)) != -1) {
        if (answer < CODE_FIRST && answer != 'h')
            return refuse_word(parsing, list, answer, argv[optind - 1]);
        unsigned index =
            answer == 'h' ? parsing->table->count + 1 : (unsigned)(answer - CODE_FIRST);
        if (index < parsing->table->count)
            parsing->words[parsing->word_count++] = (struct word){index, optarg};
        else if (index == parsing->table->count && parsing->config) {
            log_error("--config is given twice");
            return false;
        } else if (index == parsing->table->count)
            parsing->config = optarg;
        else if (index == parsing->table->count + 1)
            parsing->help = true;
        else
            parsing->version = true;
    }
    return true;
}

/* Overwrite a secret after its "ID:": /proc shows the command line to everybody. */
static void wipe_secret(char *value)
{
    char *colon = strchr(value, ':');
    char *secret = colon ? colon + 1 : value;

    memset(secret, '*', strlen(secret));
}

static bool set_words(struct parsing *parsing)
{
    bool ok = true;

    for (unsigned i = 0; i < parsing->word_count; i++) {
        const struct word *word = &parsing->words[i];
        ok = ok &&
             set_entry(parsing, word->entry, word->value ? word->value : "yes", &parsing->line);
        if (parsing->table->entries[word->entry].secret && word->value)
            wipe_secret(word->value);
    }
    return ok;
}

/* ---- the file and the defaults ----------------------------------------------------------- */

static bool set_line(void *context, const char *name, const char *value)
{
    struct parsing *parsing = context;
    const struct option_table *table = parsing->table;

    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        if (entry->kind == OPTION_KIND_HEADING || strcmp(name, entry->name) != 0)
            continue;
        if (!entry->line_only)
            return set_entry(parsing, i, value, &parsing->file);
        log_error("%s: '%s' is for the command line only: give it there", parsing->config, name);
        return false;
    }
    log_error("%s: no option '%.100s'; see %s --help", parsing->config, name, table->program);
    return false;
}

static bool set_file(struct parsing *parsing)
{
    int r = parsing->config ? parsing->table->read_file(parsing->config, set_line, parsing) : 0;

    if (r == -ECANCELED)
        return false; /* it has been reported */
    if (r < 0)
        log_error("cannot read the configuration file %s: %s", parsing->config, strerror(-r));
    else if (r > 0)
        log_error("%s:%d: not a NAME = VALUE line", parsing->config, r);
    return r == 0;
}

/* Set entries that neither the command line nor the file has by their variable or fallback. */
static bool set_defaults(struct parsing *parsing)
{
    const struct option_table *table = parsing->table;

    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        const char *text = entry->variable ? getenv(entry->variable) : NULL;
        if (!text || !*text)
            text = entry->fallback;
        if (!text || (parsing->line | parsing->file) >> i & 1)
            continue;
        int r = option_set(entry, parsing->target, text);
        if (r < 0)
            return refuse_value(entry, text, r);
    }
    return true;
}

/* ---- commands and arguments -------------------------------------------------------------- */

static const struct option_command *find_command(const struct option_table *table, const char *name)
{
    for (unsigned i = 0; i < table->command_count; i++) {
        if (strcmp(table->commands[i].name, name) == 0)
            return &table->commands[i];
    }
    return NULL;
}

/* Print the help of a command; of the program where `name` is NULL. */
static enum option_verdict print_help(const struct option_table *table, const char *name)
{
    const struct option_command *command = name ? find_command(table, name) : NULL;

    if (name && !command) {
        log_error("no command '%.100s'; see %s --help", name, table->program);
        return OPTION_WRONG;
    }
    options_print_help(table, command);
    return OPTION_DONE;
}

/* Answer --help, --version, `help` and a missing command. OPTION_RUN: it was none of them. */
static enum option_verdict answer_help(const struct parsing *parsing, char **arguments)
{
    const struct option_table *table = parsing->table;

    if (parsing->version) {
        printf("%s %s\n", table->program, PRESENCE_VERSION);
        return OPTION_DONE;
    }
    if (!table->commands)
        return parsing->help ? print_help(table, NULL) : OPTION_RUN;
    if (*arguments && strcmp(*arguments, "help") == 0)
        return print_help(table, arguments[1]);
    if (parsing->help || (*arguments && !find_command(table, *arguments)))
        return print_help(table, *arguments);
    if (*arguments)
        return OPTION_RUN;
    log_error("a command is missing; see %s --help", table->program);
    return OPTION_WRONG;
}

static bool check_command(const struct option_table *table, const struct option_command *command,
                          unsigned arguments, uint64_t given)
{
    unsigned index = (unsigned)(command - table->commands);

    if (arguments < command->arguments_min || arguments > command->arguments_max) {
        log_error("%s takes %s; see %s help %s", command->name,
                  *command->arguments ? command->arguments : "no argument", table->program,
                  command->name);
        return false;
    }
    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        if (!(given >> i & 1) || !entry->commands || entry->commands >> index & 1)
            continue;
        log_error("%s has no option --%s%s%s; see %s help %s", command->name, entry->name,
                  entry->elsewhere ? ": " : "", entry->elsewhere ? entry->elsewhere : "",
                  table->program, command->name);
        return false;
    }
    return true;
}

/* Check the arguments, and find the command and where its arguments begin. */
static bool check_arguments(const struct parsing *parsing, int argc, char **argv,
                            struct option_use *use)
{
    const struct option_table *table = parsing->table;
    unsigned first = (unsigned)optind;

    if (table->commands) {
        const struct option_command *command = find_command(table, argv[first]);
        use->command = (unsigned)(command - table->commands);
        use->arguments = first + 1;
        return check_command(table, command, (unsigned)argc - use->arguments, parsing->line);
    }
    use->arguments = first;
    if (first == (unsigned)argc)
        return true;
    log_error("unexpected argument '%.100s'; see %s --help", argv[first], table->program);
    return false;
}

/* ---- the whole --------------------------------------------------------------------------- */

static enum option_verdict parse_all(struct parsing *parsing, const struct option *list, int argc,
                                     char **argv, struct option_use *ret)
{
    struct option_use use = {.table = parsing->table};

    if (!scan_words(parsing, list, argc, argv))
        return OPTION_WRONG;
    enum option_verdict verdict = answer_help(parsing, argv + optind);
    if (verdict != OPTION_RUN)
        return verdict;
    if (!set_file(parsing) || !set_words(parsing) || !set_defaults(parsing) ||
        !check_arguments(parsing, argc, argv, &use))
        return OPTION_WRONG;
    use.given = parsing->line | parsing->file;
    use.config = parsing->config;
    *ret = use;
    return OPTION_RUN;
}

enum option_verdict options_parse(const struct option_table *table, int argc, char **argv,
                                  void *target, struct option_use *ret)
{
    struct parsing parsing = {.table = table, .target = target};
    struct option *list = make_getopt_table(table);
    enum option_verdict verdict = OPTION_WRONG;

    parsing.words = calloc((size_t)argc + 1, sizeof(*parsing.words));
    if (list && parsing.words)
        verdict = parse_all(&parsing, list, argc, argv, ret);
    else
        log_error("out of memory");
    free(list);
    free(parsing.words);
    if (verdict != OPTION_RUN)
        options_free(table, target);
    return verdict;
}

void options_free(const struct option_table *table, void *target)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        void *value = (char *)target + entry->offset;
        if (entry->renamed)
            continue;
        if (entry->kind == OPTION_KIND_TEXT) {
            free(*(char **)value);
            *(char **)value = NULL;
        } else if (entry->kind == OPTION_KIND_LIST) {
            struct option_list *texts = value;
            for (unsigned j = 0; j < texts->count; j++)
                free(texts->items[j]);
            free(texts->items);
            *texts = (struct option_list){0};
        }
    }
}

bool option_given(const struct option_use *use, const char *name)
{
    for (unsigned i = 0; i < use->table->count; i++) {
        if (strcmp(use->table->entries[i].name, name) == 0)
            return use->given >> i & 1;
    }
    return false;
}

enum option_verdict option_wrong(const char *name, const char *reason, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, reason);
    vsnprintf(text, sizeof(text), reason, arguments);
    va_end(arguments);
    log_error("--%s: %s", name, text);
    return OPTION_WRONG;
}
