/* SPDX-License-Identifier: Apache-2.0 */
/* A PE image read through an address space. */
#ifndef MEMSIEVE_PE_SPACE_H
#define MEMSIEVE_PE_SPACE_H
#include "pe.h"
#include "space.h"

/* Caller's storage; must outlive the struct pe. */
struct pe_space {
	struct space *space;
	va_t base;
};

static inline enum fault pe_space_read(void *user, uint32_t rva, void *buffer, size_t length)
{
	const struct pe_space *at = user;

	return space_read(at->space, (va_t){ at->base.v + rva }, buffer, length, NULL);
}

/* Open the image that lies at `at->base`; size_limit as for pe_open. */
static inline struct pe *pe_space_open(struct pe_space *at, uint32_t size_limit)
{
	struct pe_source source = { at, pe_space_read };

	return pe_open(&source, at->base.v, size_limit);
}

static inline void pe_cleanup(struct pe **pe)
{
	if (*pe)
		pe_close(*pe);
}
#define AUTO_PE __attribute__((cleanup(pe_cleanup))) struct pe *
#endif
