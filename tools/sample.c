/* SPDX-License-Identifier: Apache-2.0
 *
 * sample.c - `rankzero sample`: draw ids from the logits in a .npy file.
 *
 * Every rank reads the same command line and files and finds the same faults in them before any
 * is started; from then on only the job ties them together.
 */
#include <stdio.h>

#include "tools/commands.h"
#include "tools/sample_run.h"
#include "tools/say.h"
#include "tools/stop.h"

struct sample {
    struct rz_launch launch;
    struct rz_sample_options options;
    struct rz_sample_input input;
    struct rz_output output;
};

/* Everything that can be wrong before ranks are started. On failure nothing is held. */
static int prepare(struct sample *s, struct rz_complaint *complaint)
{
    int status = rz_launch_plan(&s->launch, s->options.ranks, s->options.comm, s->options.job_name,
                                complaint);
    if (status != RZ_EXIT_OK)
        return status;
    status = rz_sample_input_open(&s->options, s->launch.world, &s->input, complaint);
    if (status != RZ_EXIT_OK || s->launch.rank != 0)
        return status;
    status = rz_output_open(s->options.json, s->options.output_path, s->input.row_count,
                            s->input.rows[0].count, &s->output, complaint);
    if (status != RZ_EXIT_OK)
        rz_sample_input_close(&s->input);
    return status;
}

static int fail_alone(struct sample *s, int status, const struct rz_complaint *complaint)
{
    rz_say(s->launch.prefix, (int)s->launch.rank, complaint->text);
    return status;
}

/* From here on ranks differ: rank 0 draws and writes, the others bring their columns. */
static int draw(struct sample *s)
{
    struct rz_complaint complaint;
    rz_stop_install();
    int status = rz_launch_start(&s->launch, &complaint);
    if (status != RZ_EXIT_OK)
        return fail_alone(s, status, &complaint);

    const bool writes = s->launch.rank == 0;
    status = rz_sample_run(&s->options, &s->input, &s->launch, writes ? &s->output : NULL);
    if (status != RZ_EXIT_OK || !writes)
        return status;
    status = rz_output_finish(&s->output, &complaint);
    if (status != RZ_EXIT_OK) {
        s->launch.together = true; /* the steps are over: all ranks are about to end */
        if (!rz_stop_requested())  /* the signal may have cut a write short */
            fail_alone(s, status, &complaint);
    }
    return status;
}

static void release(struct sample *s)
{
    /* A forked rank has a copy, and closing that would write what rank 0 has yet to write. */
    if (s->launch.rank == 0)
        rz_output_abandon(&s->output); /* what is finished stays */
    rz_sample_input_close(&s->input);
}

static int run(struct sample *s)
{
    struct rz_complaint complaint = {""};
    bool prepared = false;
    int status = RZ_EXIT_OK;
    if (!s->options.help) {
        status = prepare(s, &complaint);
        prepared = status == RZ_EXIT_OK;
    }
    status = rz_launch_agree(&s->launch, status, s->input.row_count, s->input.draws, &complaint);
    if (status == RZ_EXIT_OK && prepared)
        status = draw(s);
    else if (status == RZ_EXIT_OK && s->launch.rank == 0)
        printf("%s%s", rz_sample_help[0], rz_sample_help[1]);
    if (prepared)
        release(s);
    return status;
}

int rz_command_sample(int argc, char **argv)
{
    struct sample s = {0};
    struct rz_complaint complaint = {""};
    int status = rz_launch_begin("rankzero sample", &s.launch, &complaint);
    if (status != RZ_EXIT_OK)
        return fail_alone(&s, status, &complaint);

    status = rz_sample_options_parse(argc, argv, &s.options, &complaint);
    if (status == RZ_EXIT_OK) {
        status = run(&s);
        rz_sample_options_free(&s.options);
    } else {
        status = rz_launch_agree(&s.launch, status, 0, 0, &complaint);
    }
    status = rz_launch_end(&s.launch, status);
    if (status != RZ_EXIT_OK)
        rz_stop_die();
    return status;
}
