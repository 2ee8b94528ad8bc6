/* SPDX-License-Identifier: Apache-2.0 */
/* What an analysis came to, in a few lines. */
#ifndef MEMSIEVE_SUMMARY_H
#define MEMSIEVE_SUMMARY_H
#include "pipeline.h"

void summary_print(const char *case_path, const struct result *result, bool verbose);
#endif
