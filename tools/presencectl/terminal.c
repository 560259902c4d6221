#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/text_stream.h"

/* The alternate screen, without a cursor and without automatic line wrap. */
#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

static struct {
    struct termios before;
    bool is_open;
    sigset_t unblocked; /* the mask before terminal_open(); in force while terminal_wait() polls */
} terminal;

static volatile sig_atomic_t ended_by, resized, stopped;

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- entering and leaving ------------------------------------------------------------------- */

static bool write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        }
    }
    return true;
}

static void enter_screen(void)
{
    struct termios raw = terminal.before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDOUT_FILENO, TCSADRAIN, &raw);
    write_all(SCREEN_ENTER, strlen(SCREEN_ENTER));
}

/* Restore the terminal. Async-signal-safe, for on_crash(). */
static void leave_screen(void)
{
    write_all(SCREEN_LEAVE, strlen(SCREEN_LEAVE));
    tcsetattr(STDOUT_FILENO, TCSADRAIN, &terminal.before);
}

static void leave_screen_at_exit(void)
{
    if (terminal.is_open)
        leave_screen();
    terminal.is_open = false;
}

/* ---- signals ----------------------------------------------------------------------------- */

static void on_signal(int signal)
{
    switch (signal) {
    case SIGWINCH:
    case SIGCONT:
        resized = 1;
        break;
    case SIGTSTP:
        stopped = 1;
        break;
    default:
        ended_by = signal;
    }
}

/* Restore the terminal, then let the crash end the program: SA_RESETHAND has restored the default
 * action, and raise() takes it. */
static void on_crash(int signal)
{
    leave_screen_at_exit();
    raise(signal);
}

/* Set the actions of the signals that end, stop, continue or resize the view, and of those of
 * crashes. */
static void set_signals(const struct sigaction *action, const struct sigaction *crash)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

    for (size_t i = 0; i < LENGTH(signals); i++)
        sigaction(signals[i], action, NULL);
    for (size_t i = 0; i < LENGTH(crashes); i++)
        sigaction(crashes[i], crash, NULL);
}

static void handle_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    const struct sigaction crash = {.sa_handler = on_crash,
                                    .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < LENGTH(signals); i++)
        sigaddset(&blocked, signals[i]);
    sigprocmask(SIG_BLOCK, &blocked, &terminal.unblocked); /* except in terminal_wait() */
    set_signals(&action, &crash);
}

static void default_signals(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};

    set_signals(&action, &action);
    sigprocmask(SIG_SETMASK, &terminal.unblocked, NULL);
}

/* Restore the terminal for the shell, stop, and enter the screen again once continued. */
static void stop(void)
{
    stopped = 0;
    leave_screen();
    raise(SIGSTOP);
    enter_screen();
    resized = 1;
}

/* ---- the screen -------------------------------------------------------------------------- */

bool terminal_is_usable(void)
{
    const char *kind = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(kind && strcmp(kind, "dumb") == 0);
}

int terminal_open(void)
{
    static bool is_registered;

    if (tcgetattr(STDOUT_FILENO, &terminal.before) < 0)
        return -errno;
    handle_signals();
    if (!is_registered && atexit(leave_screen_at_exit) != 0)
        return -ENOMEM;
    is_registered = true;
    terminal.is_open = true;
    enter_screen();
    return 0;
}

void terminal_close(void)
{
    leave_screen_at_exit();
    default_signals();
    if (ended_by && ended_by != SIGINT)
        raise(ended_by);
}

void terminal_size(unsigned *ret_columns, unsigned *ret_rows)
{
    struct winsize size = {0};
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    *ret_columns = is_known && size.ws_col ? size.ws_col : 80;
    *ret_rows = is_known && size.ws_row ? size.ws_row : 24;
}

int terminal_show(const struct canvas *canvas, bool clear)
{
    struct text_stream stream;
    size_t size = 0;
    FILE *out = text_stream_open(&stream);
    bool is_whole = true;

    if (!out)
        return -ENOMEM;
    fputs(clear ? "\033[H\033[2J" : "\033[H", out);
    for (unsigned row = 0; row < canvas->rows; row++) {
        char *text = canvas_row(canvas, row);
        /* Erase first: after a full row the cursor is still on its last column. */
        fprintf(out, "%s\033[2K%s", row ? "\r\n" : "", text ? text : "");
        is_whole = is_whole && text;
        free(text);
    }
    char *frame = text_stream_close(&stream, &size);
    if (!frame || !is_whole) {
        free(frame);
        return -ENOMEM;
    }
    bool is_written = write_all(frame, size);
    free(frame);
    return is_written ? 0 : -EIO;
}

static enum terminal_event read_key(char *ret_key)
{
    ssize_t length = read(STDIN_FILENO, ret_key, 1);

    if (length == 1)
        return TERMINAL_KEY;
    return length < 0 && errno == EINTR ? TERMINAL_TIMEOUT : TERMINAL_END;
}

enum terminal_event terminal_wait(int timeout_ms, char *ret_key)
{
    const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    struct pollfd in = {.fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1, .events = POLLIN};
    int r = ppoll(&in, 1, &timeout, &terminal.unblocked);

    if (ended_by)
        return TERMINAL_END;
    if (stopped)
        stop();
    if (resized) {
        resized = 0;
        return TERMINAL_RESIZE;
    }
    if (r > 0)
        return read_key(ret_key);
    return r < 0 && errno != EINTR ? TERMINAL_END : TERMINAL_TIMEOUT;
}
