/* SPDX-License-Identifier: Apache-2.0
 *
 * image_data.h - a fat binary, put into the program by the assembler, which finds it where the
 * build made it.
 */
#ifndef RZ_KERNELS_CUDA_IMAGE_DATA_H
#define RZ_KERNELS_CUDA_IMAGE_DATA_H

/* NAME.fatbin as rz_cuda_image_NAME. Hidden: nobody but the file that has it needs to find it. */
#define RZ_CUDA_IMAGE_DATA(name)                \
    __asm__(".pushsection .rodata\n"            \
            ".balign 16\n"                      \
            ".hidden rz_cuda_image_" #name "\n" \
            ".globl rz_cuda_image_" #name "\n"  \
            "rz_cuda_image_" #name ":\n"        \
            ".incbin \"" #name ".fatbin\"\n"    \
            ".popsection\n");                   \
    extern const char rz_cuda_image_##name[];

#endif
