/* slots.pml - the table: writers, a sweep, two keys that compete for the same slots, and strangers
 * that take what is free.
 *
 * One step for each access to a shared word, in the order of include/core/table.h. Where the code
 * chooses a certain free slot, the model may choose any that it saw. A key's writers have the same
 * search order. Ticks are not modulo 2^20: no word is that old.
 *
 * When all are done, a key is in one slot at most, nothing that had to stay is lost unless a heartbeat
 * of the key was refused, each tick that a window still counts has as many visitors in its bucket
 * as words, and the counters of slots agree with the table. */
#include "chosen.h"

#define SWEEP_STORES         1 /* table_sweep() stores instead of swapping */
#define REFRESH_STORES       2 /* table_refresh() stores instead of swapping */
#define INSERT_STORES        3 /* table_upsert() stores instead of swapping */
#define RAISE_FIRST_STORES   4 /* table_merge() raises the first copy by a store */
#define CLEAR_STORES         5 /* table_merge() clears the other copies by a store */
#define RAISE_STORES         6 /* table_settle() raises the only copy by a store */
#define LEAVE_STORES         7 /* table_leave() stores instead of swapping */
#define NO_SETTLE            8 /* an insert is done once it has swapped */
#define NO_SCAN_AFTER_MERGE  9 /* table_settle() is done once it has merged */
#define NO_SEARCH_AFTER_SCAN 10 /* an insert is done when its scan finds no copy */
#define NO_SEARCH_AFTER_SWAP 11 /* an insert whose swap failed is done */
#define NO_SEARCH_REFRESHED  12 /* a refresh whose swap failed is done */
#define LEAVE_FIRST_ONLY     13 /* table_leave() clears one copy */
#define NO_RAISE_FIRST       14 /* table_merge() neither raises the first copy nor remembers the newest */
#define REUSE_ANY            15 /* table_choose_slot() reuses a word that a window counts */
#define SWEEP_COUNTED        16 /* table_sweep() frees a word that a window counts */
#define MOVE_TWICE           17 /* a bucket changes although the swap has failed */
#define KEEP_OLD_BUCKET      18 /* table_replace() does not subtract */
#define MOVE_BACKWARD        19 /* table_refresh() moves a tick backward */
#define LONE_STORES_ALL      20 /* table_swap() of a lone writer stores over expired words, too */
#define HIDE_REFUSAL         21 /* table_upsert() that cleared a copy and finds no slot is not refused */

#define SLOTS_MAX   3
#define WRITERS_MAX 4
/* Ages at which no window counts a word, and at which its slot is free. */
#define LONGEST     2
#define EXPIRY      3
/* The ticks of batches, since one worker may be behind, and what a leave has instead. */
#define EARLY       4
#define LATE        5
#define LEAVES      0

/* A word is 0, or a key (0 or 1) and a tick (1 to 5). */
#define WORD(key, tick)       ((key) << 3 | (tick))
#define TICK(word)            ((word) & 7)
#define HAS_KEY(word, key)    ((word) != 0 && (word) >> 3 == (key))
/* table_is_old() */
#define IS_OLD(word, now, age) ((now) >= TICK(word) + (age))

byte word[SLOTS_MAX];
byte bucket[2]; /* of EARLY and of LATE, which all windows count: what tally_add() publishes */
byte slots, writers;
byte counted;   /* slots that are taken, as the counters say: COUNTER_entries_taken and _freed */
bool is_lone;   /* one writer, which stores: lone_writer */

/* For the judgement. */
byte tick_of[WRITERS_MAX], key_of[WRITERS_MAX];
bool is_done[WRITERS_MAX], is_late[WRITERS_MAX], was_full[WRITERS_MAX];
byte running;

mtype = { FIND, REFRESH, LEAVE, CHOOSE, INSERT, SCAN, RAISE, RAISE_FIRST, CLEAR, DONE };

/* table_swap(): replace a word if it is unchanged. A lone writer need not check, unless the sweep may
 * free the word meanwhile. */
#define SWAP(site, slot, old, new)                                                             \
    is_swapped = word[slot] == (old) || HAS(site) ||                                           \
                 (is_lone && (!IS_OLD(old, now, LONGEST) || HAS(LONE_STORES_ALL)));            \
    if                                                                                         \
    :: is_swapped -> word[slot] = new                                                          \
    :: else                                                                                    \
    fi

#define MOVE(tick, by)                                                                         \
    if                                                                                         \
    :: (tick) >= EARLY -> bucket[(tick) - EARLY] = bucket[(tick) - EARLY] + (by)               \
    :: else                                                                                    \
    fi

