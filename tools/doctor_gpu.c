/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_gpu.c - GPUs and their libraries, which this build finds but does not use.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

static bool has_library(const char *name)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL)
        return false;
    dlclose(library);
    return true;
}

static uint64_t count_devices(void)
{
    uint64_t count = 0;
    for (int i = 0; i < 64; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/nvidia%d", i);
        count += access(path, F_OK) == 0;
    }
    return count;
}

static bool read_driver(char *text, size_t capacity)
{
    FILE *file = fopen("/sys/module/nvidia/version", "re");
    if (file == NULL)
        return false;
    const bool ok = fgets(text, (int)capacity, file) != NULL;
    fclose(file);
    if (ok)
        text[strcspn(text, "\n")] = '\0';
    return ok;
}

void rz_doctor_gpu(struct rz_report *report)
{
    char text[64];
    rz_report_section(report, "gpu");
    rz_report_number(report, "devices", count_devices());
    rz_report_text(report, "driver", read_driver(text, sizeof text) ? text : NULL);
    rz_report_bool(report, "libcuda", has_library("libcuda.so.1"));
    rz_report_bool(report, "libnccl", has_library("libnccl.so.2"));
    rz_report_text(report, "used", "no: this build has no CUDA back end");
}
