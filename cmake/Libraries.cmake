# SPDX-License-Identifier: Apache-2.0
#
# librankzero and librankzero_mpi, shared and static, from the object libraries of the folders.

set(objects "")
foreach(layer IN LISTS RZ_LAYERS)
    list(APPEND objects $<TARGET_OBJECTS:rz_${layer}>)
endforeach()

# Before 1.0 a minor version may change the interface.
set(RZ_SOVERSION ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(RZ_SOVERSION 0.${PROJECT_VERSION_MINOR})
endif()

file(STRINGS "${PROJECT_SOURCE_DIR}/rankzero.map" private REGEX "^RANKZERO_PRIVATE_")
if(NOT private STREQUAL "RANKZERO_PRIVATE_${PROJECT_VERSION} {")
    message(FATAL_ERROR "rankzero.map: expected RANKZERO_PRIVATE_${PROJECT_VERSION}, got ${private}")
endif()

# rz_add_library(NAME SHARED|STATIC OUTPUT_NAME OBJECTS...)
function(rz_add_library name kind output)
    add_library(${name} ${kind} ${ARGN})
    target_include_directories(${name} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(${name} PROPERTIES OUTPUT_NAME ${output} LINKER_LANGUAGE C)
    # The name that an installed one has, for projects that add this one as a subdirectory.
    add_library(rankzero::${name} ALIAS ${name})
    if(RZ_SANITIZE)
        target_link_options(${name} PUBLIC "$<BUILD_INTERFACE:-fsanitize=${RZ_SANITIZE}>")
    endif()
    if(kind STREQUAL SHARED)
        set_target_properties(${name} PROPERTIES
            VERSION ${PROJECT_VERSION} SOVERSION ${RZ_SOVERSION}
            INSTALL_RPATH "$ORIGIN" # librankzero_mpi finds librankzero beside it
            LINK_DEPENDS "${PROJECT_SOURCE_DIR}/rankzero.map")
        target_link_options(${name} PRIVATE
            "LINKER:--version-script=${PROJECT_SOURCE_DIR}/rankzero.map")
        # The sanitizer's own symbols come with the program.
        if(NOT RZ_SANITIZE)
            target_link_options(${name} PRIVATE LINKER:-z,defs)
        endif()
    endif()
endfunction()

rz_add_library(rankzero SHARED rankzero ${objects})
target_link_libraries(rankzero PRIVATE m ${CMAKE_DL_LIBS} ${CMAKE_THREAD_LIBS_INIT})
rz_add_library(rankzero_static STATIC rankzero ${objects})
target_link_libraries(rankzero_static PUBLIC m ${CMAKE_DL_LIBS} ${CMAKE_THREAD_LIBS_INIT})
# dlclose() would take the library from under a thread that still runs in it (comm/communicator.c),
# and OpenMP's from under those that it keeps.
target_link_options(rankzero PRIVATE LINKER:-z,nodelete)

set(RZ_PC_LIBS_PRIVATE "-lm")
foreach(library IN LISTS CMAKE_DL_LIBS)
    string(APPEND RZ_PC_LIBS_PRIVATE " -l${library}")
endforeach()
if(CMAKE_THREAD_LIBS_INIT)
    string(APPEND RZ_PC_LIBS_PRIVATE " ${CMAKE_THREAD_LIBS_INIT}")
endif()
if(RZ_HAVE_OPENMP)
    # PRIVATE: users link OpenMP's library where they must, and are not compiled for OpenMP.
    target_link_libraries(rankzero PRIVATE OpenMP::OpenMP_C)
    target_link_libraries(rankzero_static PRIVATE OpenMP::OpenMP_C)
    list(TRANSFORM OpenMP_C_LIB_NAMES PREPEND "-l" OUTPUT_VARIABLE openmp_libraries)
    list(JOIN openmp_libraries " " openmp_libraries)
    string(APPEND RZ_PC_LIBS_PRIVATE " ${openmp_libraries}")
endif()

set(RZ_HAVE_MPI OFF)
if(TARGET rz_mpi)
    set(RZ_HAVE_MPI ON)
    rz_add_library(rankzero_mpi SHARED rankzero_mpi $<TARGET_OBJECTS:rz_mpi>)
    target_link_libraries(rankzero_mpi PUBLIC rankzero MPI::MPI_C)
    rz_add_library(rankzero_mpi_static STATIC rankzero_mpi $<TARGET_OBJECTS:rz_mpi>)
    target_link_libraries(rankzero_mpi_static PUBLIC rankzero_static MPI::MPI_C)
    if(RZ_SANITIZE MATCHES address)
        foreach(library rankzero_mpi rankzero_mpi_static)
            set(fake "${PROJECT_SOURCE_DIR}/tests/fakes/keep_modules.c")
            set(in_program "$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>")
            target_sources(${library} INTERFACE "$<BUILD_INTERFACE:$<${in_program}:${fake}>>")
            target_link_options(${library} INTERFACE
                "$<BUILD_INTERFACE:LINKER:--export-dynamic-symbol=dlclose>")
        endforeach()
    endif()
endif()