/* table_replace(): a successful swap moves a bucket. */
#define REPLACE(site, slot, old, new)                                                          \
    SWAP(site, slot, old, new);                                                                \
    if                                                                                         \
    :: is_swapped || HAS(MOVE_TWICE) ->                                                        \
        MOVE(TICK(new), 1);                                                                    \
        if                                                                                     \
        :: HAS(KEEP_OLD_BUCKET)                                                                \
        :: else -> MOVE(TICK(old), -1)                                                         \
        fi                                                                                     \
    :: else                                                                                    \
    fi

#define NEXT(where)                                                                            \
    step = where;                                                                              \
    i = 0

inline forget()
{
    i = 0;
    do
    :: i < SLOTS_MAX -> copies[i] = 0; i++
    :: else -> break
    od;
    i = 0;
    count = 0;
    newest = 0
}

inline begin()
{
    is_late[me] = true;
    do
    :: i < writers ->
        is_late[me] = is_late[me] && (key_of[i] != key_of[me] || is_done[i] ||
                                      (tick_of[i] == LEAVES) == (tick_of[me] == LEAVES));
        i++
    :: else -> break
    od;
    i = 0;
    now = (tick_of[me] == LEAVES -> LATE : tick_of[me])
}

/* table_settle(): choose what follows from a scan. */
inline judge_scan()
{
    i = 0;
    do
    :: i < slots && copies[i] == 0 -> i++
    :: else -> break
    od;
    if
    :: count == 0 -> forget(); step = (HAS(NO_SEARCH_AFTER_SCAN) -> DONE : FIND)
    :: count == 1 && TICK(newest) >= now -> step = DONE
    :: count == 1 && TICK(newest) < now -> step = RAISE
    :: count > 1 && (copies[i] == newest || HAS(NO_RAISE_FIRST)) -> copies[i] = 0; step = CLEAR
    :: count > 1 && copies[i] != newest && !HAS(NO_RAISE_FIRST) -> step = RAISE_FIRST
    fi
}

