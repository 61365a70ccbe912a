/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_gpu.c - GPUs, the libraries that make them of use, and whether this build can.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gpu/nccl.h"
#include "kernels/cuda/image.h"
#include "runtime/gpu_kernels.h"
#include "tools/doctor.h"

static uint64_t count_files(void)
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

/* What the driver does not tell is 0. */
static void report_device(struct rz_report *report, const struct rz_cuda *cuda, int ordinal)
{
    char entry[32], name[64] = "?", text[192];
    int device = 0, major = 0, minor = 0, multiprocessors = 0;
    size_t bytes = 0;
    if (cuda->device(&device, ordinal) == RZ_CUDA_SUCCESS) {
        cuda->device_name(name, sizeof name, device);
        cuda->device_attribute(&major, RZ_CUDA_CAPABILITY_MAJOR, device);
        cuda->device_attribute(&minor, RZ_CUDA_CAPABILITY_MINOR, device);
        cuda->device_attribute(&multiprocessors, RZ_CUDA_MULTIPROCESSORS, device);
        cuda->device_memory(&bytes, device);
    }
    name[sizeof name - 1] = '\0';
    snprintf(entry, sizeof entry, "device_%d", ordinal);
    snprintf(text, sizeof text, "%s, compute capability %d.%d, %d multiprocessors, %.1f GiB", name,
             major, minor, multiprocessors, (double)bytes / (1u << 30));
    rz_report_text(report, entry, text);
}

/* Those that the driver shows; without one, those that the system has files of. */
static void report_devices(struct rz_report *report, const struct rz_cuda *cuda)
{
    int count = 0;
    if (cuda == NULL || cuda->device_count(&count) != RZ_CUDA_SUCCESS) {
        rz_report_number(report, "devices", count_files());
        return;
    }
    rz_report_number(report, "devices", (uint64_t)count);
    for (int i = 0; i < count; i++)
        report_device(report, cuda, i);
}

static void report_nccl(struct rz_report *report)
{
    struct rz_nccl nccl;
    struct rz_error err;
    char text[sizeof err.text + 16];
    if (rz_nccl_open(&nccl, &err) == RZ_OK)
        snprintf(text, sizeof text, "%d.%d.%d", nccl.version / 10000, nccl.version / 100 % 100,
                 nccl.version % 100);
    else
        snprintf(text, sizeof text, "no: %s", err.text);
    rz_report_text(report, "nccl", text);
}

/* As far as a job with GPUs goes before it allocates memory. */
static int try_kernels(const struct rz_cuda *cuda, struct rz_error *err)
{
    struct rz_gpu_kernels kernels = {.count = 0};
    struct rz_device device;
    int status = rz_device_open(&device, cuda, 0, 0, err);
    if (status != RZ_OK)
        return status;
    status = rz_device_enter(&device, err);
    if (status == RZ_OK) {
        status = rz_gpu_kernels_load(&kernels, &device, rz_cuda_images, err);
        rz_gpu_kernels_unload(&kernels);
        rz_device_leave(&device);
    }
    rz_device_close(&device);
    return status;
}

void rz_doctor_gpu(struct rz_report *report)
{
    struct rz_cuda cuda = {.version = 0};
    struct rz_error err = {.text = ""};
    char text[sizeof err.text + 16];
    rz_report_section(report, "gpu");
    int status = rz_cuda_open(&cuda, &err);
    report_devices(report, status == RZ_OK ? &cuda : NULL);
    rz_report_text(report, "driver", read_driver(text, sizeof text) ? text : NULL);
    snprintf(text, sizeof text, "%d.%d", cuda.version / 1000, cuda.version % 1000 / 10);
    rz_report_text(report, "driver_cuda", cuda.version > 0 ? text : NULL);
    report_nccl(report);
    rz_report_bool(report, "kernels_in_this_build", rz_cuda_images[0].name != NULL);
    if (status == RZ_OK)
        status = try_kernels(&cuda, &err);
    snprintf(text, sizeof text, "no: %s", err.text);
    rz_report_text(report, "used", status == RZ_OK ? "yes, with --backend cuda" : text);
}
