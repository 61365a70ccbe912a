/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu/library.h"

#include <dlfcn.h>
#include <string.h>

int rz_library_open(const char *name, const char *origin, const struct rz_library_call *calls,
                    size_t count, void *table, struct rz_error *err)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0, "no %s, which comes with %s", name,
                       origin);
    int status = RZ_OK;
    for (size_t i = 0; i < count && status == RZ_OK; i++) {
        void *address = dlsym(library, calls[i].symbol);
        if (address == NULL && calls[i].required)
            status = rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0, "%s is too old: it has no %s",
                             name, calls[i].symbol);
        /* Pointers to functions and to objects are alike, as POSIX has it for dlsym(). */
        memcpy((char *)table + calls[i].offset, &address, sizeof address);
    }
    dlclose(library);
    return status;
}