proctype writer(byte me)
{
    mtype step = FIND;
    byte now, i, slot, seen, newest, count, age;
    byte copies[SLOTS_MAX];
    bool is_swapped, has_inserted, has_cleared;

    d_step { begin() }
    do
    :: d_step { step == FIND -> /* table_find_in(): load the next slot in search order */
        seen = word[i];
        if
        :: HAS_KEY(seen, key_of[me]) && tick_of[me] == LEAVES -> slot = i; step = LEAVE
        :: HAS_KEY(seen, key_of[me]) && tick_of[me] != LEAVES ->
            if
            :: TICK(seen) >= now && !HAS(MOVE_BACKWARD) -> NEXT(DONE)
            :: else -> slot = i; NEXT(REFRESH)
            fi
        :: else ->
            seen = 0;
            i++;
            if
            :: i < slots
            :: i == slots && tick_of[me] == LEAVES -> NEXT(DONE)
            :: i == slots && tick_of[me] != LEAVES -> age = EXPIRY; slot = SLOTS_MAX; NEXT(CHOOSE)
            fi
        fi }
    :: d_step { step == REFRESH -> /* table_refresh(): swap the word for one with our tick */
        REPLACE(REFRESH_STORES, slot, seen, WORD(key_of[me], now));
        step = (is_swapped || HAS(NO_SEARCH_REFRESHED) -> DONE : FIND);
        is_swapped = false; seen = 0; slot = 0 }
    :: d_step { step == LEAVE -> /* table_leave(): swap the word for 0, and go on behind it */
        REPLACE(LEAVE_STORES, slot, seen, 0);
        counted = counted - is_swapped;
        i = i + is_swapped;
        if
        :: i == slots || HAS(LEAVE_FIRST_ONLY) -> NEXT(DONE)
        :: else -> step = FIND
        fi;
        is_swapped = false; seen = 0; slot = 0 }
    :: d_step { step == CHOOSE && i < slots -> /* table_free_slot(): load the next slot */
        copies[i] = 1 + word[i];
        if
        :: word[i] == 0 || IS_OLD(word[i], now, age) || (HAS(REUSE_ANY) && age == LONGEST)
        :: else -> copies[i] = 0
        fi;
        count = count + (copies[i] != 0);
        i++ }
    :: d_step { step == CHOOSE && i == slots && count == 0 -> /* table_upsert(): no slot is free */
        if
        :: age == EXPIRY -> age = LONGEST; i = 0
        :: age == LONGEST -> age = 0; slot = 0; NEXT(DONE);
            was_full[me] = !has_inserted || (has_cleared && !HAS(HIDE_REFUSAL))
        fi }
    :: atomic { step == CHOOSE && i == slots && count != 0 -> /* table_choose_slot(): any of them */
        if
        :: copies[0] != 0 -> slot = 0
        :: copies[1] != 0 -> slot = 1
        :: copies[2] != 0 -> slot = 2
        fi;
        d_step { seen = copies[slot] - 1; age = 0; forget(); step = INSERT } }
    :: d_step { step == INSERT -> /* table_upsert(): swap that slot's word for the new one */
        SWAP(INSERT_STORES, slot, seen, WORD(key_of[me], now));
        if
        :: is_swapped ->
            has_inserted = true;
            MOVE(now, 1);
            counted = counted + (seen == 0);
            step = (is_lone || HAS(NO_SETTLE) -> DONE : SCAN)
        :: else -> step = (HAS(NO_SEARCH_AFTER_SWAP) -> DONE : FIND)
        fi;
        is_swapped = false; seen = 0; slot = 0 }
    :: d_step { step == SCAN -> /* table_scan(): load the next slot, and count the copies */
        copies[i] = (HAS_KEY(word[i], key_of[me]) -> word[i] : 0);
        newest = (copies[i] > newest -> copies[i] : newest);
        count = count + (copies[i] != 0);
        i++;
        if
        :: i == slots -> judge_scan()
        :: else
        fi }
    :: d_step { step == RAISE -> /* table_settle(): swap the only copy for our tick */
        REPLACE(RAISE_STORES, i, copies[i], WORD(key_of[me], now));
        is_swapped = false;
        forget();
        step = SCAN }
    :: d_step { step == RAISE_FIRST -> /* table_merge(): swap the first copy for the newest tick */
        REPLACE(RAISE_FIRST_STORES, i, copies[i], newest);
        copies[i] = 0;
        if
        :: is_swapped -> step = CLEAR
        :: else -> forget(); step = SCAN
        fi;
        is_swapped = false }
    :: d_step { step == CLEAR -> /* table_merge(): swap the next of the other copies for 0 */
        do
        :: i < slots && copies[i] == 0 -> i++
        :: else -> break
        od;
        if
        :: i < slots ->
            REPLACE(CLEAR_STORES, i, copies[i], 0);
            counted = counted - is_swapped;
            has_cleared = has_cleared || is_swapped;
            if
            :: is_swapped && TICK(copies[i]) > now && !HAS(NO_RAISE_FIRST) -> now = TICK(copies[i])
            :: else
            fi;
            is_swapped = false;
            copies[i] = 0
        :: else
        fi;
        do
        :: i < slots && copies[i] == 0 -> i++
        :: else -> break
        od;
        if
        :: i == slots -> forget(); step = (HAS(NO_SCAN_AFTER_MERGE) -> DONE : SCAN)
        :: else
        fi }
    :: d_step { step == DONE -> forget(); now = 0; has_inserted = false; has_cleared = false;
        is_done[me] = true; running-- } break
    od
}

proctype sweep()
{
    byte i, seen;

    do
    :: d_step { i < slots && seen == 0 -> /* table_sweep(): load the next word */
        if
        :: word[i] != 0 && (IS_OLD(word[i], LATE, EXPIRY) || (HAS(SWEEP_COUNTED) && TICK(word[i]) < LATE)) ->
            seen = word[i]
        :: else -> i++
        fi }
    :: d_step { seen != 0 -> /* table_sweep(): swap an expired word for 0 */
        if
        :: word[i] == seen || HAS(SWEEP_STORES) -> word[i] = 0; counted--
        :: else
        fi;
        seen = 0;
        i++ }
    :: d_step { i == slots -> i = 0; running-- } break
    od
}

/* Other keys, which have no other writer, take all slots that are free. */
proctype strangers()
{
    byte i;

    d_step {
        do
        :: i < slots && word[i] == 0 -> word[i] = WORD(2 + i, LATE); MOVE(LATE, 1); counted++; i++
        :: i < slots && word[i] != 0 -> i++
        :: else -> break
        od;
        i = 0;
        running--
    }
}

/* ---- what has to be true when all are done --------------------------------------------------- */

