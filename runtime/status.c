/* SPDX-License-Identifier: Apache-2.0
 *
 * status.c - texts of statuses, and the library's version.
 */
#include "rankzero/status.h"

#include "rankzero/rankzero.h"

const char *rz_status_text(int status)
{
    switch (status) {
#define STATUS_CASE(name, value, text) \
    case name: return text;
        RZ_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default: return "unknown status";
    }
}

const char *rz_version(void)
{
    return RZ_VERSION;
}
