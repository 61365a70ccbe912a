#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Two listeners print what was said, and one whose speaker is killed says so.
#
#   test_ring.sh SAY HEAR
set -eu
say=$1
hear=$2
name=example-$$
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$hear" "$name" >"$dir/first" &
first=$!
"$hear" "$name" >"$dir/second" &
second=$!
seq 1000 >"$dir/said"
"$say" "$name" 2 <"$dir/said"
wait $first
wait $second
cmp "$dir/said" "$dir/first"
cmp "$dir/said" "$dir/second"

"$hear" "$name" 2>"$dir/error" >"$dir/heard" &
listener=$!
mkfifo "$dir/silence"
"$say" "$name" 1 <"$dir/silence" &
speaker=$!
exec 3>"$dir/silence"
echo hello >&3
while ! [ -s "$dir/heard" ]; do
    sleep 0.1
done
kill -9 $speaker
if wait $listener; then
    exit 1
fi
grep -q 'rank 0: its process is gone' "$dir/error"
[ ! -e "/dev/shm/rankzero-$(id -u)-$name" ]
