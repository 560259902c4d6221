/* test_directory_kill.c - directory.h killed at every store: a child creates and retires scopes one
 * instruction at a time; whenever it has changed the segment, another daemon adopts a copy. */
#include "directory_fixture.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "segment_judge.h"

#define CAPACITY 6
#define SKIPPED  77

static const uint64_t start = 1000000;

static const char *const sites[] = {"a.example", "b.example", "c.example"};

/* Set up `a` with a room, `b`, and a free entry with a used ring. */
static void open_scopes(struct fixture *fixture)
{
    open_directory(fixture, CAPACITY, 300);
    fixture->segment.directory.head_mask = 0; /* all in one chain */
    fixture->segment.header->state = SEGMENT_LISTENING;
    fixture->segment.header->tick = start + RING_SECONDS;
    hold_site(fixture, sites[0], start);
    hold_label(fixture, sites[0], 0, SCOPE_ROOM, "/", start);
    hold_site(fixture, sites[1], start + 400);
    for (uint32_t i = 0; i < CAPACITY; i++)
        for (uint64_t tick = start; tick < start + RING_SECONDS; tick += 7)
            ring_add(&fixture->segment.directory.rings[i], tick, 3);
}

static void create_site(struct fixture *fixture)
{
    hold_site(fixture, sites[2], start + 400);
}

static void create_room(struct fixture *fixture)
{
    hold_label(fixture, sites[1], 2, SCOPE_ROOM, "/new", start + 400);
}

static void retire_a(struct fixture *fixture)
{
    retire_all(fixture, start + 400);
    retire_all(fixture, start + 400);
}

/* Check that a created scope is complete: its key matches its name, its ring is empty. */
static void expect_complete(struct fixture *fixture, const struct scope_name *name)
{
    static const struct ring empty;
    struct directory *directory = &fixture->segment.directory;
    uint64_t state;
    uint32_t index = scope_find(directory, name, &state);

    if (index == SCOPE_NONE)
        return;
    const struct scope_key *site_key =
        name->kind == SCOPE_SITE ? NULL : &directory->entries[name->site].key;
    struct scope_key key = scope_key_derive(fixture->segment.header->secret, site_key, name);
    assert_memory_equal(&directory->entries[index].key, &key, sizeof(key));
    assert_memory_equal(&directory->rings[index], &empty, sizeof(empty));
}

/* Find a scope as a reader does. */
static uint32_t find(const struct fixture *fixture, struct scope_name name)
{
    uint64_t state;

    return scope_find(&fixture->segment.directory, &name, &state);
}

/* Check the state for a reader, then for the next daemon. */
static void check_creation(struct fixture *copy)
{
    struct scope_name created = name_site(copy, sites[2]);
    struct scope_name room = name_label(copy, sites[1], 2, SCOPE_ROOM, "/new");

    for (unsigned adopted = 0; adopted < 2; adopted++) {
        if (adopted)
            reopen_directory(copy);
        assert_int_equal(find(copy, name_site(copy, sites[0])), 0);
        assert_int_equal(find(copy, name_label(copy, sites[0], 0, SCOPE_ROOM, "/")), 1);
        assert_int_equal(find(copy, name_site(copy, sites[1])), 2);
        expect_complete(copy, &created);
        expect_complete(copy, &room);
    }
    expect_sound(copy);
}

static void check_retirement(struct fixture *copy)
{
    for (unsigned adopted = 0; adopted < 2; adopted++) {
        if (adopted)
            reopen_directory(copy);
        uint32_t a = find(copy, name_site(copy, sites[0]));
        uint32_t room = find(copy, name_label(copy, sites[0], 0, SCOPE_ROOM, "/"));
        assert_true(a == 0 || (a == SCOPE_NONE && room == SCOPE_NONE));
        assert_true(room == 1 || room == SCOPE_NONE);
        assert_int_equal(find(copy, name_site(copy, sites[1])), 2);
    }
    expect_sound(copy);
}

static void check_capacity(struct fixture *copy)
{
    uint32_t free = copy->writer.free_count, created = 0;
    char name[16];

    do
        snprintf(name, sizeof(name), "new%u", created);
    while (hold_site(copy, name, start) != SCOPE_NONE && ++created);
    assert_int_equal(created, free);
    expect_sound(copy);
}

/* The copy is attached, not replaced. */
static void expect_judged_sound(const struct fixture *copy)
{
    struct segment_fault fault;
    uint64_t entries;

    if (!segment_is_sound(&copy->segment, start + RING_SECONDS, &entries, &fault))
        fail_msg("%s %llu: %s", fault.part, (unsigned long long)fault.index, fault.what);
}

static pid_t start_child(struct fixture *fixture, void (*operation)(struct fixture *))
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(SKIPPED);
        raise(SIGSTOP);
        operation(fixture);
        _exit(0);
    }
    return child;
}

static void kill_everywhere(void (*operation)(struct fixture *), void (*check)(struct fixture *))
{
    struct fixture fixture, copy;
    unsigned states = 0;
    int status;

    open_scopes(&fixture);
    open_directory(&copy, CAPACITY, 300);
    copy.segment.directory.head_mask = 0;
    /* All but the table, which the directory does not use. */
    size_t size = (size_t)((char *)fixture.segment.table.words - (char *)fixture.segment.header);
    char *before = malloc(size);
    assert_non_null(before);
    memcpy(before, fixture.segment.header, size);

    pid_t child = start_child(&fixture, operation);
    bool traced = false;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (!traced)
            ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL);
        traced = true;
        if (memcmp(before, fixture.segment.header, size) != 0) {
            memcpy(before, fixture.segment.header, size);
            memcpy(copy.segment.header, before, size);
            expect_judged_sound(&copy);
            check(&copy);
            check_capacity(&copy);
            states++;
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    }
    free(before);
    close_directory(&copy);
    close_directory(&fixture);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        print_message("skipped: tracing is not permitted here\n");
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    print_message("%u states\n", states);
    assert_true(states > 5);
}

static void creating_a_site_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(create_site, check_creation);
}

static void creating_a_room_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(create_room, check_creation);
}

static void retiring_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(retire_a, check_retirement);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating_a_site_can_be_killed),
        cmocka_unit_test(creating_a_room_can_be_killed),
        cmocka_unit_test(retiring_can_be_killed),
    };
    return cmocka_run_group_tests_name("directory_kill", tests, NULL, NULL);
}
