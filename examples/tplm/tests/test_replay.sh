#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# `rankzero sample` draws from dumped logits what was drawn from them.
#
#   test_replay.sh TPLM RANKZERO MPIEXEC...
set -eu
tplm=$1
rankzero=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

replay() {
    "$@" --prompt "And God said" --prompt "Blessed is" --tokens 12 --seed 11 --text-only \
        --dump-logits "$dir/run.npy" >"$dir/run.txt"
    "$rankzero" sample "$dir/run.npy" --params "$dir/run.jsonl" -o "$dir/again.npy" >"$dir/ids.txt"
    # After headers of 128 bytes or less each, the ids: 4 bytes a draw.
    bytes=$(($(wc -l <"$dir/run.jsonl") * 4))
    tail -c $bytes "$dir/run.ids.npy" >"$dir/drawn"
    tail -c $bytes "$dir/again.npy" >"$dir/drawn-again"
    cmp "$dir/drawn" "$dir/drawn-again"
}

replay "$@" -np 2 "$tplm"
replay "$@" -np 3 "$tplm" --temperature 0.8 --top-p 0.95
replay "$@" -np 2 "$tplm" --temperature 1.2 --top-k 40 --min-p 0.02
replay "$@" -np 1 "$tplm" --temperature 0
replay "$@" -np 2 "$tplm" --repetition-penalty 1.3 --frequency-penalty 0.5 \
    --presence-penalty -0.25 --min-tokens 5
