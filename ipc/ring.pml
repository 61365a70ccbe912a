/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.pml - the broadcast ring as a Promela model, for scripts/check-model.
 *
 * One producer publishes RECORDS records into SLOTS slots; CONSUMERS consumers take them. Each
 * statement is one access to shared memory, by the C function that the comment names; a process may
 * be killed before any of them. What is shown, for every interleaving:
 *
 *     - a consumer takes the records one after the other, whole, none twice and none left out,
 *       until the end or until it learns that it was evicted or who died;
 *     - who learns that the producer died has taken all that was published;
 *     - nobody waits for ever: spin reports every state from which no process can go on.
 *
 * There are no deadlines, no slices of sleep and no wake at the end: any of them would hide a wake
 * that was lost. Memory is sequentially consistent here; docs/ring.md says why the orders of the C
 * code are enough on machines where it is not.
 *
 *     SLOTS RECORDS CONSUMERS    sizes; consumers are 3 at most
 *     PLACES                     consumers at a time, if fewer than CONSUMERS
 *     CRASHES                    how many processes may be killed
 *     EVICT                      a dead or slow consumer is cut off; otherwise a death ends the job
 *     LATE                       consumers come when they like, leave when they like, come again,
 *                                and take the places of the dead; goes with EVICT
 *     MUTANT_...                 one mistake each: a model with any of them must fail
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef PLACES
#define PLACES CONSUMERS
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define BIT(i) (1 << (i))
#define SLOT(n) ((n) % SLOTS)

/* ------------------------------------------------------------------------------------------------
 * Shared memory
 */

byte stamp[SLOTS];                /* 0: the record is being written */
byte word0[SLOTS], word1[SLOTS];  /* the payload of record n: n, n */
byte tail;                        /* last record published; slept on by consumers */
byte cursor[PLACES];              /* last record taken; slept on by the producer */
byte seat[PLACES];                /* how often this place was taken << 2 | one of these: */
#define NOBODY 0
#define COMING 1
#define TAKEN 2
byte evicted[PLACES];             /* the seat that the producer does not wait for any more */
#ifndef MUTANT_COMING_IS_ANOTHER_SEAT
#define EVICTED(place, s) (evicted[place] >> 2 == (s) >> 2)
#else
#define EVICTED(place, s) (evicted[place] == (s))
#endif
byte sleepers;                    /* bit of each rank that sleeps, or is about to */

bool ended;                       /* somebody has found a death: the job is over */

/* A rank's bell: a word that the kernel changes when the process that has the rank dies (a robust
 * futex). Ranks are the producer, 0, and the places, from 1. */
#define FREE 0
#define HELD 1
#define DEAD 2
byte bell[PLACES + 1];

#define PRODUCER 0
#define RANK(place) ((place) + 1)

/* The words that are slept on: the tail and the cursors, by rank, then the seats. */
#define SEAT(place) (RANK(place) + PLACES + 1)
#define OWNER(word) ((word) % (PLACES + 1))

/* ------------------------------------------------------------------------------------------------
 * The kernel: sleeping, waking, death. Processes are the producer, 0, and consumers, from 1.
 */

#define AWAKE 0
#define ASLEEP 1
#define WOKEN 2    /* but has not run since: still in the queues of all the words that it slept on */
byte queue[4];     /* of processes */
byte asleep_on[4]; /* the word */
byte killed;       /* processes that make no step any more */

/* Whose bells are heard by who waits for a word. */
#ifdef EVICT
#define HEARD(w) BIT(OWNER(w))
#define HEARS(q, r) (queue[q] != AWAKE && OWNER(asleep_on[q]) == (r))
#else
#define HEARD(w) (BIT(PLACES + 1) - 1)
#define HEARS(q, r) (queue[q] != AWAKE)
#endif

#define GONE(r, heard) (((heard) & BIT(r)) && bell[r] != HELD)
#if PLACES == 1
#define ANY_GONE(heard) (GONE(0, heard) || GONE(1, heard))
#define ANY_DEAD (bell[0] == DEAD || bell[1] == DEAD)
#elif PLACES == 2
#define ANY_GONE(heard) (GONE(0, heard) || GONE(1, heard) || GONE(2, heard))
#define ANY_DEAD (bell[0] == DEAD || bell[1] == DEAD || bell[2] == DEAD)
#else
#define ANY_GONE(heard) (GONE(0, heard) || GONE(1, heard) || GONE(2, heard) || GONE(3, heard))
#define ANY_DEAD (bell[0] == DEAD || bell[1] == DEAD || bell[2] == DEAD || bell[3] == DEAD)
#endif

