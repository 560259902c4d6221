#include "picture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/json_whole.h"
#include "common/place.h"
#include "common/text_stream.h"
#include "request.h"
#include "response.h"

#define LABEL         "viewing now"
#define LABEL_MAX     255 /* bytes */
#define UNKNOWN       "unknown"
#define CACHE_CONTROL "public, max-age=5"
#define CACHE_SECONDS 300 /* of shields.io, which takes no less */
#define TAG_SIZE      20

/* ---- the texts ------------------------------------------------------------------------------ */

struct picture {
    char label[LABEL_MAX + 1]; /* as it is shown; "": none */
    char message[40];
    bool known;
};

/* True if a character changes the order of what follows it in a title: overrides, embeddings and
 * isolates. */
static bool changes_order(uint32_t character)
{
    return (character >= 0x202a && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069);
}

/* True if no XML may contain the character (FFFE, FFFF), or no text should. */
static bool is_no_character(uint32_t character)
{
    return (character & 0xfffe) == 0xfffe || (character >= 0xfdd0 && character <= 0xfdef);
}

/* Copy a label as it is shown: without characters that would damage the picture, and with single
 * spaces, since a browser shows several as one. If nothing of it is visible, there is none. */
static void copy_label(const char *label, char *ret)
{
    uint32_t character;
    size_t size, length = 0;

    for (; (size = place_character(label, &character)) > 0; label += size) {
        bool is_space = character == ' ' || character == 0x2028 || character == 0x2029;
        if (changes_order(character) || (is_space && (length == 0 || ret[length - 1] == ' ')))
            continue;
        if (is_no_character(character))
            length += (size_t)sprintf(ret + length, "\ufffd");
        else if (is_space)
            ret[length++] = ' ';
        else
            length += (size_t)sprintf(ret + length, "%.*s", (int)size, label);
    }
    if (length && ret[length - 1] == ' ')
        length--;
    ret[length] = '\0';
    if (text_width(ret) == 0)
        ret[0] = '\0';
}

/* Format a count: five digits and more in groups of three, separated by narrow spaces that don't
 * break, as in all languages that use these digits. */
static void format_count(uint64_t count, bool more, char *ret, size_t size)
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count), at = 0;

    for (size_t i = 0; i < length; i++) {
        bool begins = i > 0 && length > 4 && (length - i) % 3 == 0;
        at += (size_t)snprintf(ret + at, size - at, "%s%c", begins ? "\u202f" : "", digits[i]);
    }
    snprintf(ret + at, size - at, "%s", more ? "+" : "");
}

/* Set the message. A lower bound ends with a plus, and says nothing if it is 0. A number that is
 * stale for a moment is shown, since pictures are cached for longer. */
static void set_message(struct picture *picture, const struct number *number)
{
    bool is_least = number->warming || number->partial;

    picture->known = number->known && (!number->stale || number->may_be_restart) &&
                     (number->count > 0 || !is_least);
    if (picture->known)
        format_count(number->count, is_least, picture->message, sizeof(picture->message));
    else
        strcpy(picture->message, UNKNOWN);
}

/* ---- the picture ---------------------------------------------------------------------------- */

#define FONT_SIZE 11
#define PADDING   6                   /* on both sides of a text */
#define TEXT_SIZE (LABEL_MAX * 6 + 1) /* each byte may become &quot; */

struct theme {
    const char *name;
    const char *label, *label_text, *known, *unknown, *style;
};

/* Colours with a contrast of at least 4.5; the message is white. */
#define DARK_LABEL      "#343a42"
#define DARK_LABEL_TEXT "#e6edf3"
#define DARK_KNOWN      "#238636"
#define DARK_UNKNOWN    "#636b75"

static const struct theme themes[] = {
    {"auto", "#e6e9ec", "#24292f", "#1a7f37", "#656d76",
     "<style>@media(prefers-color-scheme:dark){"
     ".presence-label{fill:" DARK_LABEL "}.presence-label-text{fill:" DARK_LABEL_TEXT "}"
     ".presence-known{fill:" DARK_KNOWN "}.presence-unknown{fill:" DARK_UNKNOWN "}}</style>"},
    {"light", "#e6e9ec", "#24292f", "#1a7f37", "#656d76", ""},
    {"dark", DARK_LABEL, DARK_LABEL_TEXT, DARK_KNOWN, DARK_UNKNOWN, ""},
};

