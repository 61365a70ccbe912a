#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Three ranks of the example draw the same ids, and the README shows the code that they run.
#
#   test_embed.sh EMBED README
set -eu
embed=$1
readme=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$embed" 1 3 >"$dir/1" &
first=$!
"$embed" 2 3 >"$dir/2" &
second=$!
"$embed" 0 3 >"$dir/0"
wait $first
wait $second
for rank in 0 1 2; do
    sed "s/^rank $rank://" "$dir/$rank" >"$dir/ids.$rank"
    cmp "$dir/ids.0" "$dir/ids.$rank"
done
[ "$(wc -w <"$dir/ids.0")" -eq 5 ]

sed -n '/^static int draw/,/^}/p' "$(dirname "$0")/embed.c" >"$dir/code"
# shellcheck disable=SC2016 # the backquotes are Markdown's
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$readme" >"$dir/shown"
diff "$dir/code" "$dir/shown"
