/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_cpu.c - the processor, and how much of it is ours.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

/* What /proc/cpuinfo says of the first processor under `key`; "" if nothing. */
static void read_cpuinfo(const char *key, char *value, size_t capacity)
{
    value[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL)
        return;
    char *line = NULL;
    size_t line_capacity = 0;
    while (getline(&line, &line_capacity, file) > 0 && value[0] == '\0') {
        const size_t length = strlen(key);
        if (strncmp(line, key, length) != 0 || strchr("\t :", line[length]) == NULL)
            continue;
        const char *text = strchr(line, ':');
        if (text != NULL)
            snprintf(value, capacity, "%.*s", (int)strcspn(text + 2, "\n"), text + 2);
    }
    free(line);
    fclose(file);
}

static bool has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static void report_features(struct rz_report *report)
{
    static const char *const features[] = {"avx2",     "fma",         "f16c",        "avx512f",
                                           "avx512bw", "avx512_bf16", "avx512_fp16", "asimd"};
    char flags[4096];
    read_cpuinfo("flags", flags, sizeof flags);
    if (flags[0] == '\0')
        read_cpuinfo("Features", flags, sizeof flags); /* as arm64 calls them */
    rz_report_item(report, "features", NULL);
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        if (has_word(flags, features[i]))
            rz_report_item(report, "features", features[i]);
}

/* Processors' worth of time that the cgroup at `path` may use; 0: no limit. */
static double read_quota(const char *path)
{
    char file_name[512];
    snprintf(file_name, sizeof file_name, "/sys/fs/cgroup%s/cpu.max", path);
    FILE *file = fopen(file_name, "re");
    if (file == NULL)
        return 0;
    char line[64] = "";
    const bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    char *rest = line;
    const double quota = strtod(line, &rest); /* "max" is no number: 0 */
    const double period = strtod(rest, NULL);
    return read && period > 0 ? quota / period : 0;
}

/* The tightest limit from our cgroup (version 2) up to the root. */
static double find_quota(void)
{
    char path[400] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file != NULL) {
        if (fscanf(file, "0::%399[^\n]", path) != 1)
            path[0] = '\0';
        fclose(file);
    }
    double least = 0;
    for (;;) {
        const double quota = read_quota(path);
        if (quota > 0 && (least == 0 || quota < least))
            least = quota;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

void rz_doctor_cpu(struct rz_report *report)
{
    char text[256];
    rz_report_section(report, "cpu");
    read_cpuinfo("model name", text, sizeof text);
    rz_report_text(report, "model", text[0] != '\0' ? text : NULL);
    report_features(report);

    cpu_set_t set;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    rz_report_number(report, "cores_online", online > 0 ? (uint64_t)online : 1);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        rz_report_number(report, "cores_usable", (uint64_t)CPU_COUNT(&set));
    const double quota = find_quota();
    snprintf(text, sizeof text, "%.2f cores", quota);
    rz_report_text(report, "cgroup_quota", quota > 0 ? text : NULL);
}
