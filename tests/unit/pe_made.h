/* SPDX-License-Identifier: Apache-2.0 */
/* A PE image made byte by byte, one section a page, and what the parser must say of it. */
#ifndef MEMSIEVE_TESTS_PE_MADE_H
#define MEMSIEVE_TESTS_PE_MADE_H
#include "pe.h"

enum {
	STEP = 0x1000,		/* one section a page */
	TEXT = 1 * STEP, EXPORTS = 2 * STEP, IMPORTS = 3 * STEP, DATA = 4 * STEP, IAT = 5 * STEP,
	RESOURCES = 6 * STEP, TABLES = 7 * STEP, IMAGE_SIZE = 8 * STEP,
	NT = 0x100,		/* e_lfanew */
	SECTIONS = 7,
};
#define PREFERRED UINT64_C(0x180000000)
#define LOADED UINT64_C(0x7ff812340000)
#define LOADED32 UINT64_C(0x76540000)

struct made {
	uint8_t bytes[IMAGE_SIZE];
	bool wide;
	uint64_t base;			/* where it "lies" */
	size_t size;			/* bytes there are at all */
	unsigned holes;			/* bit n: page n is absent */
	unsigned reads;
};

#define ROW(array, type, i) (&g_array_index((array), struct type, (i)))

/* An image with all parts, PE32+ for x64 or PE32; the caller frees it. */
struct made *make(bool wide);
struct pe *open_made(struct made *m);
/* The source: it counts reads and has holes. */
enum fault read_made(void *user, uint32_t rva, void *buffer, size_t length);

/* Where things stand in it, and how to change them. */
uint32_t optional_header(void);
uint32_t directories(const struct made *m);
uint32_t section_table(const struct made *m);
unsigned width(const struct made *m);
void put(struct made *m, uint32_t at, unsigned width, uint64_t value);
void put_directory(struct made *m, unsigned index, uint32_t rva, uint32_t size);
uint32_t put_directory_entry(struct made *m, uint32_t directory, unsigned index, uint32_t name, uint32_t target);

/* Assert that the part is as it was made. */
void check_exports(struct pe *pe);
void check_imports(struct pe *pe);
void check_version(struct pe *pe);
void check_resources(struct pe *pe);
void check_data(struct pe *pe, const struct made *m);
void check_tables(struct pe *pe, const struct made *m);
#endif
