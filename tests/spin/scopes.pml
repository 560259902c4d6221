/* scopes.pml - who may free and reuse a scope while workers and readers look at it.
 *
 * Two entries; of three names two share a chain. Workers look a scope up, create it if it is missing, and
 * write into its ring, between locking and unlocking their gates. One thread retires idle scopes.
 * A reader counts a scope. One step for each access to a shared word, in the order of
 * daemon/directory.c, include/core/scope.h and lib/presence/reader_scope.c.
 *
 * A scope that a worker holds is not freed or renamed, no name has two entries, no worker misses a
 * scope that is there, and what a reader accepts is true: a count is of the scope that was asked
 * for, and a scope that it does not find was not there at one moment at least. */
#include "chosen.h"

#define NO_FIRST_GRACE    1 /* directory_retire() frees without waiting for batches */
#define NO_SECOND_GRACE   2 /* directory_retire() offers what it has freed without waiting again */
#define FREE_STORES       3 /* free_marked() stores the state instead of swapping */
#define REVIVE_STORES     4 /* find_live() stores the state instead of swapping */
#define NO_SECOND_LOOK    5 /* directory_hold() creates without searching again under the mutex */
#define NO_SEARCH_AGAIN   6 /* find_live() goes on when its swap has failed */
#define NO_REVIVAL        7 /* find_live() leaves a scope RETIRING */
#define USED_IS_FREED     8 /* free_marked() doesn't look at the last heartbeat again */
#define SAME_GENERATION   9 /* freeing keeps the generation */
#define READER_TRUSTS    10 /* load_scope() doesn't compare the generation again */
#define MISS_IS_CERTAIN  11 /* reader_find() doesn't compare the count of changes */
#define NO_CHANGE        12 /* unlink_freed() doesn't count the change */
#define PUBLISH_FIRST    13 /* create_scope() publishes the entry before it is named */
#define NO_CLEARING      14 /* create_scope() keeps the ring of the last scope */
#define UNLOCKED_HOLD    15 /* ingest_begin() does not lock the gate */

#define ENTRIES 2
#define NAMES   3
#define WORKERS 2
#define CHAIN(which) ((which) / 2)
/* States, and what is added when an entry is freed. */
#define FREE       0
#define LIVE       1
#define RETIRING   2
#define GENERATION 4
#define STATE(word) ((word) & 3)

/* The segment. Links are an index + 1; 0 ends the chain. */
byte state[ENTRIES], name[ENTRIES], next[ENTRIES], heads[2], changes;
byte ring[ENTRIES];      /* the name + 1 of the last who wrote there; 0: empty */
bool is_fresh[ENTRIES];  /* had a heartbeat within the longest window: last_heartbeat */

/* Of the process. */
bool gates[WORKERS], mutex;
bool is_available[ENTRIES]; /* for reuse: directory_writer.free */

/* For the judgement: how many workers hold an entry; whether a name is there; the names that were
 * missing at a moment of the current search of a worker or of the reader, as bits. */
byte holds[ENTRIES];
byte present, missing[WORKERS + 1];
byte running;

#define IS_PRESENT(which) (present & (1 << (which)))

inline note_missing()
{
    missing[0] = missing[0] | (7 - present);
    missing[1] = missing[1] | (7 - present);
    missing[2] = missing[2] | (7 - present)
}

/* scope_find(): the steps of a walk. Ends with `at` at the entry + 1 or 0, and `found` its state. */
inline find(which)
{
    d_step { at = heads[CHAIN(which)]; steps = ENTRIES } /* scope_find(): load the head */
    do
    :: at == 0 -> break
    :: at != 0 ->
        d_step { found = state[at - 1]; steps-- } /* scope_find(): load the state */
        if
        :: STATE(found) != FREE && name[at - 1] == which -> break /* scope_is_named() */
        :: else -> at = (steps -> next[at - 1] : 0) /* scope_find(): load the link */
        fi
    od
}

