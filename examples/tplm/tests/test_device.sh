#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The same text and the same dumped logits, byte for byte, from 1, 2, 3 and 4 ranks with GPUs as from
# CPUs.
#
#   test_device.sh TPLM MPIEXEC...
set -eu
tplm=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# write NAME RANKS OPTIONS...
write() {
    name=$1 ranks=$2
    shift 2
    $mpiexec -np "$ranks" "$tplm" --prompt "In the beginning" --prompt "And God said" --tokens 12 \
        --temperature 0.8 --top-p 0.95 --repetition-penalty 1.1 --min-tokens 3 --seed 7 --text-only \
        --dump-logits "$dir/$name.npy" "$@" >"$dir/$name.txt"
    for kind in npy jsonl ids.npy txt; do
        cmp "$dir/cpu.$kind" "$dir/$name.$kind"
    done
}
mpiexec=$*

write cpu 2 --device cpu
for ranks in 1 2 3 4; do
    write cuda-$ranks $ranks --device cuda --comm cuda_ipc
done
