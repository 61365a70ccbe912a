#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A captured decode loop draws the same ids on 1, 2 and 3 ranks, and docs/gpu.md shows the code.
#
#   test_replay.sh REPLAY DOCUMENT
set -eu
replay=$1
document=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for world in 1 2 3; do
    rank=1
    others=
    while [ $rank -lt $world ]; do
        "$replay" "replay-$$" $rank $world >"$dir/$world.$rank" &
        others="$others $!"
        rank=$((rank + 1))
    done
    "$replay" "replay-$$" 0 $world >"$dir/$world.0"
    for other in $others; do
        wait "$other"
    done
    for ids in "$dir/$world".*; do
        cmp "$dir/1.0" "$ids"
    done
done
[ "$(sort -u "$dir/1.0" | wc -l)" -gt 3 ]

sed -n '/^static int decode/,/^}/p' "$(dirname "$0")/replay.c" >"$dir/code"
# shellcheck disable=SC2016 # the backquotes are Markdown's
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$document" >"$dir/shown"
diff "$dir/code" "$dir/shown"
