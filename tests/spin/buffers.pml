/* buffers.pml - what is stored becomes visible later: processors with store buffers.
 *
 * Each process has a buffer of stores that others do not see yet. Which of them comes out next is
 * any choice: the oldest, as on x86 (total store order), or the oldest of any address, as on
 * machines that keep the order of one address alone. A store-release comes out after all that was
 * stored before it; a compare-and-swap that is acquire and release alone is one, whose own store
 * may wait in the buffer while nobody else can take its word; one that is sequentially consistent
 * waits until the buffer is empty. Loads are carried out in their order: those that the code orders
 * by acquire, and what a weaker machine does without it is left to docs/memory-orders.md.
 *
 * Four parts of the code: inserters (table.h), an event and its reader (events.h), the server's
 * wake-up (http_server.c), and a bucket's move with its reader (ring.h). */
#include "chosen.h"

#define INSERT_RELEASE  1 /* table_swap() is release and acquire alone */
#define ENTER_RELEASE   2 /* events_write() has no fence between the odd state and the words */
#define PUBLISH_RELAXED 3 /* events_write() stores the even state relaxed */
#define WAKE_STORED     4 /* wait_for_work() clears by a store-release instead of an exchange */
#define MOVE_RELAXED    5 /* ring_add_bucket() is relaxed */
#define TICK_RELAXED    6 /* publish_tick() is relaxed, and so are the buckets */

#define PROCESSES 3
#define WORDS     3
#define DEPTH     3

byte memory[WORDS];
/* The buffers, oldest first; whether a store may overtake those of other addresses. */
byte address[PROCESSES * DEPTH], value[PROCESSES * DEPTH];
bool is_relaxed[PROCESSES * DEPTH], is_fifo;
byte length[PROCESSES];
byte running;

#define AT(me, i)    ((me) * DEPTH + (i))
#define IS_EMPTY(me) (length[me] == 0)

/* Take one store out of a buffer: the oldest, or one that may overtake all before it. */
inline take_out(me, i)
{
    memory[address[AT(me, i)]] = value[AT(me, i)];
    at = i;
    length[me]--;
    do
    :: at < length[me] ->
        address[AT(me, at)] = address[AT(me, at + 1)];
        value[AT(me, at)] = value[AT(me, at + 1)];
        is_relaxed[AT(me, at)] = is_relaxed[AT(me, at + 1)];
        at++
    :: else -> break
    od;
    address[AT(me, at)] = 0;
    value[AT(me, at)] = 0;
    is_relaxed[AT(me, at)] = false;
    at = 0
}

#define MAY_OVERTAKE(me, i, j) (address[AT(me, i)] != address[AT(me, j)] && is_relaxed[AT(me, i)])

proctype buffers()
{
    byte at;

    do
    :: d_step { length[0] > 0 -> take_out(0, 0) }
    :: d_step { length[1] > 0 -> take_out(1, 0) }
    :: d_step { length[2] > 0 -> take_out(2, 0) }
    :: d_step { !is_fifo && length[0] > 1 && MAY_OVERTAKE(0, 1, 0) -> take_out(0, 1) }
    :: d_step { !is_fifo && length[1] > 1 && MAY_OVERTAKE(1, 1, 0) -> take_out(1, 1) }
    :: d_step { !is_fifo && length[2] > 1 && MAY_OVERTAKE(2, 1, 0) -> take_out(2, 1) }
    :: d_step { !is_fifo && length[0] > 2 && MAY_OVERTAKE(0, 2, 0) && MAY_OVERTAKE(0, 2, 1) -> take_out(0, 2) }
    :: running == 0 && IS_EMPTY(0) && IS_EMPTY(1) && IS_EMPTY(2) -> break
    od
}

/* Store: it waits in the buffer. */
#define PUT(me, where, what, relaxed)                                                          \
    address[AT(me, length[me])] = where;                                                       \
    value[AT(me, length[me])] = what;                                                          \
    is_relaxed[AT(me, length[me])] = relaxed;                                                  \
    length[me]++

#define STORE(me, where, what, relaxed)                                                        \
    d_step { length[me] < DEPTH -> PUT(me, where, what, relaxed) }

/* Load: the newest of one's own stores, or memory. */
#define OWN(me, i, where) (length[me] > (i) && address[AT(me, i)] == (where))
#define SEEN(me, where)                                                                        \
    (OWN(me, 2, where) -> value[AT(me, 2)] : (OWN(me, 1, where) -> value[AT(me, 1)]            \
     : (OWN(me, 0, where) -> value[AT(me, 0)] : memory[where])))

#define WAITS(me, where) (OWN(me, 0, where) || OWN(me, 1, where) || OWN(me, 2, where))

/* ---- inserters: memory 0 and 1 are the slots ------------------------------------------------- */

byte inserted;

/* A compare-and-swap. Nobody else's waits in a buffer for the same word. */
#define SWAP(me, where, old, new)                                                              \
    atomic {                                                                                   \
        !WAITS((me + 1) % PROCESSES, where) && !WAITS((me + 2) % PROCESSES, where) &&          \
            length[me] < DEPTH && (HAS(INSERT_RELEASE) || IS_EMPTY(me));                       \
        is_swapped = SEEN(me, where) == (old);                                                 \
        if                                                                                     \
        :: is_swapped && HAS(INSERT_RELEASE) -> PUT(me, where, new, false)                     \
        :: is_swapped && !HAS(INSERT_RELEASE) -> memory[where] = new                           \
        :: else                                                                                \
        fi                                                                                     \
    }

