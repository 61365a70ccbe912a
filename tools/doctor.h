/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.h - what `rankzero doctor` looks at, a section each.
 */
#ifndef RZ_TOOLS_DOCTOR_H
#define RZ_TOOLS_DOCTOR_H

#include "tools/report.h"

void rz_doctor_library(struct rz_report *report);
void rz_doctor_cpu(struct rz_report *report);
void rz_doctor_shared_memory(struct rz_report *report);
void rz_doctor_kernel(struct rz_report *report);
void rz_doctor_mpi(struct rz_report *report);
void rz_doctor_gpu(struct rz_report *report);

#endif
