/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image in a process, with page tables of its own: what is left of it is searched for, it is put together from that, written as
 * a file and as it lies there, and its code is read as a patch and as code of no image.
 */
#include <stdio.h>
#include "fuzz_memory.h"
#include "code_shape.h"
#include "image_rebuild.h"
#include "image_remains.h"
#include "limit.h"
#include "patch.h"
#include "pe_space.h"

enum {
	TABLES = 4,				/* pages: one of each level */
	IMAGE_PAGES = FUZZ_PAGES - TABLES,
	IMAGE_SIZE = IMAGE_PAGES * PAGE_SIZE,
	FAR = IMAGE_SIZE + (16 << 20),		/* no file is longer than this, whatever the headers say */
	ALIGNED = 1 << 17,			/* and what they may round a section up to */
	VALID = 1, WRITABLE = 2, USER = 4,
};

#define BASE UINT64_C(0x7ff800000000)
#define NO_EXECUTE (UINT64_C(1) << 63)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a file that counts what is written and keeps nothing */

struct sink { off64_t at, end; uint64_t written; };

static ssize_t sink_write(void *user, const char *bytes, size_t length)
{
	struct sink *sink = user;

	(void)bytes;
	sink->at += (off64_t)length;
	sink->end = MAX(sink->end, sink->at);
	sink->written += length;
	return (ssize_t)length;
}

static int sink_seek(void *user, off64_t *offset, int whence)
{
	struct sink *sink = user;

	*offset += whence == SEEK_CUR ? sink->at : whence == SEEK_END ? sink->end : 0;
	if (*offset < 0)
		return -1;
	sink->at = *offset;
	return 0;
}

static FILE *sink_open(struct sink *sink)
{
	return fopencookie(sink, "w", (cookie_io_functions_t){ .write = sink_write, .seek = sink_seek });
}

/* ---- */

static void put(uint8_t *memory, unsigned table, unsigned entry, uint64_t value)
{
	memcpy(memory + table * PAGE_SIZE + 8 * (entry & 511), &value, 8);
}

/* Each page of the image is there or not, writable or not, executable or not. */
static void map(uint8_t *memory, struct fuzz_input *in)
{
	put(memory, 0, BASE >> 39, 1 * PAGE_SIZE | VALID | WRITABLE | USER);
	put(memory, 1, BASE >> 30, 2 * PAGE_SIZE | VALID | WRITABLE | USER);
	put(memory, 2, BASE >> 21, 3 * PAGE_SIZE | VALID | WRITABLE | USER);
	for (unsigned i = 0; i < IMAGE_PAGES; i++) {
		unsigned kind = fuzz_take(in, 1);
		put(memory, 3, i, (uint64_t)(TABLES + i) * PAGE_SIZE | USER | ((kind & 7) == 7 ? 0 : VALID) | (kind & 8 ? WRITABLE : 0) |
		    (kind & 16 ? NO_EXECUTE : 0));
	}
}

static size_t read_code(void *user, uint64_t va, void *buffer, size_t length)
{
	size_t n = 0;

	while (n < length && !space_read(user, (va_t){ va + n }, (uint8_t *)buffer + n, 1, NULL))
		n++;
	return n;
}

static void patches(struct space *space, const struct pe *pe)
{
	static const uint16_t machines[] = { PE_MACHINE_AMD64, PE_MACHINE_I386, PE_MACHINE_ARM64 };
	struct patch_source source = { space, read_code, BASE, BASE + IMAGE_SIZE };

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(machines); i++) {
		uint64_t at = BASE + (i & 1 ? PAGE_SIZE : pe->entry_point);
		struct patch_code code;
		patch_decode(&source, machines[i / 2], at, at + i % 5, 12, &code);
		fuzz_text(code.text);
		g_free(code.text);
		patch_follow(&source, machines[i / 2], at);
	}
}

