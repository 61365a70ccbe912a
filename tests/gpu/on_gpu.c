/* SPDX-License-Identifier: Apache-2.0
 *
 * on_gpu.c - run a program where there is a GPU; else say why there is none, and exit with 77.
 *
 *   on_gpu PROGRAM ARGUMENT...   with RZ_TEST_GPUS in its environment: how many there are
 *   on_gpu                       the number of GPUs
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gpu/driver.h"

int main(int argc, char **argv)
{
    enum { SKIPPED = 77, NOT_FOUND = 127 };
    struct rz_cuda cuda;
    struct rz_error err = {0};
    int count = 0;
    if (rz_cuda_open(&cuda, &err) != RZ_OK) {
        printf("skipped: %s\n", err.text);
        return SKIPPED;
    }
    if (cuda.device_count(&count) != RZ_CUDA_SUCCESS)
        return SKIPPED;
    if (argc > 1) {
        char text[16];
        snprintf(text, sizeof text, "%d", count);
        setenv("RZ_TEST_GPUS", text, 1);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        return NOT_FOUND;
    }
    printf("%d\n", count);
    return 0;
}