/* Escape a text for XML. `ret` has TEXT_SIZE bytes. */
static void escape(const char *text, char *ret)
{
    static const char *const names[128] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};

    for (; *text; text++) {
        const char *name = (unsigned char)*text < 128 ? names[(unsigned char)*text] : NULL;
        if (name)
            ret = stpcpy(ret, name);
        else
            *ret++ = *text;
    }
    *ret = '\0';
}

/* One half of the picture: a text on a ground. */
struct box {
    unsigned x, width; /* pixels */
    uint32_t text;     /* tenths of a pixel */
};

static struct box measure(const char *text, unsigned x)
{
    uint32_t tenths = (text_width(text) * FONT_SIZE + 50) / 100;

    return (struct box){
        .x = x, .width = *text ? (tenths + 9) / 10 + 2 * PADDING : 0, .text = tenths};
}

/* Write a text in the middle of its box. The length keeps it there in any font; stretching letters,
 * not the space between them, keeps those together that are joined in Arabic. */
static void write_text(FILE *out, const struct box *box, const char *attributes, const char *text)
{
    unsigned middle = box->x * 10 + box->width * 5;
    char escaped[TEXT_SIZE];

    escape(text, escaped);
    fprintf(out,
            "<text %s x=\"%u.%u\" y=\"14\" textLength=\"%u.%u\" "
            "lengthAdjust=\"spacingAndGlyphs\"%s>%s</text>",
            attributes, middle / 10, middle % 10, box->text / 10, box->text % 10,
            text_is_right_to_left(text) ? " direction=\"rtl\"" : "", escaped);
}

/* Write the grounds of both texts, with round corners outside. */
static void write_grounds(FILE *out, const struct box *label, const struct box *message,
                          const struct picture *picture, const struct theme *theme)
{
    const char *name = picture->known ? "known" : "unknown";
    const char *fill = picture->known ? theme->known : theme->unknown;

    if (label->width)
        fprintf(out,
                "<path class=\"presence-label\" fill=\"%s\" "
                "d=\"M%u 0v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z\"/>",
                theme->label, label->width);
    fprintf(out, "<path class=\"presence-%s\" fill=\"%s\" ", name, fill);
    if (label->width)
        fprintf(out, "d=\"M%u 0h%ua3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-%uz\"/>", message->x,
                message->width - 3, message->width - 3);
    else
        fprintf(out,
                "d=\"M3 0h%ua3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z\"/>",
                message->width - 6);
}

static void write_picture(FILE *out, const struct picture *picture, const struct theme *theme)
{
    struct box label = measure(picture->label, 0), message = measure(picture->message, label.width);
    unsigned width = label.width + message.width;
    const char *colon = label.width ? ": " : "";
    char title[TEXT_SIZE], attributes[64];

    escape(picture->label, title);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"20\" "
            "viewBox=\"0 0 %u 20\" role=\"img\" aria-label=\"%s%s%s\"><title>%s%s%s</title>%s",
            width, width, title, colon, picture->message, title, colon, picture->message,
            theme->style);
    write_grounds(out, &label, &message, picture, theme);
    /* Widths are those without kerning, at any size of the screen's pixels. */
    fputs("<g font-family=\"Verdana,Geneva,DejaVu Sans,sans-serif\" font-size=\"11\" "
          "text-anchor=\"middle\" text-rendering=\"geometricPrecision\" "
          "style=\"font-kerning:none;font-variant-ligatures:none\">",
          out);
    snprintf(attributes, sizeof(attributes), "class=\"presence-label-text\" fill=\"%s\"",
             theme->label_text);
    if (label.width)
        write_text(out, &label, attributes, picture->label);
    write_text(out, &message, "fill=\"#fff\"", picture->message);
    fputs("</g></svg>", out);
}

/* ---- answers -------------------------------------------------------------------------------- */

#define POLICY                                                                             \
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'; sandbox"

