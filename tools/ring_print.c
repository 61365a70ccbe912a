/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_print.c - a view of a ring in columns, or as a JSON object.
 */
#include "tools/ring_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "internal/error.h"
#include "rankzero/status.h"

static const char *kind_of(const struct rz_ring_view *view)
{
    return view->job ? "job" : "ring";
}

static const char *state_of(const struct rz_ring_view *view)
{
    if (view->ended != RZ_OK)
        return "over";
    return view->running ? "running" : "opening";
}

const char *rz_ring_rank_state(const struct rz_ring_view *view, uint32_t rank)
{
    const struct rz_rank_view *it = &view->ranks[rank];
    if (!it->here)
        return view->job ? "not here" : "free";
    if (!it->alive)
        return "dead";
    if (it->evicted)
        return "evicted";
    if (rank > 0 && it->seat == RZ_SEAT_COMING)
        return "coming";
    return it->asleep ? "asleep" : "awake";
}

static void spell(const struct rz_record_view *record, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < record->bytes && i < RZ_VIEW_PAYLOAD_BYTES && at + 3 < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%02x", record->payload[i]);
}

/* ------------------------------------------------------------------------------------------------
 * Columns
 */

static void print_rank(const struct rz_ring_view *view, uint32_t rank)
{
    const struct rz_rank_view *it = &view->ranks[rank];
    printf("%4u  %8d  %-9s", rank, it->here ? it->pid : 0, rz_ring_rank_state(view, rank));
    if (rank == 0)
        printf("  the producer\n");
    else if (it->here)
        printf("  %10u  %6u\n", it->taken, it->behind);
    else
        printf("\n");
}

static void print_record(const struct rz_record_view *record)
{
    char text[2 * RZ_VIEW_PAYLOAD_BYTES + 1];
    spell(record, text, sizeof text);
    if (!record->whole)
        printf("  being written\n");
    else
        printf("  %10" PRIu64 "  type %u, %u bytes: %s%s\n", record->sequence, record->type,
               record->bytes, text, record->bytes > RZ_VIEW_PAYLOAD_BYTES ? "..." : "");
}

static bool print_columns(const struct rz_ring_view *view, const char *path)
{
    printf("segment    %s\n", path);
    printf("kind       %s, version %u, %" PRIu64 " bytes\n", kind_of(view), view->version,
           view->bytes);
    printf("state      %s", state_of(view));
    if (view->ended != RZ_OK)
        printf(": %s", rz_status_text(view->ended));
    if (view->ended != RZ_OK && view->ended_about != RZ_NO_RANK)
        printf(", rank %d", view->ended_about);
    printf("\nring       %u slots of up to %u bytes\n", view->slots, view->record_bytes);
    printf("published  %u\n\n", view->published);
    printf("rank   process  state           taken  behind\n");
    for (uint32_t r = 0; r < view->world; r++)
        if (view->job || r == 0 || view->ranks[r].here)
            print_rank(view, r);
    if (view->record_count > 0)
        printf("\nlast records\n");
    for (uint32_t i = 0; i < view->record_count; i++)
        print_record(&view->records[i]);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* ------------------------------------------------------------------------------------------------
 * JSON
 */

static json_t *json_rank(const struct rz_ring_view *view, uint32_t rank)
{
    const struct rz_rank_view *it = &view->ranks[rank];
    json_t *json =
        json_pack("{s:i, s:s, s:b, s:b}", "rank", (int)rank, "state",
                  rz_ring_rank_state(view, rank), "alive", it->alive, "asleep", it->asleep);
    if (json != NULL && it->here)
        json_object_set_new(json, "pid", json_integer(it->pid));
    if (json != NULL && it->here && rank > 0) {
        json_object_set_new(json, "taken", json_integer(it->taken));
        json_object_set_new(json, "behind", json_integer(it->behind));
    }
    return json;
}

static json_t *json_record(const struct rz_record_view *record)
{
    char text[2 * RZ_VIEW_PAYLOAD_BYTES + 1];
    spell(record, text, sizeof text);
    return json_pack("{s:I, s:b, s:I, s:I, s:s}", "sequence", (json_int_t)record->sequence, "whole",
                     record->whole, "type", (json_int_t)record->type, "bytes",
                     (json_int_t)record->bytes, "begins", text);
}

static json_t *json_ended(const struct rz_ring_view *view)
{
    if (view->ended == RZ_OK)
        return json_null();
    return json_pack("{s:i, s:s, s:i}", "status", view->ended, "text", rz_status_text(view->ended),
                     "rank", view->ended_about);
}

static bool print_json(const struct rz_ring_view *view, const char *path)
{
    json_t *ranks = json_array(), *records = json_array();
    bool whole = true;
    for (uint32_t r = 0; r < view->world; r++)
        whole = json_array_append_new(ranks, json_rank(view, r)) == 0 && whole;
    for (uint32_t i = 0; i < view->record_count; i++)
        whole = json_array_append_new(records, json_record(&view->records[i])) == 0 && whole;
    json_t *json =
        json_pack("{s:s, s:s, s:i, s:I, s:s, s:o, s:I, s:I, s:I, s:o, s:o}", "segment", path,
                  "kind", kind_of(view), "version", (int)view->version, "bytes",
                  (json_int_t)view->bytes, "state", state_of(view), "ended", json_ended(view),
                  "slots", (json_int_t)view->slots, "record_bytes", (json_int_t)view->record_bytes,
                  "published", (json_int_t)view->published, "ranks", ranks, "records", records);
    whole = json != NULL && json_dumpf(json, stdout, JSON_INDENT(2)) == 0 && whole;
    json_decref(json);
    return putchar('\n') != EOF && fflush(stdout) == 0 && whole;
}

bool rz_ring_print(const struct rz_ring_view *view, const char *path, bool json)
{
    return json ? print_json(view, path) : print_columns(view, path);
}
