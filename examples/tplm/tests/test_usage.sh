#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Bad input ends with the right exit status and a message that names what was expected.
#
#   test_usage.sh TPLM MPIEXEC...
set -eu
tplm=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# refused STATUS WORDS RANKS OPTIONS...: one message, from one rank.
refused() {
    expected=$1 words=$2 ranks=$3
    shift 3
    status=0
    $mpiexec -np "$ranks" "$tplm" "$@" >"$dir/out" 2>"$dir/err" || status=$?
    messages=$(grep -c '^tplm: ' "$dir/err" || true)
    if [ "$status" -ne "$expected" ] || [ "$messages" -ne 1 ] ||
        ! grep -q -e "^tplm: .*$words" "$dir/err"; then
        echo "$*: expected exit $expected and '$words', got exit $status and:" >&2
        cat "$dir/err" >&2
        exit 1
    fi
}
mpiexec=$*

refused 2 "expected --prompt TEXT" 1
refused 2 "got '--wrong'" 2 --wrong
refused 2 "got 'stray'" 1 --prompt a stray
refused 2 "tokens: expected a whole number from 0 to 100000, got 'many'" 1 --prompt a --tokens many
refused 2 "tokens: expected 1 or more" 1 --prompt a --tokens 0
refused 2 "seed: .*got '-1'" 1 --prompt a --seed -1
refused 2 "temperature" 2 --prompt a --temperature -1
refused 2 "temperature" 1 --prompt a --temperature nan
refused 2 "top_p" 1 --prompt a --top-p 0
refused 2 "top-p: expected a number, got '0.9x'" 1 --prompt a --top-p 0.9x
refused 2 "min_p" 1 --prompt a --min-p 1
refused 2 "repetition_penalty" 1 --prompt a --repetition-penalty 0
refused 2 "backend: expected auto, reference, scalar, avx2 or avx512, got 'gpu'" 1 --prompt a --backend gpu
refused 2 "device: expected cpu or cuda, got 'gpu'" 1 --prompt a --device gpu
refused 2 "got both" 1 --prompt a --device cuda --backend scalar
refused 2 "ends in .npy, got 'x.txt'" 1 --prompt a --dump-logits x.txt
refused 2 "got both" 1 --prompt a --prompts b
refused 1 "cannot open $dir/none" 2 --prompts "$dir/none"
refused 1 "cannot open $dir/none" 2 --prompt a --weights "$dir/none"
refused 1 "cannot create $dir/none/x.npy" 2 --prompt a --dump-logits "$dir/none/x.npy"
: >"$dir/empty"
refused 1 "expected a prompt a line, got none" 2 --prompts "$dir/empty"
refused 1 "begins with tplm-w" 2 --prompt a --weights "$dir/empty"
seq 65 >"$dir/65"
refused 1 "expected at most 64 prompts" 1 --prompts "$dir/65"
head -c 20000 /dev/zero | tr '\0' a >"$dir/long"
refused 1 "prompt 1: expected at most 16384 bytes, got 20000" 1 --prompts "$dir/long"
refused 1 "expected 1 to 8 ranks, one a head at most, got 9" 9 --prompt a

$mpiexec -np 2 "$tplm" --help >"$dir/out"
[ "$(grep -c '^usage: ' "$dir/out")" -eq 1 ]