/* Answer with an allocated text, which is freed, or with 304 if the client has it already. */
static enum MHD_Result answer(const struct web *web, struct http_request *request, const char *type,
                              char *text)
{
    char tag[TAG_SIZE];

    if (!text)
        return MHD_NO;
    snprintf(tag, sizeof(tag), "\"%016" PRIx64 "\"", XXH3_64bits(text, strlen(text)));
    bool is_fresh = request_has_tag(request, tag);
    if (is_fresh)
        *text = '\0';
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "ETag", tag);
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "cross-origin");
    if (web->jwt_keys.count == 0) /* with a token, it isn't for everybody */
        MHD_add_response_header(response, "Cache-Control", CACHE_CONTROL);
    return respond(web, request, is_fresh ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}

/* Parse a parameter that may be given once; NULL without it. */
static bool parse_text(const struct http_request *request, const char *name, const char **ret,
                       struct problem *problem)
{
    *ret = NULL;
    if (http_request_query_all(request, name, ret, 1) > 1)
        return problem_bad_request(problem, "%s may be given once", name);
    return true;
}

static bool parse_label(const struct http_request *request, char *ret, struct problem *problem)
{
    const char *label;

    if (!parse_text(request, "label", &label, problem))
        return false;
    if (label && *label && !place_is_name(label, LABEL_MAX))
        return problem_bad_request(
            problem, "label must have at most 255 bytes of UTF-8 without control characters");
    copy_label(label ? label : LABEL, ret);
    return true;
}

static bool parse_theme(const struct http_request *request, const struct theme **ret,
                        struct problem *problem)
{
    const char *name;

    if (!parse_text(request, "theme", &name, problem))
        return false;
    for (size_t i = 0; i < sizeof(themes) / sizeof(themes[0]); i++) {
        if (strcmp(name ? name : "auto", themes[i].name) == 0) {
            *ret = &themes[i];
            return true;
        }
    }
    return problem_bad_request(problem, "theme must be auto, light or dark");
}

/* Parse what the picture shows, and count its place. False: the request was suspended or refused,
 * and `*ret_result` is what its handler returns. */
static bool load(const struct web *web, struct http_request *request, struct picture *ret,
                 const struct theme **ret_theme, enum MHD_Result *ret_result)
{
    struct request_places query;
    struct problem problem;
    struct number number;
    bool is_good = request_parse_places(web, request, &query, &problem) &&
                   parse_label(request, ret->label, &problem) &&
                   parse_theme(request, ret_theme, &problem);

    if (is_good && query.count > 1)
        is_good = problem_bad_request(&problem, "a picture shows one place, not %zu", query.count);
    if (!is_good) {
        *ret_result = respond_problem(web, request, &problem);
        return false;
    }
    live_count(web->live, &query.places[0], query.window_s, &number);
    if (number.pending && live_suspend(web->live, request)) {
        *ret_result = MHD_YES;
        return false;
    }
    set_message(ret, &number);
    return true;
}

enum MHD_Result picture_handle(void *context, struct http_request *request)
{
    const struct web *web = context;
    const struct theme *theme;
    enum MHD_Result result;
    struct picture picture;
    struct text_stream stream;

    if (!load(web, request, &picture, &theme, &result))
        return result;
    FILE *out = text_stream_open(&stream);
    if (!out)
        return MHD_NO;
    write_picture(out, &picture, theme);
    char *text = text_stream_close(&stream, NULL);
    return answer(web, request, "image/svg+xml; charset=utf-8", text);
}

enum MHD_Result picture_handle_json(void *context, struct http_request *request)
{
    const struct web *web = context;
    const struct theme *theme;
    enum MHD_Result result;
    struct picture picture;

    if (!load(web, request, &picture, &theme, &result))
        return result;
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:i}", "schemaVersion", 1, "label", picture.label,
                  "message", picture.message, "color", picture.known ? "brightgreen" : "lightgrey",
                  "cacheSeconds", CACHE_SECONDS);
    if (!picture.known)
        json_object_set_new(object, "isError", json_true());
    char *text = json_whole_text(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    return answer(web, request, "application/json; charset=utf-8", text);
}
