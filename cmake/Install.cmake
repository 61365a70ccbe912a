# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` brings: headers, libraries, the command, and how CMake (find_package) and
# pkg-config find them.

include(CMakePackageConfigHelpers)

set(headers include/rankzero/cuda.h include/rankzero/rankzero.h include/rankzero/ring.h
            include/rankzero/status.h)
set(RZ_PC_FILES rankzero)
if(RZ_HAVE_MPI)
    list(APPEND headers include/rankzero/mpi.h)
    list(APPEND RZ_PC_FILES rankzero-mpi)
endif()
install(FILES ${headers} "${PROJECT_BINARY_DIR}/include/rankzero/version.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/rankzero")

# The libraries for MPI are a set of their own: naming them takes MPI's targets, which a program
# without MPI does not look for.
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/rankzero")
install(TARGETS rankzero rankzero_static EXPORT rankzero-targets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT rankzero-targets NAMESPACE rankzero:: DESTINATION "${package_dir}")
if(RZ_HAVE_MPI)
    install(TARGETS rankzero_mpi rankzero_mpi_static EXPORT rankzero-mpi-targets
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    install(EXPORT rankzero-mpi-targets NAMESPACE rankzero:: DESTINATION "${package_dir}")
endif()
configure_package_config_file(cmake/rankzero-config.cmake.in
    "${PROJECT_BINARY_DIR}/rankzero-config.cmake" INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/rankzero-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/rankzero-config.cmake"
              "${PROJECT_BINARY_DIR}/rankzero-config-version.cmake"
        DESTINATION "${package_dir}")

if(TARGET rankzero_command)
    install(TARGETS rankzero_command RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

# The .pc files say where they are relative to themselves, so that an installed tree can be moved.
file(RELATIVE_PATH RZ_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" RZ_PC_PREFIX "${RZ_PC_PREFIX}")
foreach(pc IN LISTS RZ_PC_FILES)
    configure_file(cmake/${pc}.pc.in ${pc}.pc @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/${pc}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()