inline judge_key(key)
{
    copies = 0;
    tick = 0;
    i = 0;
    do
    :: i < slots ->
        if
        :: HAS_KEY(word[i], key) -> copies++; tick = TICK(word[i])
        :: else
        fi;
        i++
    :: else -> break
    od;
    assert(copies <= 1);
    leaves = 0;
    heartbeats = 0;
    newest = 0;
    newest_late = 0;
    has_late_leave = false;
    has_refused = false;
    i = 0;
    do
    :: i < writers ->
        if
        :: key_of[i] == key && tick_of[i] == LEAVES ->
            leaves++;
            has_late_leave = has_late_leave || is_late[i]
        :: key_of[i] == key && tick_of[i] != LEAVES && !was_full[i] ->
            heartbeats++;
            newest = (tick_of[i] > newest -> tick_of[i] : newest);
            newest_late = (is_late[i] && tick_of[i] > newest_late -> tick_of[i] : newest_late)
        :: key_of[i] == key && tick_of[i] != LEAVES && was_full[i] -> has_refused = true
        :: else
        fi;
        i++
    :: else -> break
    od;
    if
    :: leaves == 0 && heartbeats > 0 -> assert(copies == 1 && tick == newest)
    :: leaves > 0 -> assert(tick >= newest_late || has_refused)
    :: else
    fi;
    if
    :: copies > 0 && leaves > 0 -> assert(heartbeats > 0 && !(has_late_leave && leaves == 1))
    :: else
    fi
}

inline judge()
{
    judge_key(0);
    judge_key(1);
    /* A window at LATE counts these ticks. */
    tick = LATE - LONGEST + 1;
    do
    :: tick <= LATE ->
        copies = 0;
        i = 0;
        do
        :: i < slots -> copies = copies + (TICK(word[i]) == tick); i++
        :: else -> break
        od;
        assert(bucket[tick - EARLY] == copies);
        tick++
    :: else -> break
    od;
    copies = 0;
    i = 0;
    do
    :: i < slots -> copies = copies + (word[i] != 0); i++
    :: else -> break
    od;
    assert(counted == copies)
}

/* ---- what they begin with -------------------------------------------------------------------- */

/* Put a key into one slot, or nowhere. */
inline put(key)
{
    if
    :: i = 0
    :: i = 1
    :: slots == 3 -> i = 2
    :: i = slots
    fi;
    if
    :: i < slots && word[i] == 0 ->
        if
        :: tick = 3
        :: writers < 3 || IS_LARGE -> tick = 1
        :: writers < 3 || IS_LARGE -> tick = 4
        :: IS_LARGE -> tick = 2
        fi;
        word[i] = WORD(key, tick);
        MOVE(tick, 1);
        counted++
    :: else
    fi
}

/* Choose what a writer does. Writers are alike, so they are ordered by it. */
inline choose()
{
    if
    :: operation == 0 -> tick_of[count] = EARLY; key_of[count] = 0
    :: operation <= 1 -> tick_of[count] = LATE; key_of[count] = 0; operation = 1
    :: operation <= 2 -> tick_of[count] = LEAVES; key_of[count] = 0; operation = 2
    :: operation <= 3 && (writers < 3 || IS_LARGE) -> tick_of[count] = LATE; key_of[count] = 1; operation = 3
    :: operation <= 4 && IS_LARGE -> tick_of[count] = LEAVES; key_of[count] = 1; operation = 4
    fi
}

init {
    byte i, copies, tick, count, leaves, heartbeats, newest, newest_late, operation;
    bool has_late_leave, has_refused;

    atomic {
        if
        :: IS_LARGE -> writers = 4; slots = 2
        :: writers = 1; slots = 3; is_lone = true
        :: writers = 2; slots = 3
        :: writers = 3; slots = 2
        fi;
        if
        :: writers < 4 ->
            put(0);
            put(1);
            do
            :: count < writers -> choose(); count++
            :: else -> break
            od
        :: writers == 4 -> /* a merge, during which a heartbeat comes back after a leave */
            tick_of[0] = EARLY;
            tick_of[1] = LATE;
            tick_of[2] = LATE;
            tick_of[3] = LEAVES;
            count = 4
        :: writers == 2 -> /* copies that a killed daemon left */
            word[0] = WORD(0, EARLY);
            word[1] = WORD(0, EARLY);
            bucket[0] = 2;
            counted = 2;
            tick_of[0] = LEAVES;
            tick_of[1] = LEAVES;
            count = 2
        fi;
        running = writers + 1;
        if
        :: writers < 4 -> run sweep()
        :: writers > 2 -> run strangers()
        fi;
        do
        :: count > 0 -> count--; run writer(count)
        :: else -> break
        od;
        i = 0;
        tick = 0;
        operation = 0
    }
    running == 0;
    d_step { judge() }
}
