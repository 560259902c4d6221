/* streams.pml - senders' streams: duplicates, datagrams out of order, replacement of silent streams.
 *
 * Three streams compete for two slots. Workers receive datagrams, and a reader copies a slot. One
 * step for each lock and each access to what others may load meanwhile, in the order of
 * lib/receive/streams.c, lib/receive/stream_record.c and include/core/stream.h. The window is two
 * sequences, not 1024. A search of the index without the mutex may miss while another thread holds
 * it.
 *
 * A datagram counts once while its stream has a slot, and is refused only if it counted before or
 * is too far behind. A stream has one slot, which it loses only when it is silent. What a reader
 * accepts was there at one moment. */
#include "chosen.h"

#define UNLOCKED_RECEIVE  1 /* streams_receive() does not lock the slot */
#define NO_SECOND_LOOK    2 /* streams_receive() does not look at the slot's stream again */
#define NO_EXACT_FIND     3 /* receive_rare() does not search again under the mutex */
#define STALE_SILENCE     4 /* lock_replaceable() trusts when the stream was last put at the end */
#define UNLOCKED_REPLACE  5 /* lock_replaceable() does not lock the slot */
#define NO_FORGET         6 /* advance() keeps the bits of older sequences */
#define NO_MARK           7 /* fill_in() doesn't mark what it has received */
#define NO_WINDOW         8 /* fill_in() takes a sequence whose bit has been forgotten */
#define NO_BEGIN          9 /* begin_write() leaves the version even */
#define NO_END           10 /* end_write() leaves the version as it was before */
#define READER_TRUSTS    11 /* stream_load() doesn't compare the version again */
#define READER_TAKES_ODD 12 /* stream_load() copies while a writer is inside */
#define UNLOCKED_RARE    13 /* receive_rare() does not lock the mutex */

/* Streams are 1 to 3; 0 is none. */
#define SLOTS   2
#define STREAMS 3
#define WINDOW  2
/* Ticks of batches. A stream that was heard at the first is silent at the last. */
#define EARLY   1
#define LATE    5
#define SILENCE 2
#define IS_SILENT(heard, now) ((now) > (heard) + SILENCE)
#define TAKEN(stream, sequence) (counted[stream] & (1 << (sequence)))

/* Each slot. Sequences are stored with their stream, so that a mixed copy shows. */
byte version[SLOTS], id[SLOTS], last_tick[SLOTS], received[SLOTS], lowest[SLOTS], highest[SLOTS];
byte seen[SLOTS]; /* a bit each, by sequence % WINDOW */
#define SEQUENCE(stored)           ((stored) & 15)
#define STORED(stream, sequence)   ((stream) << 4 | (sequence))

/* Of the process. */
bool mutex, locks[SLOTS];
byte index[STREAMS + 1]; /* slot + 1; 0: none */
byte first;              /* the slot that comes first in the order of `places` */
byte heard[SLOTS];

/* For the judgement: the sequences that counted while the stream had its slot, and when last. */
byte counted[STREAMS + 1], count[STREAMS + 1], heard_at[STREAMS + 1];
byte whole_low, whole_high, whole_received; /* slot 0, when no writer was inside */
byte running;

inline note_whole()
{
    whole_low = lowest[0];
    whole_high = highest[0];
    whole_received = received[0]
}

inline lock(which)
{
    atomic { !which -> which = true }
}

inline move_last(slot, tick)
{
    first = 1 - slot;
    heard[slot] = tick
}