/* What ends a sleep besides the word. */
#if defined MUTANT_NO_LIVENESS || defined MUTANT_BELLS_NOT_SLEPT_ON
#define ALARM(heard) false
#else
#define ALARM(heard) (ended || ANY_GONE(heard))
#endif

/* FUTEX_WAKE of all that sleep on word w. */
inline futex_wake(w)
{
    q = 0;
    do
    :: q > CONSUMERS -> break
    :: q <= CONSUMERS && queue[q] == ASLEEP && asleep_on[q] == w -> queue[q] = WOKEN; q++
    :: else -> q++
    od;
    q = 0
}

/* FUTEX_WAKE of all that sleep on rank r's bell. */
inline futex_wake_bell(r)
{
    q = 0;
    do
    :: q > CONSUMERS -> break
    :: q <= CONSUMERS && queue[q] == ASLEEP && HEARS(q, r) -> queue[q] = WOKEN; q++
    :: else -> q++
    od;
    q = 0
}

/* The kernel walks the robust list of a process that is killed, which may hold rank r. It wakes one
 * waiter of its bell: any of them, and that may be one that something else has woken already. */
inline die(process, r)
{
    atomic {
        queue[process] = AWAKE;
        if
        :: r <= PLACES && bell[r] == HELD ->
            bell[r] = DEAD;
            if
            :: HEARS(0, r) -> queue[0] = WOKEN
            :: HEARS(1, r) -> queue[1] = WOKEN
            :: HEARS(2, r) -> queue[2] = WOKEN
            :: HEARS(3, r) -> queue[3] = WOKEN
            :: else
            fi
        :: else
        fi
    }
}

/* ------------------------------------------------------------------------------------------------
 * ipc/wait.c
 */

#define OK 0
#define PEER_GONE 1 /* it died, or left */
#define PRODUCER_DIED 2

/* rz_wait(): until `word`, which is w, is not `seen`. `status` is OK before. */
inline wait(process, me, w, word, seen, status)
{
    do
    :: word != seen -> break /* spin(), and after each sleep */
    :: else ->
#ifndef MUTANT_NO_LIVENESS
        /* The watch, rz_meeting_check(). */
        if
        :: atomic {
            ended || ANY_GONE(HEARD(w)) ->
            status = (bell[PRODUCER] == DEAD -> PRODUCER_DIED : PEER_GONE)
           };
            /* The word decides: what was waited for may have come just before the end. */
#ifndef MUTANT_WORD_NOT_SEEN_LAST
            d_step {
                if
                :: word != seen -> status = OK
                :: else
                fi
            };
#endif
            break
        :: else
        fi;
#endif
        sleepers = sleepers | BIT(me);
        d_step {
            /* futex_waitv(): under its lock the kernel compares, and sleeps on all words at once. */
            if
#ifdef MUTANT_SLEEP_BLIND
            :: true -> queue[process] = ASLEEP; asleep_on[process] = w
#else
            :: word == seen && !ALARM(HEARD(w)) -> queue[process] = ASLEEP; asleep_on[process] = w
            :: else
#endif
            fi
        };
        d_step { queue[process] != ASLEEP -> queue[process] = AWAKE; asleep_on[process] = 0 };
        sleepers = sleepers & ~BIT(me)
    od
}

/* rz_wake(): store `value` in `word`, which is w, and wake those of `who` that sleep on it. `count`:
 * this process's own, which the caller moves on then. */
inline wake(w, who, word, value, count)
{
#ifdef MUTANT_PARKED_FIRST
    parked = sleepers;
    word = value;
    d_step {
        if
        :: parked & (who) -> futex_wake(w)
        :: else
        fi;
        parked = 0;
        count++
    }
#else
    word = value;
    d_step {
        if
        :: sleepers & (who) -> futex_wake(w)
        :: else
        fi;
        count++
    }
#endif
}

/* rz_meeting_end(): who finds a death says so, and wakes all that sleep: the kernel has woken one
 * at most. A job that ends because somebody closes it wakes them in the same way; here only deaths
 * do, as that would hide wakes that were lost. */
inline end_job()
{
    if
    :: ANY_DEAD ->
        d_step {
#ifndef EVICT
            ended = true;
#endif
            r = 0;
            do
            :: r > PLACES -> break
            :: r <= PLACES && bell[r] == DEAD ->
#ifndef MUTANT_NOT_PASSED_ON
                futex_wake_bell(r);
#endif
                r++
            :: else -> r++
            od;
            r = 0
        }
    :: else
    fi
}

