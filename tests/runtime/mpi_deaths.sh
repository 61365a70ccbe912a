#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A rank of mpirun kills itself in the middle of a job: the others get the error they should.
#
#     mpi_deaths.sh MPIEXEC PROGRAM
#
# mpirun is told not to end the others itself. Its own status then says nothing.
set -eu

ranks=3
for culprit in 0 2; do
    for variant in 0 1 2 3 4 5; do
        said=$("$1" --mca orte_enable_recovery 1 -n "$ranks" "$2" "$culprit" "$variant" 2>&1) || true
        if [ "$(printf '%s\n' "$said" | grep -c '^as expected$')" != $((ranks - 1)) ]; then
            printf 'rank %s dies, variant %s:\n%s\n' "$culprit" "$variant" "$said" >&2
            exit 1
        fi
    done
done
