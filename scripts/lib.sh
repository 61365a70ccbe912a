# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# lib.sh - what scripts/test and scripts/demo share: headings, packages, a quiet OpenMPI.

# Packages to build and run; and those that only the tests and checks need.
# shellcheck disable=SC2034 # used by those who source this file
RZ_BUILD_PACKAGES="cmake ninja-build gcc libc6-dev pkg-config libopenmpi-dev openmpi-bin libjansson-dev"
# shellcheck disable=SC2034
RZ_TEST_PACKAGES="g++ clang clang-format clang-tidy libclang-rt-dev libomp-dev libcmocka-dev python3 python3-venv
    shellcheck git spin relacy-dev"

heading() {
    printf '\n==> %s\n' "$*"
}

# install_packages PACKAGE...: those that are missing, and nothing else. apt is not called otherwise.
install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        echo "no dpkg here: expecting that these are installed: $*"
        return 0
    fi
    missing=
    for package; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        "install ok installed") ;;
        *) missing="$missing $package" ;;
        esac
    done
    if [ -z "$missing" ]; then
        echo "nothing is missing"
        return 0
    fi

    echo "installing:$missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "these packages are missing, and neither root nor sudo is at hand:$missing" >&2
            return 1
        }
        as_root=sudo
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086 # words of a list
    if $as_root apt-get -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
            install -y --no-install-recommends $missing >>"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        tail -n 30 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# OpenMPI, in a container, as root and with more ranks than cores, without warnings about it.
quiet_mpi() {
    # OMPI_ is read by OpenMPI 4, PRTE_ by OpenMPI 5.
    export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    export OMPI_MCA_btl=^tcp,openib,usnic,ofi # all ranks share a host: no look for networks
    export OMPI_MCA_btl_base_warn_component_unused=0
    export OMPI_MCA_btl_vader_single_copy_mechanism=none # needs ptrace, which containers forbid
}

# version_14 TOOL: the command of a clang tool of version 14, or nothing. What clang-format lays out and
# clang-tidy complains about changes from version to version; the code follows this one.
version_14() {
    for command in "$1-14" "$1"; do
        if "$command" --version 2>/dev/null | grep -q 'version 14\.'; then
            echo "$command"
            return 0
        fi
    done
}