/* ------------------------------------------------------------------------------------------------
 * ipc/ring.c: the producer
 */

#define COUNTS(s) (((s) & 3) != NOBODY && !EVICTED(place, s))
#define BEHIND ((next - 1 - seen) & 255)

#ifdef EVICT
/* Unless the consumer is dead, gone or, which may be at any time, late: then go on without it. */
#define WAIT_FOR_IT(w, word, value)                                                                \
    if                                                                                             \
    :: wait(0, PRODUCER, w, word, value, status)                                                   \
    :: status = PEER_GONE                                                                          \
    fi;                                                                                            \
    atomic {                                                                                       \
        if                                                                                         \
        :: status != OK && COUNTS(seat[place]) ->                                                  \
            evicted[place] = seat[place];                                                          \
            TAKE_PLACE_AWAY                                                                        \
        :: else                                                                                    \
        fi;                                                                                        \
        status = OK;                                                                               \
        seen = 0                                                                                   \
    }
#else
#define WAIT_FOR_IT(w, word, value)                                                                \
    wait(0, PRODUCER, w, word, value, status);                                                     \
    if                                                                                             \
    :: status == OK                                                                                \
    :: else -> goto over                                                                           \
    fi
#endif
#ifdef MUTANT_PLACE_TAKEN_AWAY
#define TAKE_PLACE_AWAY bell[RANK(place)] = FREE
#else
#define TAKE_PLACE_AWAY skip
#endif

proctype Producer()
{
    byte next = 1, free_until = 1, place, sat, seen, most, status, q, r;
#ifdef MUTANT_PARKED_FIRST
    byte parked;
#endif
    {
        do
        :: next > RECORDS -> break
        :: else ->
#ifndef MUTANT_NO_ROOM
            /* make_room(): cursors are looked at when the room found the last time is used up. */
            if
            :: next < free_until
            :: else ->
                d_step { most = 0; place = 0 };
                do
                :: place == PLACES -> break
                :: place < PLACES ->
                    /* wait_for_consumer(), wait_for_seat() */
                    sat = seat[place];
                    if
                    :: !COUNTS(sat) -> place++
                    :: COUNTS(sat) && (sat & 3) == COMING ->
                        WAIT_FOR_IT(SEAT(place), seat[place], sat)
                    :: COUNTS(sat) && (sat & 3) == TAKEN ->
                        seen = cursor[place];
                        if
#ifndef MUTANT_ONE_LOOK_AT_SEAT
                        :: seat[place] != sat -> seen = 0 /* this is not that one's cursor */
                        :: seat[place] == sat && BEHIND >= SLOTS ->
#else
                        :: BEHIND >= SLOTS ->
#endif
                            WAIT_FOR_IT(RANK(place), cursor[place], seen)
                        :: else ->
                            d_step {
                                if
                                :: BEHIND > most -> most = BEHIND
                                :: else
                                fi;
                                seen = 0; place++
                            }
                        fi
                    fi
                od;
                atomic { free_until = next + SLOTS - most; sat = 0; most = 0; place = 0 }
            fi;
#endif
            /* rz_ring_publish() */
#ifdef MUTANT_TAIL_FIRST
            wake(PRODUCER, ~BIT(PRODUCER), tail, next, seen);
#endif
#ifndef MUTANT_NO_INVALIDATION
            stamp[SLOT(next)] = 0;
#endif
            word0[SLOT(next)] = next;
            word1[SLOT(next)] = next;
            stamp[SLOT(next)] = next;
#ifdef MUTANT_TAIL_FIRST
            d_step { seen = 0; next++ }
#else
            wake(PRODUCER, ~BIT(PRODUCER), tail, next, next)
#endif
        od;
over:
        end_job()
    } unless {
        killed & BIT(0);
        die(0, PRODUCER)
    }
}

/* ------------------------------------------------------------------------------------------------
 * ipc/ring.c: a consumer
 */

#define TAKE(word)                                                                                 \
    if                                                                                             \
    :: word[SLOT(next)] != next -> torn = true                                                     \
    :: else                                                                                        \
    fi

