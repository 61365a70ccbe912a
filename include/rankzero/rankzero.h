/* SPDX-License-Identifier: Apache-2.0
 *
 * rankzero.h - draw tokens from logits that are split across processes by vocabulary.
 *
 * A *job* is `world` processes, one a rank. Each holds, for every row of the batch, the logits of
 * one contiguous slice (its *shard*) of the vocabulary. Once per decode step every rank calls
 * rz_step(): the logits come to rank 0, rank 0 draws one id per row (or several), and every rank
 * gets the same ids back.
 *
 *     every rank                         rank 0                       every rank
 *     logits shard [rows, V/world] ----> draw ids ----> ring -------> ids [n]
 *
 * Only rank 0 knows requests: it opens *sequences* with their sampling parameters, or hands in
 * parameters row by row. The other ranks know nothing but the number of rows.
 *
 * The id that is drawn is a pure function of (the row's logits, its parameters, its seed, its
 * position): not of the number of ranks, the split, the batch or the machine.
 *
 * Start with rz_options_init(), then rz_open_local() here or rz_open_mpi() in mpi.h.
 *
 * Threads: a job belongs to one thread at a time, but for rz_abort(); different jobs are
 * independent. No call starts a thread, prints, or ends the process; OpenMP does, where
 * options.threads asks for it, and CUDA and NCCL, where the back end does; and steps on streams of
 * GPUs start one that looks after them (cuda.h).
 *
 * Fork: a job belongs to the process that opened it. In a child, rz_close() frees what the child
 * has of it and the job goes on; other calls that return a status return RZ_E_STATE. A child that
 * has not called exec holds a lock by which the other ranks see that this one is alive: where /proc
 * does not show them this process (another pid namespace), they notice its death only when its
 * children are gone too. Fork before open, or exec.
 *
 * Errors: see status.h; what went wrong in words is in
 * rz_last_error(). Ids are int32, as every engine has them; -1 stands for "no id".
 */
#ifndef RANKZERO_H
#define RANKZERO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rankzero/version.h"
#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RZ_MAX_VOCAB (1u << 18) /* columns of logits; keeps integer masses inside 64 bits */
#define RZ_MAX_WORLD 64u        /* ranks of a job */
#define RZ_MAX_ROWS 65536u      /* rows, and ids, of one step */
#define RZ_MAX_TOP_LOGPROBS 20u /* most likely ids reported with a drawn one */
#define RZ_MAX_THREADS 256u     /* that draw on rank 0 */
#define RZ_MAX_NAME 64u         /* bytes of a job's name, its NUL included */

typedef struct rz_job rz_job; /* opaque */
typedef uint64_t rz_sequence; /* names a sequence of a job; 0 is never one */

enum rz_dtype { RZ_F32 = 0, RZ_F16 = 1, RZ_BF16 = 2 };

/* How logits come together. RZ_MODE_GATHER: whole shards go to rank 0. */
enum rz_mode { RZ_MODE_GATHER = 0 };

/* What draws. Every back end draws the same ids. RZ_BACKEND_AUTO: the fastest for logits in memory
 * of the host; RZ_BACKEND_REFERENCE: the slow definition; RZ_BACKEND_CUDA: rank 0's GPU, from
 * logits in memory of the ranks' GPUs (cuda.h); the others: a CPU with the registers that they are
 * named for. RZ_E_UNSUPPORTED where there are none. */
enum rz_backend {
    RZ_BACKEND_AUTO = 0,
    RZ_BACKEND_REFERENCE = 1,
    RZ_BACKEND_SCALAR = 2,
    RZ_BACKEND_AVX2 = 3,
    RZ_BACKEND_AVX512 = 4,
    RZ_BACKEND_CUDA = 5
};

/* How logits travel. RZ_COMM_SHM: one host, rank 0 reads the shards where they were written.
 * RZ_COMM_MPI: by messages; needs a job opened by rz_open_mpi(). With RZ_BACKEND_CUDA, between
 * GPUs: RZ_COMM_CUDA_IPC: rank 0's GPU reads the shards where they were written; RZ_COMM_NCCL: NCCL
 * brings them, which takes a GPU for each rank. RZ_COMM_AUTO: shared memory; with RZ_BACKEND_CUDA
 * what rank 0 can reach by CUDA IPC, else NCCL. */
