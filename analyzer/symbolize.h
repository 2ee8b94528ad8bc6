/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel address is called: by the exports of the module it lies in, as no other symbols are at hand offline. */
#ifndef MEMSIEVE_SYMBOLIZE_H
#define MEMSIEVE_SYMBOLIZE_H
#include "plugin.h"

/*
 * Images are opened as they are asked for, and what they export is kept. table: whose diagnostics say what can't be. For one thread; the
 * context outlives it.
 */
struct symbolizer *symbolizer_create(struct context *context, const char *table);
void symbolizer_destroy(struct symbolizer *symbolizer);
DEFINE_AUTO(symbolizer, symbolizer_destroy)

/* "PsSetCreateProcessNotifyRoutine+0x1c": the nearest export below, which the caller frees. NULL: in no module, or its exports
 * can't be read, or none is near. */
char *symbolizer_name(struct symbolizer *symbolizer, va_t address);
#endif
