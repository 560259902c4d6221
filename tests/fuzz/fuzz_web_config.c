/* fuzz_web_config.c - the file of --web.config.file: users, headers and TLS. Users and headers that
 * are loaded, written to a file, are loaded again as the same. */
#include <sys/mman.h>
#include <unistd.h>

#include "web_config.h"

#include "fuzz.h"

#define TEXT_MAX 65536

static int make_file(const void *bytes, size_t size, char ret_path[32])
{
    int descriptor = memfd_create("web", MFD_CLOEXEC);

    fuzz_check(descriptor >= 0);
    if (size)
        fuzz_check(write(descriptor, bytes, size) == (ssize_t)size);
    snprintf(ret_path, 32, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

/* Write a text in YAML's double quotes, byte by byte. */
static void write_quoted(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        if (strchr("\\\"", *text))
            fputc('\\', file);
        if (*text == '\n' || *text == '\r')
            fprintf(file, "\\%c", *text == '\n' ? 'n' : 'r');
        else
            fputc(*text, file);
    }
    fputc('"', file);
}

/* Write what is neither a path nor of TLS. */
static void write_config(FILE *file, const struct web_config *config)
{
    fprintf(file, "http_server_config:\n  headers:\n");
    for (unsigned i = 0; i < config->header_count; i++) {
        fprintf(file, "    %s: ", config->headers[i].name);
        write_quoted(file, config->headers[i].value);
        fputc('\n', file);
    }
    fprintf(file, "basic_auth_users:\n");
    for (unsigned i = 0; i < config->user_count; i++) {
        fprintf(file, "  ? ");
        write_quoted(file, config->users[i].name);
        fprintf(file, "\n  : \"%s\"\n", config->users[i].hash);
    }
}

/* True if YAML has a character that is written otherwise than it is read: a control character, a
 * line end of Unicode, a blank beside a line's end. */
static bool is_delicate(const struct web_config *config)
{
    bool delicate = false;

    for (unsigned i = 0; i < config->user_count + config->header_count; i++) {
        const char *text = i < config->user_count ? config->users[i].name
                                                  : config->headers[i - config->user_count].value;
        for (; *text; text++)
            delicate |= *text < ' ' || *text > '~';
    }
    return delicate;
}

static void check_again(const struct web_config *config)
{
    char *text = NULL, path[32], problem[WEB_CONFIG_PROBLEM_SIZE];
    struct web_config again;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    write_config(file, config);
    fclose(file);
    int descriptor = make_file(text, size, path);
    if (web_config_read(path, &again, problem) < 0)
        fuzz_fail("what is written again is refused: %s: %s", problem, text);
    fuzz_check(again.user_count == config->user_count &&
               again.header_count == config->header_count);
    for (unsigned i = 0; i < config->user_count; i++)
        fuzz_check(strcmp(config->users[i].name, again.users[i].name) == 0 &&
                   strcmp(config->users[i].hash, again.users[i].hash) == 0);
    for (unsigned i = 0; i < config->header_count; i++)
        fuzz_check(config->headers[i].name == again.headers[i].name &&
                   strcmp(config->headers[i].value, again.headers[i].value) == 0);
    web_config_free(&again);
    close(descriptor);
    free(text);
}

static void check_rules(const struct web_config *config)
{
    fuzz_check(config->user_count <= WEB_CONFIG_USERS_MAX);
    fuzz_check(config->header_count <= WEB_CONFIG_HEADERS_MAX);
    fuzz_check(!config->cert_file == !config->key_file);
    fuzz_check(config->cert_file || (!config->client_ca_file && !config->client_auth));
    fuzz_check(config->client_auth < WEB_CLIENT_IF_GIVEN || config->client_ca_file);
    fuzz_check(config->min_version <= config->max_version);
    for (unsigned i = 0; i < config->user_count; i++) {
        const struct web_user *user = &config->users[i];
        fuzz_check(!strchr(user->name, ':') && strlen(user->hash) == WEB_CONFIG_HASH_LENGTH);
        int cost = atoi(user->hash + 4);
        fuzz_check(cost >= 4 && cost <= WEB_CONFIG_COST_MAX);
        for (unsigned j = 0; j < i; j++)
            fuzz_check(strcmp(user->name, config->users[j].name) != 0);
    }
    for (unsigned i = 0; i < config->header_count; i++) /* it could end the header otherwise */
        fuzz_check(!strpbrk(config->headers[i].value, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32], problem[WEB_CONFIG_PROBLEM_SIZE] = "";
    int descriptor = make_file(data, size < TEXT_MAX ? size : TEXT_MAX, path);
    struct web_config config;

    if (web_config_read(path, &config, problem) < 0) {
        fuzz_check(strncmp(problem, path, strlen(path)) == 0);
    } else {
        check_rules(&config);
        if (!is_delicate(&config))
            check_again(&config);
        web_config_free(&config);
    }
    close(descriptor);
    return 0;
}
