/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"
#include <yara.h>

const char *scan_library_version(void)
{
	return YR_VERSION;
}
