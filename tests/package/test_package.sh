#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# An installed rankzero can be built against with CMake (shared, static, C++) and with pkg-config
# (shared, static), moved to another place, and its headers compile alone as C99 and as C++11.
#
#   test_package.sh SOURCE_DIR BUILD_DIR CC CXX ON|OFF   (the last: built with MPI)
set -eu
source=$1/tests/package
build=$2
cc=$3
cxx=$4
with_mpi=$5
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

say() {
    echo "-- $*"
}

say "install, and move what was installed"
cmake --install "$build" --prefix "$dir/first" >"$dir/log" || { cat "$dir/log"; exit 1; }
mv "$dir/first" "$dir/prefix"
prefix=$dir/prefix
libdir=$(dirname "$(find "$prefix" -name librankzero.a)")

say "what was installed names no other place"
if grep -rl --include='*.cmake' --include='*.pc' --include='*.h' -e "$build" -e "$dir/first" "$prefix"; then
    exit 1
fi

say "CMake"
cmake -G Ninja -S "$source/embedding" -B "$dir/embedding" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DWITH_MPI="$with_mpi" >"$dir/log" 2>&1 ||
    { cat "$dir/log"; exit 1; }
cmake --build "$dir/embedding" >"$dir/log" || { cat "$dir/log"; exit 1; }
for program in shared static cxx; do
    "$dir/embedding/$program"
done
if [ "$with_mpi" = ON ]; then
    "$dir/embedding/mpi_shared"
    "$dir/embedding/mpi_static"
fi
# The static ones must not have picked the shared library by accident.
if ldd "$dir/embedding/static" | grep rankzero; then
    exit 1
fi

say "pkg-config"
export PKG_CONFIG_PATH="$libdir/pkgconfig"
warnings="-Wall -Wextra -Werror"
# shellcheck disable=SC2046,SC2086 # words of options
{
    $cc $warnings -o "$dir/pc" "$source/program.c" $(pkg-config --cflags --libs rankzero)
    LD_LIBRARY_PATH=$libdir "$dir/pc"
    $cc $warnings -o "$dir/pc-static" "$source/program.c" $(pkg-config --cflags rankzero) \
        "$libdir/librankzero.a" $(pkg-config --static --libs-only-l rankzero | sed 's/-lrankzero //')
    "$dir/pc-static"
    if [ "$with_mpi" = ON ]; then
        OMPI_CC=$cc MPICH_CC=$cc mpicc -o "$dir/pc-mpi" "$source/program_mpi.c" \
            $(pkg-config --cflags --libs rankzero-mpi)
        LD_LIBRARY_PATH=$libdir "$dir/pc-mpi"
    fi
}

say "as a part of another project"
mkdir "$dir/parent"
cp "$source/program.c" "$dir/parent"
cat >"$dir/parent/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(parent LANGUAGES C)
add_subdirectory($1 rankzero)
add_executable(program program.c)
target_link_libraries(program PRIVATE rankzero::rankzero)
add_executable(static program.c)
target_link_libraries(static PRIVATE rankzero::rankzero_static)
END
cmake -G Ninja -S "$dir/parent" -B "$dir/parent/build" -DCMAKE_C_COMPILER="$cc" -DRZ_WITH_MPI=OFF \
    >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
cmake --build "$dir/parent/build" >"$dir/log" || { cat "$dir/log"; exit 1; }
"$dir/parent/build/program"
"$dir/parent/build/static"
# Warnings of compilers to come are not its errors, and what it installs is its own affair.
if grep -l -e -Werror "$dir/parent/build/build.ninja"; then
    exit 1
fi
cmake --install "$dir/parent/build" --prefix "$dir/parent/installed" >/dev/null
[ ! -e "$dir/parent/installed/include" ]

say "headers alone"
for header in rankzero ring status version; do
    # The variable is for version.h: ISO C forbids a file with macros only.
    printf '#include <rankzero/%s.h>\nextern int alone;\n' "$header" >"$dir/alone.c"
    cp "$dir/alone.c" "$dir/alone.cpp"
    $cc -std=c99 -pedantic -Wall -Wextra -Wconversion -Werror -fsyntax-only -I "$prefix/include" \
        "$dir/alone.c"
    $cxx -std=c++11 -pedantic -Wall -Wextra -Wconversion -Werror -fsyntax-only \
        -I "$prefix/include" "$dir/alone.cpp"
done
echo "-- passed"