/* find_live(): find, and make it LIVE again if it is RETIRING. */
inline find_live(which)
{
    do
    :: find(which);
        if
        :: at == 0 || STATE(found) != RETIRING || HAS(NO_REVIVAL) -> break
        :: else ->
            atomic { /* swap_state(): RETIRING to LIVE */
                is_swapped = state[at - 1] == found || HAS(REVIVE_STORES);
                if
                :: is_swapped -> state[at - 1] = found - RETIRING + LIVE
                :: else
                fi
            }
            if
            :: is_swapped || HAS(NO_SEARCH_AGAIN) -> break
            :: else
            fi
        fi
    od
}

inline lock(which)
{
    atomic { !which -> which = true }
}

/* create_scope(): name a free entry and publish it. The mutex is held. */
inline create(which)
{
    atomic { /* create_scope(): pop a free entry */
        if
        :: is_available[0] -> at = 1; is_available[0] = false
        :: !is_available[0] && is_available[1] -> at = 2; is_available[1] = false
        :: else -> at = 0
        fi;
        assert(at == 0 || holds[at - 1] == 0)
    }
    if
    :: at != 0 ->
        if
        :: HAS(PUBLISH_FIRST) ->
            state[at - 1] = state[at - 1] + LIVE;
            next[at - 1] = heads[CHAIN(which)];
            heads[CHAIN(which)] = at
        :: else
        fi;
        name[at - 1] = which; /* create_scope(): the names */
        atomic { /* clear_ring() */
            ring[at - 1] = (HAS(NO_CLEARING) -> ring[at - 1] : 0);
            is_fresh[at - 1] = true
        }
        if
        :: HAS(PUBLISH_FIRST)
        :: else ->
            state[at - 1] = state[at - 1] + LIVE; /* create_scope(): LIVE */
            next[at - 1] = heads[CHAIN(which)] /* link_entry(): the link behind it */
        fi;
        d_step { /* link_entry(): the head */
            heads[CHAIN(which)] = at;
            assert(!IS_PRESENT(which));
            present = present | (1 << which)
        }
    :: else
    fi
}

proctype worker(byte me; byte which; bool creates)
{
    byte at, found, steps;
    bool is_swapped;

    if
    :: HAS(UNLOCKED_HOLD)
    :: else -> lock(gates[me]) /* ingest_begin() */
    fi;
    d_step { missing[me] = 7 - present }
    find_live(which);
    if
    :: at == 0 && creates ->
        lock(mutex); /* directory_hold() */
        if
        :: HAS(NO_SECOND_LOOK)
        :: else -> find_live(which)
        fi;
        if
        :: at == 0 -> create(which)
        :: else
        fi;
        mutex = false
    :: at == 0 && !creates -> assert(missing[me] & (1 << which)) /* a leave creates nothing */
    :: else
    fi;
    if
    :: at != 0 ->
        d_step { holds[at - 1]++; assert(STATE(state[at - 1]) != FREE && name[at - 1] == which) }
        if
        :: creates -> is_fresh[at - 1] = true /* touch_scope() */
        :: else
        fi;
        atomic { /* tally_publish(), before ingest_end() */
            assert(STATE(state[at - 1]) != FREE && name[at - 1] == which);
            ring[at - 1] = which + 1;
            holds[at - 1]--
        }
    :: else
    fi;
    d_step { gates[me] = false; running-- } /* ingest_end() */
}

/* collector_wait_for_batches(): lock and unlock each gate. */
inline grace()
{
    at = 0;
    do
    :: at < WORKERS -> !gates[at]; at++
    :: else -> break
    od;
    at = 0
}