/* stream_receive(): the slot's lock is held. */
inline receive(slot)
{
    d_step { /* stream_receive(): compare with the highest; fill_in(): look whether it was seen */
        top = SEQUENCE(highest[slot]);
        is_new = sequence > top ||
                 ((top - sequence < WINDOW || HAS(NO_WINDOW)) && !(seen[slot] & (1 << (sequence % WINDOW))));
        bits = seen[slot];
        version[slot] = version[slot] + (HAS(NO_BEGIN) -> 0 : 1) /* begin_write() */
    }
    if
    :: is_new && sequence > top -> highest[slot] = STORED(stream, sequence) /* advance() */
    :: is_new && sequence < SEQUENCE(lowest[slot]) -> lowest[slot] = STORED(stream, sequence) /* fill_in() */
    :: else
    fi;
    if
    :: is_new ->
        d_step { /* forget(), mark_seen() */
            if
            :: sequence > top && (sequence - top >= WINDOW) && !HAS(NO_FORGET) -> bits = 0
            :: else
            fi;
            if
            :: sequence > top || !HAS(NO_MARK) -> bits = bits | (1 << (sequence % WINDOW))
            :: else
            fi;
            seen[slot] = bits
        }
        d_step { /* record() */
            received[slot]++;
            last_tick[slot] = (last_tick[slot] < now -> now : last_tick[slot]);
            assert(!TAKEN(stream, sequence));
            counted[stream] = counted[stream] | (1 << sequence);
            count[stream]++;
            heard_at[stream] = (heard_at[stream] < now -> now : heard_at[stream])
        }
    :: else -> assert(TAKEN(stream, sequence) || sequence + WINDOW <= top) /* it is a duplicate */
    fi;
    d_step { /* end_write() */
        if
        :: !HAS(NO_BEGIN) && !HAS(NO_END) -> version[slot]++
        :: HAS(NO_END) -> version[slot]--
        :: else
        fi;
        note_whole()
    }
}

/* stream_begin(): the mutex and the slot's lock are held. */
inline begin(slot)
{
    d_step { /* begin_write(), index_remove() */
        version[slot] = version[slot] + (HAS(NO_BEGIN) -> 0 : 1);
        if
        :: id[slot] != 0 ->
            assert(IS_SILENT(heard_at[id[slot]], now));
            index[id[slot]] = 0;
            counted[id[slot]] = 0;
            count[id[slot]] = 0
        :: else
        fi;
        id[slot] = 0
    }
    d_step { /* begin_numbers() */
        lowest[slot] = STORED(stream, sequence);
        received[slot] = 1
    }
    highest[slot] = STORED(stream, sequence); /* begin_numbers() */
    d_step { /* begin_numbers(): mark_seen(), record() */
        seen[slot] = 1 << (sequence % WINDOW);
        last_tick[slot] = now
    }
    d_step { /* stream_begin(): the id last; end_write() */
        id[slot] = stream;
        assert(!TAKEN(stream, sequence) && id[1 - slot] != stream);
        counted[stream] = 1 << sequence;
        count[stream] = 1;
        heard_at[stream] = now;
        if
        :: !HAS(NO_BEGIN) && !HAS(NO_END) -> version[slot]++
        :: HAS(NO_END) -> version[slot]--
        :: else
        fi;
        note_whole()
    }
    index[stream] = slot + 1 /* index_add() */
}