enum rz_comm_kind {
    RZ_COMM_AUTO = 0,
    RZ_COMM_SHM = 1,
    RZ_COMM_MPI = 2,
    RZ_COMM_NCCL = 3,
    RZ_COMM_CUDA_IPC = 4
};

/* rz_version - "major.minor.patch" of the library that is running; RZ_VERSION is the headers'. */
RZ_API const char *rz_version(void);

/* ------------------------------------------------------------------------------------------------
 * Opening and closing a job
 */

/* Every rank passes the same values, apart from the timeouts, threads and device; a difference is
 * RZ_E_MISMATCH on every rank, with the field, the rank and both values in the error. */
struct rz_options {
    size_t size;              /* set by rz_options_init(); tells versions apart */
    uint32_t vocab_size;      /* ids 0 .. vocab_size-1 can be drawn; required */
    uint32_t vocab_padded;    /* columns of logits of all ranks together; 0: vocab_size */
    const uint32_t *split;    /* [world] columns of each rank, adding up to vocab_padded; read
                                 during open only. NULL: as equal as can be, the first
                                 vocab_padded % world ranks have one more */
    uint32_t dtype;           /* enum rz_dtype of the logits */
    uint32_t max_rows;        /* most rows of logits, and most ids, of one step; 0: 256. Shared
                                 memory for logits is max_rows x vocab_padded x bytes of a logit */
    uint32_t mode;            /* enum rz_mode */
    uint32_t backend;         /* enum rz_backend */
    uint32_t comm;            /* enum rz_comm_kind */
    uint32_t open_timeout_ms; /* most time for all ranks to meet in open; 0: 30,000 */
    uint32_t step_timeout_ms; /* most time from the beginning of a step until other ranks have
                                 done their part of it (for a rank other than 0: until the ids
                                 are there); a rank's own drawing is not cut short. 0: 60,000 */
    uint32_t threads;         /* most threads that draw the rows of a step, up to RZ_MAX_THREADS;
                                 rank 0's counts. 0, 1: the calling one, and no other is made */
    const char *shm_dir;      /* directory on a tmpfs where the job's segment is; read during
                                 open only; NULL: /dev/shm */
    uint32_t device;   /* with RZ_BACKEND_CUDA: 1 + the number of this rank's GPU, among those
                          that the process sees. 0: that of the CUDA context that is current,
                          or the one numbered rank modulo how many there are */
    uint32_t reserved; /* 0 */
};