/* directory_retire(), of both entries. */
proctype retirer()
{
    byte at, found, marked;

    lock(mutex);
    do
    :: at < ENTRIES ->
        found = state[at]; /* mark_idle(): load the state */
        if
        :: STATE(found) == LIVE && !is_fresh[at] -> /* mark_idle(): load the last heartbeat */
            d_step { /* swap_state(): LIVE to RETIRING */
                if
                :: state[at] == found -> state[at] = found - LIVE + RETIRING; marked = marked | (1 << at)
                :: else
                fi
            }
        :: else
        fi;
        at++
    :: else -> break
    od;
    mutex = false;
    if
    :: HAS(NO_FIRST_GRACE) || !marked
    :: else -> grace()
    fi;
    lock(mutex);
    at = 0;
    do
    :: at < ENTRIES ->
        if
        :: marked & (1 << at) ->
            found = state[at]; /* free_marked(): load the state */
            if
            :: STATE(found) != RETIRING -> marked = marked - (1 << at)
            :: STATE(found) == RETIRING && is_fresh[at] && !HAS(USED_IS_FREED) ->
                d_step { /* swap_state(): a worker has used it */
                    if
                    :: state[at] == found || HAS(FREE_STORES) -> state[at] = found - RETIRING + LIVE
                    :: else
                    fi;
                    marked = marked - (1 << at)
                }
            :: else ->
                d_step { /* swap_state(): RETIRING to FREE, and the next generation */
                    if
                    :: state[at] == found || HAS(FREE_STORES) ->
                        state[at] = found - RETIRING + (HAS(SAME_GENERATION) -> 0 : GENERATION);
                        assert(holds[at] == 0 && !is_fresh[at]);
                        present = present & (7 - (1 << name[at]));
                        note_missing()
                    :: else -> marked = marked - (1 << at)
                    fi
                }
                if
                :: marked & (1 << at) ->
                    d_step { /* unlink_entry() */
                        if
                        :: heads[CHAIN(name[at])] == at + 1 -> heads[CHAIN(name[at])] = next[at]
                        :: heads[CHAIN(name[at])] == 2 - at && next[1 - at] == at + 1 ->
                            next[1 - at] = next[at]
                        :: else
                        fi
                    }
                    changes = changes + !HAS(NO_CHANGE) /* count_change() */
                :: else
                fi
            fi
        :: else
        fi;
        at++
    :: else -> break
    od;
    mutex = false;
    if
    :: HAS(NO_SECOND_GRACE) || !marked
    :: else -> grace()
    fi;
    d_step { /* offer_freed() */
        is_available[0] = is_available[0] || (marked & 1);
        is_available[1] = is_available[1] || (marked & 2);
        at = 0;
        found = 0;
        marked = 0;
        running--
    }
}

proctype reader(byte which)
{
    byte at, found, steps, before, sum;

    d_step { missing[WORKERS] = 7 - present; before = changes } /* reader_find(): load the changes */
    find(which);
    if
    :: at == 0 ->
        if
        :: changes == before || HAS(MISS_IS_CERTAIN) -> /* reader_find(): load the changes again */
            assert(missing[WORKERS] & (1 << which))
        :: else /* it searches again */
        fi
    :: else ->
        sum = ring[at - 1]; /* ring_sum() */
        d_step { /* scope_is_same() */
            if
            :: (state[at - 1] - STATE(state[at - 1]) == found - STATE(found) &&
                STATE(state[at - 1]) != FREE) || HAS(READER_TRUSTS) ->
                assert(sum == 0 || sum == which + 1)
            :: else /* it searches again */
            fi
        }
    fi;
    d_step { at = 0; found = 0; steps = 0; before = 0; sum = 0; running-- }
}

/* Entry 0 has the name 0. Entry 1 has the name 1 and leads their chain, or is free. */
init {
    byte first, second;

    atomic {
        state[0] = LIVE;
        ring[0] = 1;
        heads[0] = 1;
        present = 1;
        name[1] = 1;
        if
        :: state[1] = LIVE; ring[1] = 2; next[1] = 1; heads[0] = 2; present = 3
        :: is_available[1] = true
        fi;
        if
        :: is_fresh[0] = true
        :: skip
        :: IS_LARGE -> is_fresh[1] = true
        fi;
        select (first : 0 .. 2);
        select (second : 0 .. 2);
        running = 3;
        run retirer();
        if
        :: run worker(0, first, false)
        :: run worker(0, first, true)
        fi;
        if
        :: run worker(1, second, true)
        :: run reader(second)
        :: IS_LARGE -> running++; run worker(1, second, true); run reader(second)
        :: IS_LARGE -> running++; run worker(1, second, true); run reader(0)
        fi;
        first = 0;
        second = 0
    }
    running == 0;
    d_step {
        assert(STATE(state[0]) == FREE || STATE(state[1]) == FREE || name[0] != name[1])
    }
}
