#include "summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/text_stream.h"

static void write_rejected(FILE *out, const struct decoder_counts *counts)
{
    uint64_t rejected = counts->datagrams_received - counts->datagrams_accepted;
    const char *before = " (";

    fprintf(out, "%" PRIu64 " rejected", rejected);
    for (unsigned i = 0; i < DECODER_REASONS; i++) {
        if (!counts->datagrams_rejected[i])
            continue;
        fprintf(out, "%s%s %" PRIu64, before, decoder_reason_name((enum decoder_reason)i),
                counts->datagrams_rejected[i]);
        before = ", ";
    }
    if (rejected)
        fputc(')', out);
}

static void write_account(FILE *out, const struct account *account)
{
    char text[ACCOUNT_TEXT_SIZE];

    account_describe(account, text);
    fprintf(out, "; %s", text);
}

char *summary_format(const struct accounts_view *view)
{
    const struct decoder_counts *counts = &view->counts;
    struct text_stream stream;
    FILE *out = text_stream_open(&stream);

    if (!out)
        return NULL;
    fprintf(out, "received %" PRIu64 " datagrams = %" PRIu64 " accepted + ",
            counts->datagrams_received, counts->datagrams_accepted);
    write_rejected(out, counts);
    fprintf(out, "; %" PRIu64 " dropped by the sockets; accepted %" PRIu64 " heartbeats",
            view->socket_drops, counts->heartbeats);
    for (uint32_t i = 0; i < view->count; i++)
        write_account(out, &view->all[i]);
    return text_stream_close(&stream, NULL);
}

void summary_log(const struct accounts *accounts)
{
    struct accounts_view view;
    char *text = NULL;

    if (accounts_load(accounts, &view) == 0) {
        text = summary_format(&view);
        accounts_view_free(&view);
    }
    if (text)
        log_text(text);
    else
        log_line("cannot log the account: %s", strerror(ENOMEM));
    free(text);
}