/* All fields zero, that is, default. Inline on purpose: `size` must be the caller's. */
static inline void rz_options_init(struct rz_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* rz_open_local - join a job of processes on this host, without MPI.
 *
 * Collective: each of the `world` processes calls it once, with its own `rank` and the same `name`.
 * Blocks until all have come or open_timeout_ms has passed. Allocates everything that steps need.
 *
 * With RZ_COMM_SHM the logits of all ranks are in shm_dir: 256 rows of 128,256 bf16 take 63 MiB,
 * and rows are rounded up to 64 bytes for each rank. A container often has less: Docker gives
 * /dev/shm 64 MiB unless --shm-size says otherwise. Fewer max_rows need less.
 *
 * With options.threads > 1 rank 0 draws the rows of a step in OpenMP's threads, each of which has a
 * workspace of some 42 x vocab_size bytes; the ids are the same. All draws of a row are one
 * thread's. Open has the threads made for the thread that calls it; they outlive the job, and are
 * those of the caller's own parallel regions too. They run where the calling thread may: mpirun
 * binds a rank to a core or few unless told --bind-to none. After a step they spin before they
 * sleep (by default some 10 ms in gcc's library, 200 ms in clang's), which takes cores from what
 * the engine does next; with OMP_WAIT_POLICY=passive in the environment they sleep at once, and
 * take longer to wake. If the machine has no thread to give, OpenMP ends the process. In a process
 * that was forked by a thread which had such threads, that thread draws alone. With clang's OpenMP
 * a process that is killed leaves a file of it in /dev/shm, with gcc's it does not.
 *
 *   name   1 to RZ_MAX_NAME-1 characters of [A-Za-z0-9._-], not starting with '.'; names the job
 *          among the jobs of this user on this host. It is free again as soon as all have joined.
 *   job    set only on success; owned by the caller, who ends it with rz_close()
 *   err    may be NULL; filled on failure
 *
 * RZ_E_ARG; RZ_E_EXISTS: a live job has this name (rank 0), or another process has this rank;
 * RZ_E_UNSUPPORTED: the back end does not run here (no driver or GPU, or no kernels for it in this
 * build), comm is RZ_COMM_MPI, or cannot do what it is to do, or rank 0 has threads > 1 in a build
 * without OpenMP; RZ_E_NOMEM; RZ_E_GPU, RZ_E_COMM: a call of CUDA or NCCL failed; RZ_E_SYS: no room
 * in shm_dir, say; RZ_E_TIMEOUT: names the first rank that is missing; RZ_E_MISMATCH: ranks
 * disagree; RZ_E_PEER_DIED, RZ_E_CLOSED: a rank that had joined is gone; RZ_E_CORRUPT: what has
 * this name is not a job of this version. A rank that fails once others have seen it ends the job
 * for all: they get its status, and its number in the error. A rank that comes only after that
 * finds no job, and gets RZ_E_TIMEOUT. On failure nothing is left. */
RZ_API int rz_open_local(const struct rz_options *options, const char *name, uint32_t rank,
                         uint32_t world, rz_job **job, struct rz_error *err);

/* rz_close - leave the job and free what it holds. NULL is allowed. Does not wait for others and
 * may be called in any order: a rank that is inside a step, or enters one, while another has left
 * gets RZ_E_CLOSED naming it. Pointers got from the job end with it. */
RZ_API void rz_close(rz_job *job);

/* rz_abort - end the job for all ranks, which get RZ_E_CLOSED naming this one; this rank too: a
 * call that waits returns within 20 ms (with GPUs once they are idle, within 3 s), another at the
 * next step. For when this rank's part will
 * never come and rz_close() cannot be called because a thread is inside a step. Any thread and any
 * signal handler may call it, at any time from open to rz_close(). RZ_OK, also if the job is over
 * already; RZ_E_STATE in a forked process. rz_last_error() is left alone. */
RZ_API int rz_abort(rz_job *job);

/* rz_last_error - what the last failed call on `job` recorded; once the job is over, what ended it.
 * Owned by the job, never NULL (status RZ_OK before the first failure); valid until the next call
 * on the job. */
RZ_API const struct rz_error *rz_last_error(const rz_job *job);

/* This process's rank, the number of ranks, and this rank's columns: `count` of them from id
 * `first`. Cannot fail. */
RZ_API uint32_t rz_rank(const rz_job *job);
RZ_API uint32_t rz_world(const rz_job *job);
RZ_API void rz_shard(const rz_job *job, uint32_t *first, uint32_t *count);

/* rz_logits - where this rank may write its logits to spare a copy.
 *
 * Memory of the host, or with RZ_BACKEND_CUDA of this rank's GPU: [max_rows][*row_stride] elements
 * of the job's dtype, of which the first `count` of rz_shard() in each row are used; rows start on
 * 64-byte boundaries. It is the caller's to write from open, or the end of a step (rz_step or
 * rz_step_finish returned), to the beginning of the next. rankzero writes to it only where
 * batch.logits is given: on ranks other than 0 those are copied here. Valid until rz_close(). */
RZ_API void *rz_logits(rz_job *job, size_t *row_stride);

/* ------------------------------------------------------------------------------------------------
 * Sampling parameters
 */

struct rz_bias {
    int32_t id;
    float bias; /* finite; added to the logit */
};

#define RZ_SAMPLING_SEED 1u     /* `seed` is given; otherwise the operating system chooses one */
#define RZ_SAMPLING_LOGPROBS 2u /* report logprob and rank of the id, and the top_logprobs best */

/* RZ_LOGPROBS_RAW: of the model: log-softmax of the logits as they came (no edit, no temperature,
 * no filter). RZ_LOGPROBS_PROCESSED: of the distribution that the id was drawn from (after edits,
 * temperature and filters, over what was kept; -inf for what was not). Both natural logarithms, of
 * masses that are made from the logits times log2(e) / temperature (1 for raw) rounded to fp32:
 * logits that become equal there are a tie. */
enum rz_logprobs_mode { RZ_LOGPROBS_RAW = 0, RZ_LOGPROBS_PROCESSED = 1 };

/* What is done to a row's logits, in this order (that of vLLM V1; docs/sampling.md):
 *
 *   only allowed_ids and the ids of the row's bitmask stay; banned_ids, and stop_ids while fewer
 *   than min_tokens ids are out, go; logit_bias is added; repetition penalty over ids of the prompt
 *   and the output (x > 0 ? x / r : x * r); frequency penalty (x - f * times in the output);
 *   presence penalty (x - p where in the output); temperature; min-p; top-k; top-p.
 *
 * Every id in a list is in 0 .. vocab_size-1. The lists are the caller's and are read during the
 * call that they are passed to. */
struct rz_sampling {
    size_t size;              /* set by rz_sampling_init() */
    float temperature;        /* >= 0, finite; < 1e-5 is greedy: the largest logit, lowest id on a
                                 tie, whatever the filters */
    uint32_t top_k;           /* keep the k largest and all that tie with the k-th; 0: all */
    float top_p;              /* (0, 1]: keep an id while the mass of the strictly more likely ones
                                 is < top_p of all; 1: all */
    float min_p;              /* [0, 1): keep ids at least min_p times as likely as the best */
    float repetition_penalty; /* (0, 100]; 1: none */
    float frequency_penalty;  /* [-100, 100]; 0: none */
    float presence_penalty;   /* [-100, 100]; 0: none */
    uint32_t flags;           /* RZ_SAMPLING_* */
    uint64_t seed;            /* any value; see RZ_SAMPLING_SEED */
    uint32_t min_tokens;      /* stop_ids are not drawn before this many ids are out */
    uint32_t max_tokens;      /* sequences only: most ids that will be appended to the prompt;
                                 0: 4096. Open reserves their history */
    uint32_t top_logprobs;    /* 0 .. RZ_MAX_TOP_LOGPROBS */
    uint32_t logprobs_mode;   /* enum rz_logprobs_mode */
    uint32_t allowed_count;   /* 0: every id is allowed */
    uint32_t banned_count;
    uint32_t stop_count;
    uint32_t bias_count;
    const int32_t *allowed_ids; /* [allowed_count] */
    const int32_t *banned_ids;  /* [banned_count] */
    const int32_t *stop_ids;    /* [stop_count] */
    const struct rz_bias *bias; /* [bias_count]; an id named twice gets both */
};

/* Temperature 1, every filter, penalty and list off. */
static inline void rz_sampling_init(struct rz_sampling *sampling)
{
    memset(sampling, 0, sizeof *sampling);
    sampling->size = sizeof *sampling;
    sampling->temperature = 1.0f;
    sampling->top_p = 1.0f;
    sampling->repetition_penalty = 1.0f;
}

/* rz_sampling_check - RZ_OK, or RZ_E_ARG with `err` naming the field, what was expected and what
 * was got. Needs no job; any thread. */
RZ_API int rz_sampling_check(const struct rz_sampling *sampling, uint32_t vocab_size,
                             struct rz_error *err);

/* ------------------------------------------------------------------------------------------------
 * Sequences: rank 0 keeps parameters and history, so that a row is no more than a name
 */

/* rz_sequence_open - begin a sequence. Rank 0 only. Copies everything it is given; allocates; does
 * not involve other ranks.
 *
 *   prompt_ids  [prompt_count] ids in 0 .. vocab_size-1; may be NULL when prompt_count is 0
 *   sequence    set only on success
 *
 * RZ_E_ARG; RZ_E_NOMEM; RZ_E_SYS: no seed is given and the operating system has none; RZ_E_STATE:
 * not rank 0. In this and the next two calls the status that ended the job, once it is over. */
RZ_API int rz_sequence_open(rz_job *job, const struct rz_sampling *sampling,
                            const int32_t *prompt_ids, uint32_t prompt_count,
                            rz_sequence *sequence);

/* rz_sequence_append - add ids that were not drawn by a step of this sequence: drafts that were
 * accepted, say. RZ_E_SEQUENCE if it does not exist or has no room for them; RZ_E_ARG: an id is not
 * in the vocabulary; RZ_E_STATE: not rank 0, or a step is begun and not finished. None is added
 * then. */
RZ_API int rz_sequence_append(rz_job *job, rz_sequence sequence, const int32_t *ids,
                              uint32_t count);

/* rz_sequence_close - end a sequence and free it. RZ_E_SEQUENCE if it does not exist; RZ_E_STATE:
 * not rank 0, or a step is begun and not finished. Those that are open when the job is closed go
 * with it. */
RZ_API int rz_sequence_close(rz_job *job, rz_sequence sequence);

/* ------------------------------------------------------------------------------------------------
 * A step
 */

#define RZ_ROW_POSITION 1u /* `position` is given */
#define RZ_ROW_DRAFT 2u    /* do not append what is drawn to the sequence's history */

/* What rank 0 wants drawn from one row of logits. Two rows may name the same logits. A row starts
 * out all zero, by rz_row_init() or an initialiser, so that fields added later are. */
struct rz_row {
    uint32_t logits_row;  /* 0 .. batch.logits_rows-1 */
    uint32_t draws;       /* ids to draw, at positions position, position + 1, ...; 0 reads as 1;
                             more than 1 needs RZ_ROW_DRAFT or a row without a sequence */
    uint32_t flags;       /* RZ_ROW_* */
    uint32_t reserved;    /* 0 */
    rz_sequence sequence; /* 0: the row brings its own parameters and history */
    const struct rz_sampling *sampling; /* without a sequence: required; with one: NULL */
    const int32_t *prompt_ids;          /* [prompt_count], without a sequence; for penalties */
    const int32_t *output_ids;          /* [output_count] ids out so far; with a sequence: drafts
                                           that follow its history, for this row only */
    uint32_t prompt_count;
    uint32_t output_count;
    uint64_t position;       /* index in the sequence that the drawn id will have. Without
                                RZ_ROW_POSITION: the length of the history, prompt included */
    const uint32_t *bitmask; /* [ceil(vocab_size / 32)], bit id % 32 of word id / 32 set: allowed
                                (xgrammar's layout); NULL: all */
};

static inline void rz_row_init(struct rz_row *row)
{
    memset(row, 0, sizeof *row);
}

#define RZ_ROW_NO_TOKEN 1u /* no finite or +inf logit was left: id is -1 */
#define RZ_ROW_NAN 2u      /* a logit was NaN and counted as -inf */

/* What came of one draw. Rank 0 only: the other ranks get ids. */
struct rz_result {
    int32_t id;         /* the id drawn, or -1 */
    uint32_t status;    /* 0 or RZ_ROW_NO_TOKEN | RZ_ROW_NAN */
    uint32_t row;       /* index in batch.rows */
    uint32_t rank;      /* with logprobs: 1 + number of ids strictly more likely; else, and where no
                           id was drawn, 0 */
    uint64_t seed;      /* the seed used, so that the draw can be repeated */
    uint64_t position;  /* the position used */
    float logprob;      /* with logprobs: of `id`, in the mode asked for; else as rank */
    uint32_t top_count; /* with logprobs: entries of the arrays below */
    int32_t top_ids[RZ_MAX_TOP_LOGPROBS]; /* most likely first, lowest id first on a tie */
    float top_logprobs[RZ_MAX_TOP_LOGPROBS];
};

struct rz_batch {
    size_t size;          /* set by rz_batch_init() */
    size_t row_size;      /* set by rz_batch_init(): sizeof(struct rz_row) */
    size_t result_size;   /* set by rz_batch_init(): sizeof(struct rz_result), by which results are
                             written; may be 0 if none are asked for */
    uint32_t logits_rows; /* every rank: rows of logits, 1 .. max_rows, the same number on all */
    uint32_t row_count;   /* rank 0: rows in `rows`; their draws add up to at most max_rows */
    const void *logits;   /* every rank: host (or GPU: cuda.h), [logits_rows][row_stride] of the
                             job's dtype, this rank's columns first; NULL: they are in rz_logits()
                             already */
    size_t row_stride;    /* elements from one row to the next; ignored when logits is NULL */
    const struct rz_row *rows; /* rank 0: [row_count]; other ranks: NULL */
};

static inline void rz_batch_init(struct rz_batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->size = sizeof *batch;
    batch->row_size = sizeof(struct rz_row);
    batch->result_size = sizeof(struct rz_result);
}

/* rz_step - hand in logits, draw, and get the ids.
 *
 * Collective: every rank calls it, in the same order of steps. Blocks until this rank has the ids;
 * waits for others until step_timeout_ms after its beginning. Allocates nothing, but for a step
 * with GPUs whose lists are longer than any before.
 *
 *   ids      host, [max_rows], the caller's; *count of them are written, in the order of
 *            batch.rows and within a row of its draws; the same on every rank
 *   count    ids written
 *   results  rank 0: host, [max_rows], *count written, or NULL; other ranks: NULL
 *
 * RZ_E_ARG, RZ_E_SEQUENCE: this rank's arguments are not valid; RZ_E_SYS: a row has no seed and the
 * operating system has none; RZ_E_STATE: rz_step_finish() is due, or this is a forked process. With
 * these nothing was handed in and no id drawn: call again, corrected, while the others wait.
 *
 * RZ_E_MISMATCH: ranks brought different numbers of rows. RZ_E_TIMEOUT, RZ_E_PEER_DIED,
 * RZ_E_CLOSED, RZ_E_COMM, RZ_E_GPU, RZ_E_CORRUPT: as they say. With these the job is over: this and
 * every later call returns that status, and rz_last_error() says why. Outputs are written on
 * success, but for `results`, which may have been written when the step fails later. */
RZ_API int rz_step(rz_job *job, const struct rz_batch *batch, int32_t *ids, uint32_t *count,
                   struct rz_result *results);

/* The same step in two halves, for work in between.
 *
 * rz_step_begin() hands in this rank's logits and returns without waiting for others; the batch's
 * own arrays may be reused at once, what rows point to (parameters, ids, bitmasks) and the logits
 * themselves stay unchanged until the step is finished.
 * rz_step_ready() returns 1 if rz_step_finish() would not wait for another rank, 0 if it would, or
 * a negative status. rz_step_finish() completes the step as rz_step() does; rank 0 draws in there.
 * Errors as of rz_step(); RZ_E_STATE: begin without finish, or ready or finish without begin;
 * RZ_E_ARG from finish: it may be called again, corrected. step_timeout_ms counts from begin. */
RZ_API int rz_step_begin(rz_job *job, const struct rz_batch *batch);
RZ_API int rz_step_ready(rz_job *job);
RZ_API int rz_step_finish(rz_job *job, int32_t *ids, uint32_t *count, struct rz_result *results);

/* ------------------------------------------------------------------------------------------------
 * Counters
 */

/* Totals since open, of this rank. Times are CLOCK_MONOTONIC nanoseconds. What only rank 0 does is
 * 0 on the others. */
struct rz_counters {
    size_t size; /* set by rz_counters_init() */
    uint64_t steps;
    uint64_t ids;             /* ids drawn (rank 0) or received */
    uint64_t tiles_scanned;   /* tiles of 16 logits whose maximum was taken */
    uint64_t tiles_exact;     /* tiles worked out exactly because they could win */
    uint64_t mass_passes;     /* rows whose total mass had to be summed (top-p, logprobs) */
    uint64_t bytes_gathered;  /* logits of other ranks that rank 0 read or received */
    uint64_t bytes_published; /* rank 0: bytes of ids put into the ring */
    uint64_t gather_ns;       /* handing in logits, and on rank 0 waiting for those of others */
    uint64_t sample_ns;       /* rank 0: edits, scan, resolve */
    uint64_t publish_ns;      /* rank 0: putting ids into the ring */
    uint64_t wait_ns;         /* waiting for ids */
    uint64_t sleeps;          /* waits that were long enough to sleep */
};

static inline void rz_counters_init(struct rz_counters *counters)
{
    memset(counters, 0, sizeof *counters);
    counters->size = sizeof *counters;
}

/* rz_counters_read - copy the totals; fills no more than counters->size bytes, also when the job is
 * over. RZ_E_ARG if size is 0; RZ_E_STATE in a forked process. rz_last_error() is left alone. */
RZ_API int rz_counters_read(const rz_job *job, struct rz_counters *counters);

#ifdef __cplusplus
}
#endif
#endif