static void look_at_code(struct space *space, const uint8_t *bytes, unsigned which)
{
	static const enum architecture architectures[] = { ARCH_X64, ARCH_X86, ARCH_ARM64 };
	static csh engines[G_N_ELEMENTS(architectures)];
	struct process *process = process_create();
	struct context context = { .image = space->image, .user = space, .process = process };
	struct code code = { .c = &context, .architecture = architectures[which], .bytes = bytes, .length = 2048, .address = BASE + 1024, .start = BASE, .end = BASE + IMAGE_SIZE };
	struct code_shape shape;
	g_autoptr(GArray) calls = g_array_new(FALSE, FALSE, sizeof(struct system_call));

	if (!engines[which] && !code_engine(code.architecture, &engines[which]))
		abort();
	code_look(engines[which], &code, &shape, calls);
	if (shape.syscalls != calls->len || shape.invalid > code.length || shape.instructions > code.length || shape.stubs > code.length)
		g_error("more than there is");
	for (guint i = 0; i < calls->len; i++)
		if (g_array_index(calls, struct system_call, i).address - code.address >= code.length)
			g_error("a system call that is elsewhere");
	process_destroy(process);
}

static void check_missing(const GArray *missing)
{
	for (guint i = 0; i < missing->len; i++)
		if (!g_array_index(missing, struct image_span, i).length)
			g_error("nothing is missing there");
}

/* How: to which base, with what budget, in what form. */
static void write_image(struct pe *pe, unsigned how)
{
	static const uint64_t bytes[] = { 0, 5000, 64 * PAGE_SIZE, UINT64_MAX }, slots[] = { 0, 3, 4096, 65536 };
	struct image_budget budget = { .bytes = bytes[how & 3], .slots = slots[how >> 2 & 3] };
	uint64_t before = budget.bytes, base = how & 16 ? UINT64_C(0x140000000) : 0;
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	enum image_layout layout = IMAGE_LAYOUT_NONE;
	struct sink sink = { 0 };
	FILE *to = sink_open(&sink);

	if (!(how & 32 ? image_write_mapped(pe, IMAGE_SIZE, to, &budget, missing) : image_write_file(pe, pe, how & 64 ? &base : NULL, to, &budget, missing, &layout)))
		g_error("writing failed where it can't");
	fclose(to);
	/* The last byte is written for its place. */
	if (sink.written > before - budget.bytes + 1)
		g_error("more was written than was taken from the budget");
	if (sink.end > FAR + ALIGNED)
		g_error("a file of %" G_GINT64_FORMAT " bytes", (gint64)sink.end);
	check_missing(missing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t memory[FUZZ_SIZE];
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_take(&in, 1), look = fuzz_take(&in, 1);
	struct image image;
	struct file file;
	struct image_remains remains;

	memset(memory, 0, sizeof(memory));
	map(memory, &in);
	memcpy(memory + TABLES * PAGE_SIZE, in.p, MIN(in.n, IMAGE_SIZE));
	fuzz_image(&image, &file, memory, false);
	limit_values[LIMIT_walk_steps] = 4096;
	struct space *space = space_create(&image, NULL, PAGING_X64, (pa_t){ 0 });
	struct pe_space at = { space, { BASE } };
	struct pe *pe = pe_space_open(&at, IMAGE_SIZE);

	if (look & 1) {
		g_autoptr(GArray) bases = g_array_new(FALSE, FALSE, sizeof(uint64_t));
		g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(uint64_t));
		image_remains_bases(space, BASE, BASE + IMAGE_SIZE - 1, bases, ends);
		for (guint i = 0; i < bases->len; i++)
			if (g_array_index(bases, uint64_t, i) >= g_array_index(ends, uint64_t, i))
				g_error("an image without an inside");
		space_refill(space);
	}
	if (look & 2 || image_remains_wanted(pe)) {
		if (image_remains_find(space, BASE, IMAGE_SIZE, &remains)) {
			g_autofree char *text = image_remains_text(&remains);
			fuzz_text(text);
			image_remains_apply(&remains, pe);
		}
		image_remains_clear(&remains);
	}
	write_image(pe, how);
	if (look & 4)
		patches(space, pe);
	if (look & 8)
		look_at_code(space, memory + TABLES * PAGE_SIZE + 1024, (look >> 4) % 3);
	pe_close(pe);
	space_destroy(space);
	fuzz_image_clear(&image);
	return 0;
}