proctype worker(byte stream; byte sequence; byte now)
{
    byte slot, at, top, bits, before;
    bool is_new, is_found;

    if
    :: at = index[stream] /* find(): load the index, without the mutex */
    :: mutex -> at = 0 /* index_remove() moves other streams meanwhile */
    fi;
    if
    :: at != 0 ->
        slot = at - 1;
        if
        :: HAS(UNLOCKED_RECEIVE)
        :: else -> lock(locks[slot]) /* streams_receive() */
        fi;
        if
        :: id[slot] == stream || HAS(NO_SECOND_LOOK) -> /* is_stream() */
            is_found = true;
            before = last_tick[slot];
            receive(slot);
            before = (before != last_tick[slot]);
            locks[slot] = false;
            if
            :: before ->
                lock(mutex); /* streams_receive(): at most once a second */
                d_step { move_last(slot, now); mutex = false }
            :: else
            fi
        :: else -> locks[slot] = false
        fi
    :: else
    fi;
    if
    :: !is_found ->
        if
        :: HAS(UNLOCKED_RARE)
        :: else -> lock(mutex) /* receive_rare() */
        fi;
        at = (HAS(NO_EXACT_FIND) -> 0 : index[stream]); /* find(): exact */
        if
        :: at != 0 ->
            slot = at - 1;
            lock(locks[slot]); /* receive_rare() */
            receive(slot);
            is_found = true
        :: else ->
            do
            :: d_step { slot = first } /* lock_replaceable(): the one that was silent longest */
                if
                :: id[slot] != 0 && !IS_SILENT(heard[slot], now) -> break
                :: else
                fi;
                if
                :: HAS(UNLOCKED_REPLACE)
                :: else -> lock(locks[slot]) /* lock_replaceable() */
                fi;
                if
                :: id[slot] == 0 || IS_SILENT(last_tick[slot], now) || HAS(STALE_SILENCE) ->
                    begin(slot);
                    is_found = true;
                    break
                :: else -> /* lock_replaceable(): a worker has just heard it */
                    d_step { locks[slot] = false; move_last(slot, last_tick[slot]) }
                fi
            od
        fi;
        if
        :: is_found -> d_step { move_last(slot, last_tick[slot]); locks[slot] = false }
        :: else /* streams_full */
        fi;
        mutex = false
    :: else
    fi;
    d_step { slot = 0; at = 0; top = 0; bits = 0; before = 0; is_new = false; is_found = false; running-- }
}

proctype reader()
{
    byte before, stream, low, high, datagrams;

    before = version[0]; /* stream_load(): load the version */
    if
    :: before % 2 == 1 && !HAS(READER_TAKES_ODD)
    :: else ->
        stream = id[0]; /* stream_load() */
        datagrams = received[0]; /* stream_load() */
        low = lowest[0]; /* stream_load() */
        high = highest[0]; /* stream_load() */
        d_step { /* stream_load(): load the version again */
            if
            :: stream != 0 && (version[0] == before || HAS(READER_TRUSTS)) ->
                assert(low >> 4 == stream && low == whole_low && high == whole_high &&
                       datagrams == whole_received)
            :: else
            fi
        }
    fi;
    d_step { before = 0; stream = 0; low = 0; high = 0; datagrams = 0; running-- }
}

inline begin_with(slot, stream, sequence)
{
    id[slot] = stream;
    index[stream] = slot + 1;
    last_tick[slot] = EARLY;
    heard[slot] = EARLY;
    heard_at[stream] = EARLY;
    lowest[slot] = STORED(stream, sequence);
    highest[slot] = STORED(stream, sequence);
    received[slot] = 1;
    seen[slot] = 1 << (sequence % WINDOW);
    counted[stream] = 1 << sequence;
    count[stream] = 1
}

/* Choose a datagram: its stream, its sequence and when it comes. */
inline choose()
{
    if
    :: stream = 1
    :: stream = 2
    fi;
    if
    :: sequence = 2
    :: sequence = 3
    :: sequence = 5
    :: sequence = 6
    fi;
    if
    :: now = LATE
    :: IS_LARGE -> now = EARLY
    fi
}

init {
    byte stream, sequence, now;

    atomic {
        begin_with(0, 1, 3);
        if
        :: begin_with(1, 3, 4)
        :: IS_LARGE /* the slot is free */
        fi;
        if
        :: first = 0
        :: IS_LARGE -> first = 1
        fi;
        note_whole();
        choose();
        running = 2;
        run worker(stream, sequence, now);
        choose();
        run worker(stream, sequence, now);
        if
        :: running++; run worker(1, 4, EARLY)
        :: running++; run reader()
        fi;
        stream = 0;
        sequence = 0;
        now = 0
    }
    running == 0;
    d_step {
        stream = 0;
        do
        :: stream < SLOTS ->
            assert(id[stream] == 0 || (received[stream] == count[id[stream]] && index[id[stream]] == stream + 1 &&
                   highest[stream] - lowest[stream] + 1 >= received[stream]));
            stream++
        :: else -> break
        od;
        assert(id[0] != id[1])
    }
}
