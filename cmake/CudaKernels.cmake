# SPDX-License-Identifier: Apache-2.0
#
# Fat binaries of kernels: code of every architecture that has to be fast, and PTX that a driver
# compiles for the others. nvcc is called as it is: nothing is linked with CUDA's runtime.

file(GLOB venv_bin "${PROJECT_SOURCE_DIR}/build/cuda-venv/lib/python3*/site-packages/nvidia/cu13/bin")
find_program(RZ_NVCC nvcc HINTS ${venv_bin} /usr/local/cuda/bin REQUIRED
             DOC "nvcc 13: of a CUDA toolkit, or by scripts/cuda-tools")

add_custom_target(rz_cuda_kernels) # all of them

# rz_add_cuda_images(TARGET IMAGE.c KERNEL...)
#
# Compiles each KERNEL.cu of this folder to KERNEL.fatbin in the folder of the build, where the
# assembler finds it when IMAGE.c, a new source of TARGET, asks for it.
function(rz_add_cuda_images target image)
    set(code -gencode arch=compute_80,code=compute_80)
    foreach(architecture 80 89 90 100 120)
        list(APPEND code -gencode arch=compute_${architecture},code=sm_${architecture})
    endforeach()
    # -fmad=false: a fused multiply-add that nobody wrote changes bits that must not change.
    set(flags -std=c++17 -O3 -fmad=false ${code} -Xcompiler=-Wall,-Wextra)
    if(RZ_WERROR)
        list(APPEND flags -Werror all-warnings)
    endif()

    set(binaries "")
    file(RELATIVE_PATH folder "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
    foreach(kernel ${ARGN})
        set(source "${CMAKE_CURRENT_SOURCE_DIR}/${kernel}.cu")
        set(binary "${CMAKE_CURRENT_BINARY_DIR}/${kernel}.fatbin")
        add_custom_command(OUTPUT "${binary}"
            COMMAND "${RZ_NVCC}" ${flags} "-I${PROJECT_SOURCE_DIR}" "-I${PROJECT_SOURCE_DIR}/include"
                    "-I${PROJECT_BINARY_DIR}/include" -MD -MF "${binary}.d" -MT "${binary}"
                    -fatbin -o "${binary}" "${source}"
            DEPENDS "${source}" DEPFILE "${binary}.d"
            COMMENT "Compiling ${folder}/${kernel}.cu for GPUs" VERBATIM)
        list(APPEND binaries "${binary}")
    endforeach()
    add_custom_target(${target}_cuda_images ALL DEPENDS ${binaries})
    add_dependencies(rz_cuda_kernels ${target}_cuda_images)

    target_sources(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/${image}")
    set_source_files_properties("${CMAKE_CURRENT_SOURCE_DIR}/${image}"
        TARGET_DIRECTORY ${target}
        PROPERTIES COMPILE_OPTIONS "-Wa,-I${CMAKE_CURRENT_BINARY_DIR}" OBJECT_DEPENDS "${binaries}")
endfunction()
