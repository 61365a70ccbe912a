/* SPDX-License-Identifier: Apache-2.0
 *
 * host_device.h - RZ_HD marks a function of a header that C and CUDA share.
 */
#ifndef RZ_KERNELS_HOST_DEVICE_H
#define RZ_KERNELS_HOST_DEVICE_H

#ifdef __CUDACC__
#define RZ_HD static __host__ __device__ __forceinline__
#else
#define RZ_HD static inline
#endif

#endif
