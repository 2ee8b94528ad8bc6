/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel it is and where, when its image can't be read whole: in dumps that were cut short. The pages of the
 * dump are looked through for what names it.
 */
#ifndef MEMSIEVE_REMAINS_H
#define MEMSIEVE_REMAINS_H
#include "kernel.h"

/*
 * Fills in what is missing of k: guid_age and pdb_name, base and size, build, and shared_data. From the crash dump
 * header's addresses of globals, which fit one known kernel at one base alone; from CodeView records that
 * name a kernel; from headers of images, which hold their address; from KUSER_SHARED_DATA and NtBuildLabEx. False: nothing was
 * found. Where several kernels have those globals at the same places, *like (owned by the caller, or NULL) is the GUID and age
 * of one.
 */
bool remains_identify(struct kernel *k, char **like);
#endif