proctype inserter(byte me)
{
    byte copies;
    bool is_swapped, first;

    do
    :: first = SEEN(me, 0); /* table_find() */
        if
        :: first -> break
        :: else
        fi;
        first = SEEN(me, 1); /* table_find() */
        if
        :: first -> break
        :: else
        fi;
        if
        :: SWAP(me, 0, 0, 1) /* table_upsert(): any free slot */
        :: SWAP(me, 1, 0, 1) /* table_upsert() */
        fi;
        if
        :: is_swapped ->
            first = SEEN(me, 0); /* table_scan() */
            copies = first + SEEN(me, 1); /* table_scan() */
            do
            :: copies == 2 ->
                SWAP(me, 1, 1, 0); /* table_merge() */
                first = SEEN(me, 0); /* table_scan() */
                copies = first + SEEN(me, 1) /* table_scan() */
            :: else -> break
            od;
            if
            :: copies == 1 -> break
            :: else
            fi
        :: else
        fi
    od;
    atomic { copies = 0; is_swapped = false; first = false; running-- }
}

/* ---- an event: memory 0 is the state, 1 and 2 are words -------------------------------------- */

proctype event_writer()
{
    if
    :: HAS(ENTER_RELEASE) -> STORE(0, 0, 3, true) /* events_enter(): the swap's own store waits */
    :: else ->
        STORE(0, 0, 3, true); /* events_enter() */
        IS_EMPTY(0) /* events_write(): the fence */
    fi;
    STORE(0, 1, 4, true); /* events_write(): a word */
    STORE(0, 2, 4, true); /* events_write(): a word */
    STORE(0, 0, 4, HAS(PUBLISH_RELAXED)); /* events_write(): the even state */
    running--
}

proctype event_reader()
{
    byte before, first, second;

    before = memory[0]; /* events_load(): the state */
    if
    :: before % 2 == 0 ->
        first = memory[1]; /* events_load(): a word */
        second = memory[2]; /* events_load(): a word */
        if
        :: memory[0] == before -> assert(first == before && second == before) /* events_load() */
        :: else
        fi
    :: else
    fi;
    d_step { before = 0; first = 0; second = 0; running-- }
}

/* ---- the wake-up: memory 0 is is_woken, 1 is the work; eventfd ------------------------------- */

bool eventfd, is_handled;

proctype waker()
{
    STORE(0, 1, 1, true); /* http_server_resume(): there is work */
    atomic { IS_EMPTY(0); eventfd = eventfd || memory[0] == 0; memory[0] = 1 } /* http_server_wake() */
    running--
}

proctype server()
{
    do
    :: eventfd || is_handled ->
        eventfd = false; /* wait_for_work() */
        if
        :: HAS(WAKE_STORED) -> STORE(1, 0, 0, false) /* wait_for_work() */
        :: else -> atomic { IS_EMPTY(1); memory[0] = 0 } /* wait_for_work() */
        fi;
        is_handled = SEEN(1, 1); /* http_server_turn() */
        if
        :: is_handled -> break
        :: else
        fi
    od;
    running--
}

/* ---- a bucket's move: memory 0 and 1 are buckets, 2 is the tick ------------------------------ */

proctype mover()
{
    if
    :: memory[2] = 2 /* publish_tick(), by whoever moved it before */
    :: STORE(0, 2, 2, HAS(TICK_RELAXED)) /* publish_tick() */
    fi;
    STORE(0, 1, 1, HAS(MOVE_RELAXED) || HAS(TICK_RELAXED)); /* ring_add_bucket(): add */
    STORE(0, 0, 0, HAS(MOVE_RELAXED) || HAS(TICK_RELAXED)); /* ring_add_bucket(): subtract */
    running--
}

/* The visitor is there all the time: at tick 1, and then at tick 2, in a window of one. */
proctype summer()
{
    byte tick, sum;

    tick = memory[2]; /* reader_load_moment() */
    sum = memory[0]; /* ring_bucket_count() */
    if
    :: tick == 2 -> sum = sum + memory[1] /* ring_bucket_count() */
    :: else
    fi;
    if
    :: memory[2] == tick -> assert(sum >= 1) /* reader_count(): the tick once more */
    :: else
    fi;
    d_step { tick = 0; sum = 0; running-- }
}

init {
    atomic {
        if
        :: is_fifo = true
        :: is_fifo = false
        fi;
        if
        :: running = 2; run inserter(0); run inserter(1); inserted = 1
        :: IS_LARGE -> running = 3; run inserter(0); run inserter(1); run inserter(2); inserted = 1
        :: memory[0] = 2; memory[1] = 2; memory[2] = 2; running = 2; run event_writer(); run event_reader()
        :: memory[0] = 1; eventfd = true; running = 2; run waker(); run server()
        :: memory[0] = 1; memory[2] = 1; running = 2; run mover(); run summer()
        fi;
        run buffers()
    }
    running == 0 && IS_EMPTY(0) && IS_EMPTY(1) && IS_EMPTY(2);
    assert(!inserted || memory[0] + memory[1] == 1)
}
