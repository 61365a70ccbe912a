# SPDX-License-Identifier: Apache-2.0
#
# rz_add_test - a cmocka program, registered with ctest under its name. Also finds Python, for tests
# written in it.

find_path(CMOCKA_INCLUDE_DIR cmocka.h REQUIRED)
find_library(CMOCKA_LIBRARY cmocka REQUIRED)
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
mark_as_advanced(CMOCKA_INCLUDE_DIR CMOCKA_LIBRARY)

# For tests that start mpirun: as root, with more ranks than cores, on one host. OMPI_ is read by
# OpenMPI 4, PRTE_ by OpenMPI 5. Both leave memory behind at exit, which lsan.supp tells from ours by
# the library that allocated it; seeing that takes whole call stacks.
set(RZ_MPI_TEST_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    OMPI_MCA_btl=^tcp,openib,usnic,ofi OMPI_MCA_btl_vader_single_copy_mechanism=none
    ASAN_OPTIONS=fast_unwind_on_malloc=0
    "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")

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

# rz_add_mpi_test(NAME RANKS N COMMAND PROGRAM ARGUMENT... [LABELS LABEL...] [TIMEOUT S])
#
# The program under mpirun with N ranks, labelled `ranks`; nothing where there is no MPI.
function(rz_add_mpi_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "RANKS;TIMEOUT" "COMMAND;LABELS")
    if(NOT arg_RANKS OR NOT arg_COMMAND OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR
            "rz_add_mpi_test(${name}): no RANKS or COMMAND, or unknown: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT RZ_HAVE_MPI)
        return()
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()

    add_test(NAME ${name}
        COMMAND "${MPIEXEC_EXECUTABLE}" ${MPIEXEC_NUMPROC_FLAG} ${arg_RANKS} ${MPIEXEC_PREFLAGS}
                ${arg_COMMAND})
    set_tests_properties(${name} PROPERTIES
        TIMEOUT ${arg_TIMEOUT} LABELS "ranks;${arg_LABELS}" PROCESSORS ${arg_RANKS}
        ENVIRONMENT "${RZ_MPI_TEST_ENVIRONMENT}")
endfunction()

# rz_add_command_test(NAME SCRIPT FILE.py [COMMAND TARGET] [LABELS LABEL...] [TIMEOUT S])
#
# A Python script whose environment says where the rankzero command (RANKZERO; another build of it with
# COMMAND) and mpirun (MPIRUN, if there is one) are. Exit status 77: what it needs is missing.
function(rz_add_command_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "SCRIPT;COMMAND;TIMEOUT" "LABELS")
    if(NOT arg_SCRIPT OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR
            "rz_add_command_test(${name}): no SCRIPT, or unknown: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    if(NOT arg_COMMAND)
        set(arg_COMMAND rankzero_command)
    endif()

    set(mpirun "")
    if(RZ_HAVE_MPI)
        set(mpirun "MPIRUN=${MPIEXEC_EXECUTABLE}")
    endif()
    add_test(NAME ${name}
        COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT}" --verbose)
    set_tests_properties(${name} PROPERTIES
        TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" SKIP_RETURN_CODE 77
        ENVIRONMENT "RANKZERO=$<TARGET_FILE:${arg_COMMAND}>;${mpirun};${RZ_MPI_TEST_ENVIRONMENT}")
endfunction()
