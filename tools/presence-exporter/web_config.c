#include "web_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "common/file_text.h"

#define FILE_BYTES_MAX (1 << 20)
#define COST_MIN       4

struct parsing {
    const char *path;
    yaml_document_t document;
    struct web_config config;
    char *problem;
};

/* A key of a mapping, and what to do with its value. */
struct field {
    const char *key;
    bool (*parse)(struct parsing *parsing, const yaml_node_t *value, void *target);
    size_t offset; /* of the target in struct web_config */
};

/* ---- files ------------------------------------------------------------------------------- */

char *web_config_read_file(const char *path, size_t *ret_length,
                           char problem[WEB_CONFIG_PROBLEM_SIZE])
{
    /* O_NONBLOCK: a FIFO must not hold us up. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = malloc(FILE_BYTES_MAX + 1);
    struct stat status;
    int r = descriptor < 0 ? -errno : !text ? -ENOMEM : fstat(descriptor, &status) < 0 ? -errno : 0;

    if (r == 0)
        r = S_ISDIR(status.st_mode)
                ? -EISDIR
                : file_text_read(descriptor, text, FILE_BYTES_MAX + 1, ret_length);
    if (descriptor >= 0)
        close(descriptor);
    if (r == 0)
        return text;
    snprintf(problem, WEB_CONFIG_PROBLEM_SIZE, "%.300s: %s", path, strerror(-r));
    free(text);
    return NULL;
}

/* ---- nodes ------------------------------------------------------------------------------- */

/* Write a problem with a line of the file as one line of text. Returns false. */
__attribute__((format(printf, 3, 4))) static bool
refuse(struct parsing *parsing, const yaml_node_t *node, const char *format, ...)
{
    int used = snprintf(parsing->problem, WEB_CONFIG_PROBLEM_SIZE, "%.300s:%zu: ", parsing->path,
                        node ? node->start_mark.line + 1 : 1);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(parsing->problem + used, WEB_CONFIG_PROBLEM_SIZE - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* Return the text of a scalar; NULL: it is none, or has a zero byte. */
static const char *text_of(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;

    return node->type == YAML_SCALAR_NODE && strlen(text) == node->data.scalar.length ? text : NULL;
}

/* True if a value is left out; then its key counts as not given. */
static bool is_null(const yaml_node_t *node)
{
    const char *text = text_of(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

typedef bool (*pair_parser)(struct parsing *parsing, const yaml_node_t *key,
                            const yaml_node_t *value, const void *context);

/* Call `parse` with each pair of a mapping; no key may be there twice. */
static bool parse_pairs(struct parsing *parsing, const yaml_node_t *node, const char *what,
                        pair_parser parse, const void *context)
{
    yaml_document_t *document = &parsing->document;

    if (is_null(node))
        return true;
    if (node->type != YAML_MAPPING_NODE)
        return refuse(parsing, node, "%s is not a mapping of names to values", what);
    yaml_node_pair_t *begin = node->data.mapping.pairs.start, *end = node->data.mapping.pairs.top;
    for (yaml_node_pair_t *pair = begin; pair < end; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        if (!text_of(key))
            return refuse(parsing, key, "a name in %s is not a text", what);
        for (yaml_node_pair_t *other = begin; other < pair; other++) {
            if (strcmp(text_of(yaml_document_get_node(document, other->key)), text_of(key)) == 0)
                return refuse(parsing, key, "'%.100s' is there twice", text_of(key));
        }
        if (!parse(parsing, key, value, context))
            return false;
    }
    return true;
}

static bool parse_field(struct parsing *parsing, const yaml_node_t *key, const yaml_node_t *value,
                        const void *context)
{
    const struct field *field = context;

    while (field->key && strcmp(field->key, text_of(key)) != 0)
        field++;
    if (!field->key)
        return refuse(parsing, key, "unknown key '%.100s'", text_of(key));
    return field->parse(parsing, value, (char *)&parsing->config + field->offset);
}

/* ---- values ------------------------------------------------------------------------------ */

/* A path, below the file's directory if it is relative. */
static bool parse_path(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    const char *text = text_of(node), *slash = strrchr(parsing->path, '/');
    char *path = NULL;

    if (is_null(node) || (text && !*text))
        return true;
    if (!text)
        return refuse(parsing, node, "not the name of a file");
    int directory = *text == '/' || !slash ? 0 : (int)(slash - parsing->path + 1);
    if (asprintf(&path, "%.*s%s", directory, parsing->path, text) < 0)
        return refuse(parsing, node, "out of memory");
    *(char **)target = path;
    return true;
}

/* Find a text in a list, which ends with NULL, and return its index; -1: it is not there. */
static int find_word(const char *const *words, const char *text)
{
    for (int i = 0; text && words[i]; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
    }
    return -1;
}

static bool parse_client_auth(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    static const char *const words[] = {
        [WEB_CLIENT_NONE] = "NoClientCert",
        [WEB_CLIENT_REQUEST] = "RequestClientCert",
        [WEB_CLIENT_ANY] = "RequireAnyClientCert",
        [WEB_CLIENT_IF_GIVEN] = "VerifyClientCertIfGiven",
        [WEB_CLIENT_VERIFY] = "RequireAndVerifyClientCert",
        NULL,
    };
    const char *text = text_of(node);
    int index = find_word(words, text);

    if (text && strcmp(text, "RequireClientCert") == 0)
        index = WEB_CLIENT_ANY; /* a former name */
    if (is_null(node) || (text && !*text))
        index = WEB_CLIENT_NONE;
    if (index < 0)
        return refuse(parsing, node, "client_auth_type is %s, %s, %s, %s or %s", words[0], words[1],
                      words[2], words[3], words[4]);
    *(enum web_client_auth *)target = (enum web_client_auth)index;
    return true;
}

static bool parse_version(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    static const char *const words[] = {"TLS10", "TLS11", "TLS12", "TLS13", NULL};
    int index = find_word(words, text_of(node));

    if (is_null(node))
        return true;
    if (index < 0)
        return refuse(parsing, node, "a version of TLS is TLS10, TLS11, TLS12 or TLS13");
    *(enum web_version *)target = (enum web_version)index;
    return true;
}

/* A yes or no that changes nothing here: HTTP/2 is never spoken, and the server's order of ciphers
 * is GnuTLS's. */
static bool check_bool(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", NULL};

    (void)target;
    return is_null(node) || find_word(words, text_of(node)) >= 0 ||
           refuse(parsing, node, "not true or false");
}

static bool parse_header(struct parsing *parsing, const yaml_node_t *key, const yaml_node_t *value,
                         const void *context)
{
    static const struct {
        const char *name, *values[3]; /* the values that it may have; none: any */
    } known[WEB_CONFIG_HEADERS_MAX] = {
        {"Strict-Transport-Security", {NULL}},
        {"X-Content-Type-Options", {"nosniff", NULL}},
        {"X-Frame-Options", {"deny", "sameorigin", NULL}},
        {"X-XSS-Protection", {NULL}},
        {"Content-Security-Policy", {NULL}},
    };
    const char *name = text_of(key), *text = text_of(value);
    unsigned index = 0;

    (void)context;
    while (index < WEB_CONFIG_HEADERS_MAX && strcmp(known[index].name, name) != 0)
        index++;
    if (index == WEB_CONFIG_HEADERS_MAX)
        return refuse(parsing, key, "unknown header '%.100s'", name);
    if (!known[index].values[0] && (is_null(value) || (text && !*text)))
        return true;
    bool fits = text && !known[index].values[0] && !text[strcspn(text, "\r\n")];
    for (unsigned i = 0; text && known[index].values[i]; i++)
        fits = fits || strcmp(text, known[index].values[i]) == 0;
    if (!fits)
        return refuse(parsing, value, "the header '%.100s' cannot have this value", name);
    struct web_header *header = &parsing->config.headers[parsing->config.header_count];
    *header = (struct web_header){known[index].name, strdup(text)};
    if (!header->value)
        return refuse(parsing, value, "out of memory");
    parsing->config.header_count++;
    return true;
}

/* Check for $2a$, $2b$ or $2y$, the cost in two digits, $, and 53 characters. */
static bool is_bcrypt(const char *hash)
{
    return strlen(hash) == WEB_CONFIG_HASH_LENGTH && strncmp(hash, "$2", 2) == 0 &&
           strchr("aby", hash[2]) && hash[3] == '$' && strspn(hash + 4, "0123456789") == 2 &&
           hash[6] == '$' && atoi(hash + 4) >= COST_MIN &&
           !hash[7 + strspn(hash + 7, "./0123456789abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ")];
}

static bool parse_user(struct parsing *parsing, const yaml_node_t *key, const yaml_node_t *value,
                       const void *context)
{
    const char *name = text_of(key), *hash = text_of(value);
    struct web_config *config = &parsing->config;

    (void)context;
    if (strchr(name, ':'))
        return refuse(parsing, key, "a user's name cannot have a colon");
    if (!hash || !is_bcrypt(hash))
        return refuse(parsing, value,
                      "the password of '%.100s' is not a bcrypt hash, as of htpasswd -nB", name);
    if (atoi(hash + 4) > WEB_CONFIG_COST_MAX)
        return refuse(parsing, value,
                      "bcrypt's cost for '%.100s' is over %d: checking it takes "
                      "seconds; use htpasswd -nBC 10",
                      name, WEB_CONFIG_COST_MAX);
    if (config->user_count == WEB_CONFIG_USERS_MAX)
        return refuse(parsing, key, "more than %d users", WEB_CONFIG_USERS_MAX);
    struct web_user *user = &config->users[config->user_count++];
    *user = (struct web_user){strdup(name), strdup(hash)};
    return (user->name && user->hash) || refuse(parsing, key, "out of memory");
}

/* ---- sections ---------------------------------------------------------------------------- */

static bool parse_tls(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    static const struct field fields[] = {
        {"cert_file", parse_path, offsetof(struct web_config, cert_file)},
        {"key_file", parse_path, offsetof(struct web_config, key_file)},
        {"client_ca_file", parse_path, offsetof(struct web_config, client_ca_file)},
        {"client_auth_type", parse_client_auth, offsetof(struct web_config, client_auth)},
        {"min_version", parse_version, offsetof(struct web_config, min_version)},
        {"max_version", parse_version, offsetof(struct web_config, max_version)},
        {"prefer_server_cipher_suites", check_bool, 0},
        {NULL, NULL, 0},
    };
    const struct web_config *config = &parsing->config;

    (void)target;
    if (!parse_pairs(parsing, node, "tls_server_config", parse_field, fields))
        return false;
    bool verifies = config->client_auth >= WEB_CLIENT_IF_GIVEN;
    if (!config->cert_file != !config->key_file)
        return refuse(parsing, node, "tls_server_config needs cert_file and key_file");
    if (!config->cert_file && (config->client_ca_file || config->client_auth))
        return refuse(parsing, node, "a client's certificate needs cert_file and key_file");
    if (config->client_ca_file && !config->client_auth)
        return refuse(parsing, node, "client_ca_file needs a client_auth_type");
    if (verifies && !config->client_ca_file)
        return refuse(parsing, node, "this client_auth_type needs client_ca_file");
    return config->min_version <= config->max_version ||
           refuse(parsing, node, "min_version is above max_version");
}

static bool parse_headers(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    (void)target;
    return parse_pairs(parsing, node, "headers", parse_header, NULL);
}

static bool parse_http(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    static const struct field fields[] = {
        {"http2", check_bool, 0},
        {"headers", parse_headers, 0},
        {NULL, NULL, 0},
    };

    (void)target;
    return parse_pairs(parsing, node, "http_server_config", parse_field, fields);
}

static bool parse_users(struct parsing *parsing, const yaml_node_t *node, void *target)
{
    (void)target;
    return parse_pairs(parsing, node, "basic_auth_users", parse_user, NULL);
}

static bool parse_document(struct parsing *parsing, const yaml_node_t *root)
{
    static const struct field fields[] = {
        {"tls_server_config", parse_tls, 0},
        {"http_server_config", parse_http, 0},
        {"basic_auth_users", parse_users, 0},
        {NULL, NULL, 0},
    };

    return !root || parse_pairs(parsing, root, "the file", parse_field, fields);
}

/* Say why the text is not YAML, and return false. */
static bool refuse_text(struct parsing *parsing, const yaml_parser_t *parser)
{
    snprintf(parsing->problem, WEB_CONFIG_PROBLEM_SIZE, "%.300s:%zu: not YAML: %s", parsing->path,
             parser->problem_mark.line + 1, parser->problem ? parser->problem : "out of memory");
    return false;
}

/* Parse the text's one document. */
static bool parse_text(struct parsing *parsing, const char *text, size_t length)
{
    yaml_parser_t parser;
    yaml_document_t second;
    bool ok = false;

    if (!yaml_parser_initialize(&parser))
        return refuse(parsing, NULL, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (!yaml_parser_load(&parser, &parsing->document)) {
        refuse_text(parsing, &parser);
    } else {
        ok = parse_document(parsing, yaml_document_get_root_node(&parsing->document));
        yaml_document_delete(&parsing->document);
        if (ok && !yaml_parser_load(&parser, &second)) {
            ok = refuse_text(parsing, &parser);
        } else if (ok) {
            const yaml_node_t *root = yaml_document_get_root_node(&second);
            ok = !root || refuse(parsing, root, "a second document");
            yaml_document_delete(&second);
        }
    }
    yaml_parser_delete(&parser);
    return ok;
}

int web_config_read(const char *path, struct web_config *ret, char problem[WEB_CONFIG_PROBLEM_SIZE])
{
    struct parsing parsing = {
        .path = path,
        .config = {.min_version = WEB_TLS12, .max_version = WEB_TLS13},
        .problem = problem,
    };
    size_t length;
    char *text = web_config_read_file(path, &length, problem);

    if (!text)
        return -EINVAL;
    bool ok = parse_text(&parsing, text, length);
    free(text);
    if (!ok) {
        web_config_free(&parsing.config);
        return -EINVAL;
    }
    *ret = parsing.config;
    return 0;
}

void web_config_free(struct web_config *config)
{
    free(config->cert_file);
    free(config->key_file);
    free(config->client_ca_file);
    for (unsigned i = 0; i < config->header_count; i++)
        free(config->headers[i].value);
    for (unsigned i = 0; i < config->user_count; i++) {
        free(config->users[i].name);
        free(config->users[i].hash);
    }
    *config = (struct web_config){0};
}
