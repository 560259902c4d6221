#include "http_framing.h"

#include <string.h>

#define LINE_END 2 /* bytes: libmicrohttpd replaces CR and LF with zeros */

struct fields {
    const char *next; /* where the next line begins; NULL: not checked */
    unsigned hosts, lengths, codings;
    bool is_malformed;
};

static bool is_control(char byte)
{
    return (unsigned char)byte < ' ' || byte == 0x7f;
}

/* True if a name consists of the characters of a token (RFC 9110, 5.6.2). */
static bool is_token(const char *name, size_t length)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < length; i++) {
        char lower = (char)(name[i] | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
            (!name[i] || !strchr(others, name[i])))
            return false;
    }
    return length > 0;
}

static bool is_value(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (is_control(value[i]) && value[i] != '\t')
            return false;
    }
    return true;
}

/* True if the lines of libmicrohttpd can be checked. Since 1.0 it refuses folded lines itself. */
static bool are_lines_known(void)
{
    return strncmp(MHD_get_version(), "0.", 2) == 0;
}

/* True if a field stands on the next line, all of it: libmicrohttpd appends the text of a folded
 * line to the field's *name*, elsewhere in memory, and ends a value at a zero byte. */
static bool is_next_line(struct fields *fields, const char *name, size_t name_length,
                         const char *value, size_t length)
{
    if (!fields->next)
        return true;
    if (name != fields->next)
        return false;
    const char *begin = name + name_length + 1;
    fields->next = value + length + LINE_END;
    return begin + strspn(begin, " \t") == value && value[length] == '\0' &&
           value[length + 1] == '\0';
}

static bool is_named(const char *wanted, const char *name, size_t length)
{
    return strlen(wanted) == length && strcasecmp(wanted, name) == 0;
}

static enum MHD_Result judge_field(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_length, const char *value, size_t length)
{
    struct fields *fields = context;

    (void)kind;
    if (!value || !is_token(name, name_length) || !is_value(value, length) ||
        !is_next_line(fields, name, name_length, value, length)) {
        fields->is_malformed = true;
        return MHD_NO;
    }
    if (is_named("Host", name, name_length))
        fields->hosts++;
    else if (is_named("Content-Length", name, name_length))
        fields->lengths++;
    else if (is_named("Transfer-Encoding", name, name_length)) {
        fields->codings++;
        fields->is_malformed |= !is_named("chunked", value, length);
    }
    return MHD_YES;
}

/* True if one blank precedes the target, and an empty line, which ends the headers, follows the
 * last field. */
static bool are_bounds_right(const struct fields *fields, const struct http_request *request)
{
    if (!fields->next)
        return true;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info && request->path == request->method + strlen(request->method) + 1 &&
           fields->next + LINE_END == request->method + info->header_size;
}

bool http_framing_judge(struct http_request *request, const char *version)
{
    bool is_old = strcmp(version, "HTTP/1.0") == 0;
    struct fields fields = {
        .next = are_lines_known() ? version + strlen(version) + LINE_END : NULL,
    };

    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, judge_field, &fields);
    bool good = !fields.is_malformed && are_bounds_right(&fields, request) &&
                (fields.hosts == 1 || (fields.hosts == 0 && is_old)) &&
                fields.lengths + fields.codings <= 1 && !(is_old && fields.codings);
    request->closes = !good || fields.codings;
    request->is_http_1_0 = is_old;
    return good;
}
