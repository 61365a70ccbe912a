#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The same logits, parameters, ids and text, byte for byte, from 1, 2, 3 and 4 ranks, and the same
# text for a prompt alone as in a batch.
#
#   test_ranks.sh TPLM MPIEXEC...
set -eu
tplm=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Prompts of different lengths, one of them longer than a call of the model takes at a time.
{
    echo "In the beginning"
    echo "And it came to pass in those days, that the children of Israel did evil in the sight of" \
        "the LORD, and served the gods of the nations that were round about them, and forsook the" \
        "LORD, and would not hear the words of his servants the prophets, whom he sent unto them," \
        "rising up early and sending them; because he had compassion on his people, and on his"
    echo "Ω: bytes that the text does not have"
} >"$dir/prompts"

for ranks in 1 2 3 4; do
    "$@" -np $ranks "$tplm" --prompts "$dir/prompts" --tokens 24 --temperature 0.8 --top-p 0.95 \
        --repetition-penalty 1.1 --min-tokens 3 --seed 7 --text-only \
        --dump-logits "$dir/$ranks.npy" >"$dir/$ranks.txt"
    for kind in npy jsonl ids.npy txt; do
        cmp "$dir/1.$kind" "$dir/$ranks.$kind"
    done
done

"$@" -np 2 "$tplm" --prompt "In the beginning" --tokens 24 --temperature 0.8 --top-p 0.95 \
    --repetition-penalty 1.1 --min-tokens 3 --seed 7 --text-only >"$dir/alone.txt"
# Of the batch, what stands between the first heading and the blank line before the second.
sed '/^\[2\] seed/,$d; 1d' "$dir/1.txt" | sed '$d' >"$dir/batched.txt"
cmp "$dir/alone.txt" "$dir/batched.txt"
