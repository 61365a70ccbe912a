# SPDX-License-Identifier: Apache-2.0
#
# What every target of ours is compiled with: warnings are errors, sanitizers by RZ_SANITIZE.

set(RZ_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_STANDARD 17) # of tests
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(rz_build_flags INTERFACE)
target_compile_definitions(rz_build_flags INTERFACE _GNU_SOURCE)
target_include_directories(rz_build_flags INTERFACE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include" "${PROJECT_BINARY_DIR}/include")

# Warnings are errors to us, not to those who build us as a part of theirs, with compilers to come.
option(RZ_WERROR "Warnings are errors" ${PROJECT_IS_TOP_LEVEL})

# -ffp-contract=off: a fused multiply-add that nobody wrote changes bits that must not change.
target_compile_options(rz_build_flags INTERFACE
    -ffp-contract=off $<$<BOOL:${RZ_WERROR}>:-Werror> -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes;-Wmissing-prototypes;-Wold-style-definition> -Wundef -Wvla -Wformat=2
    -Wcast-qual -Wwrite-strings -Wpointer-arith
    $<$<COMPILE_LANG_AND_ID:C,Clang>:-Wenum-float-conversion>) # newer clangs have it in -Wextra

if(RZ_SANITIZE)
    target_compile_options(rz_build_flags INTERFACE
        -fsanitize=${RZ_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(rz_build_flags INTERFACE -fsanitize=${RZ_SANITIZE})
endif()
