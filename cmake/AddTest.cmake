# SPDX-License-Identifier: Apache-2.0
#
# rz_add_test - a cmocka program, registered with ctest under its name.

find_path(CMOCKA_INCLUDE_DIR cmocka.h REQUIRED)
find_library(CMOCKA_LIBRARY cmocka REQUIRED)
mark_as_advanced(CMOCKA_INCLUDE_DIR CMOCKA_LIBRARY)

# For tests that start mpirun: as root, with more ranks than cores. OpenMPI leaves memory behind at
# exit, so AddressSanitizer looks for leaks in the other tests only.
set(RZ_MPI_TEST_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    ASAN_OPTIONS=detect_leaks=0)

# rz_add_test(NAME SOURCES FILE... LIBS TARGET... [LABELS LABEL...] [ARGS ARGUMENT...] [TIMEOUT S])
#
# Links only what LIBS names: for internal functions the object library of a folder and of those that
# it needs, for public ones rankzero. asserts are on whatever the build type is.
function(rz_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS")
    if(NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "rz_add_test(${name}): no SOURCES, or unknown: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()

    add_executable(${name} ${arg_SOURCES})
    target_include_directories(${name} SYSTEM PRIVATE "${CMOCKA_INCLUDE_DIR}")
    target_compile_options(${name} PRIVATE -UNDEBUG)
    target_link_libraries(${name} PRIVATE rz_build_flags ${arg_LIBS} "${CMOCKA_LIBRARY}" m)
    add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()