/* place: PLACES if it has none. */
proctype Consumer(byte process; byte place)
{
    byte next, mine, first, status, q, r;
    bool torn, again;
#ifdef MUTANT_PARKED_FIRST
    byte parked;
#endif
    {
        next = 1;
        mine = 4 + TAKEN;
#ifdef LATE
attach:
        /* A place that nobody holds: the lock on its byte of the file was to be had. */
        atomic {
            place = 0;
            do
            :: place == PLACES -> goto refused
            :: place < PLACES && bell[RANK(place)] != HELD -> break
            :: else -> place++
            od;
            bell[RANK(place)] = HELD
        };
        /* rz_ring_join() */
        atomic { mine = ((seat[place] >> 2) + 1) << 2 };
#ifdef MUTANT_TAIL_BEFORE_SEAT
        first = tail;
        seat[place] = mine + COMING;
#else
        seat[place] = mine + COMING;
        first = tail;
#endif
        do
        :: first == 0 || stamp[SLOT(first)] == first -> break
        :: else -> /* its slot is being written anew: another record has been published */
            wait(process, RANK(place), PRODUCER, tail, first, status);
            if
            :: status == OK
            :: else -> status = OK; goto leave
            fi;
            first = tail
        od;
        atomic { mine = mine + TAKEN; next = first; first = 0 };
#ifdef MUTANT_CURSOR_SET_SILENTLY
        cursor[place] = next;
#else
        /* The producer may still be asleep on the cursor of who was here before and died. */
        wake(RANK(place), BIT(PRODUCER), cursor[place], next, first);
        first = 0;
#endif
        wake(SEAT(place), BIT(PRODUCER), seat[place], mine, next);
#endif
        do
        :: next > RECORDS -> break
        :: else ->
            /* rz_ring_consume() */
            wait(process, RANK(place), PRODUCER, tail, next - 1, status);
            if
            :: status == OK
            :: else ->
                /* The dead publish nothing: what is there now is all. */
                assert(status != PRODUCER_DIED || tail == next - 1);
                goto over
            fi;
            if
            :: EVICTED(place, mine) -> goto unexpected
            :: else
            fi;
#ifdef MUTANT_CURSOR_FIRST
            wake(RANK(place), BIT(PRODUCER), cursor[place], next, first);
#endif
            if
            :: stamp[SLOT(next)] != next -> goto unexpected
            :: else
            fi;
            TAKE(word0);
            TAKE(word1);
#ifndef MUTANT_NO_SECOND_LOOK
            if
            :: stamp[SLOT(next)] != next -> goto unexpected
            :: else -> assert(!torn)
            fi;
#else
            assert(!torn);
#endif
#ifdef MUTANT_CURSOR_FIRST
            d_step { first = 0; next++ };
#else
            wake(RANK(place), BIT(PRODUCER), cursor[place], next, next);
#endif
#ifdef LATE
            if
            :: true
            :: next <= RECORDS ->
                goto leave
            fi
#endif
        od;
        goto over;

unexpected: /* RZ_E_CORRUPT, or RZ_E_EVICTED */
        assert(EVICTED(place, mine));
        torn = false;
over:
#ifdef LATE
leave:
        /* rz_ring_leave(): a producer that waits for the cursor sees that it changes. */
        again = (next <= RECORDS && !EVICTED(place, mine));
        seat[place] = mine & ~3;
#ifndef MUTANT_LEAVES_SILENTLY
        wake(RANK(place), BIT(PRODUCER), cursor[place], (next - 1) ^ 128, first);
#endif
        atomic { bell[RANK(place)] = FREE; place = PLACES; mine = 0; first = 0; next = 0 };
        if
        :: again -> again = false; goto attach
        :: else
        fi;
refused:
#endif
        end_job()
    } unless {
        killed & BIT(process);
        die(process, RANK(place))
    }
}

/* ------------------------------------------------------------------------------------------------
 * Everybody, and who kills them
 */

init
{
    byte i, crashes;
    atomic {
        bell[PRODUCER] = HELD;
#ifndef LATE
        i = 0;
        do
        :: i == PLACES -> break
        :: else -> bell[RANK(i)] = HELD; seat[i] = 4 + TAKEN; i++
        od;
#endif
        run Producer();
        i = 1;
        do
        :: i > CONSUMERS -> break
#ifdef LATE
        :: else -> run Consumer(i, PLACES); i++
#else
        :: else -> run Consumer(i, i - 1); i++
#endif
        od;
        i = 0
    };
    do
    :: crashes == CRASHES -> break
    :: crashes < CRASHES ->
        atomic {
            crashes++;
            if
            :: killed = killed | BIT(0)
            :: killed = killed | BIT(1)
#if CONSUMERS > 1
            :: killed = killed | BIT(2)
#endif
#if CONSUMERS > 2
            :: killed = killed | BIT(3)
#endif
            fi
        }
    :: true -> break
    od
}
