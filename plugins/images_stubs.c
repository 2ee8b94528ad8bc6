/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System-call stubs: the functions of ntdll and win32u (and of copies of them) that do nothing but enter the kernel with a
 * number. Security products and malware alike write over their first bytes; others need their numbers to
 * call the kernel past such hooks. Forms: x64 since Windows 7 and since 10 1511, x86 (int 2e, SystemCallStub, sysenter), the 32-bit ones
 * below WoW64 of Windows 7, 8 and 10, ARM64 (as their ntdll has them).
 */
#include <string.h>
#include "bytes.h"
#include "images.h"

enum { STUB_BYTES = 16 };

struct stub {
	uint32_t rva;
	const char *name;
	bool known, current_known, hooked, inferred;
	enum fault unread;		/* why the process's own bytes could not be had */
	uint32_t number, current_number;
	uint32_t changed_bits;
	uint8_t current[STUB_BYTES];
};

static bool starts(const uint8_t *code, const void *bytes, size_t length)
{
	return !memcmp(code, bytes, length);
}

static bool stub_number(uint16_t machine, const uint8_t code[STUB_BYTES], uint32_t *number)
{
	struct bytes b = { code, STUB_BYTES, false };
	bool is = false;

	switch (machine) {
	case PE_MACHINE_AMD64:	/* mov r10, rcx; mov eax, number; then syscall, or a test of which way to enter the kernel */
		is = (starts(code, "\x4c\x8b\xd1\xb8", 4) || starts(code, "\x49\x89\xca\xb8", 4)) &&
		     (starts(code + 8, "\x0f\x05", 2) || starts(code + 8, "\xf6\x04\x25\x08\x03\xfe\x7f", 7));
		*number = (uint32_t)bytes_at(&b, 4, 4);
		break;
	case PE_MACHINE_I386:	/* mov eax, number; then mov edx, … ; call edx, or xor/mov ecx; lea edx; call fs:[0xc0], or lea edx; int 2e */
		is = code[0] == 0xb8 && (code[5] == 0xba || starts(code + 5, "\x64\xff\x15\xc0", 4) || starts(code + 5, "\x33\xc9\x8d\x54", 4) ||
					 (code[5] == 0xb9 && starts(code + 10, "\x8d\x54\x24", 3)) || code[5] == 0xe8 ||
					 starts(code + 5, "\x8d\x54\x24\x04\xcd\x2e", 6));
		*number = (uint32_t)bytes_at(&b, 1, 2);	/* above it: how WoW64 passes the arguments */
		break;
	case PE_MACHINE_ARM64:	/* svc number; ret */
		*number = (uint32_t)bytes_at(&b, 0, 4);
		is = (*number & 0xffe0001f) == 0xd4000001 && bytes_at(&b, 4, 4) == 0xd65f03c0;
		*number = *number >> 5 & 0xffff;
		break;
	}
	return is;
}

bool untouched(const struct subject *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->pages[i] & (PAGE_FLAG_MODIFIED | PAGE_FLAG_ALONE) && s->pages[i] & PAGE_FLAG_EXECUTABLE)
			return false;
	return true;
}

static int compare_stubs(const void *a, const void *b)
{
	const struct stub *x = a, *y = b;

	return x->rva != y->rva ? (x->rva > y->rva) - (x->rva < y->rva) : strcmp(x->name, y->name);
}

static uint32_t different_bits(const uint8_t *a, const uint8_t *b)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < STUB_BYTES; i++)
		n += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
	return n;
}

/* original NULL: the image has no section, or that page of it isn't in the dump. False: it is no stub, as far as can be told. */
static bool look_at(struct subject *s, struct pe *original, struct stub *stub)
{
	uint8_t before[STUB_BYTES];

	if ((stub->unread = pe_read(s->pe, stub->rva, stub->current, STUB_BYTES)))	/* its number may still be had */
		return original && !pe_read(original, stub->rva, before, STUB_BYTES) && (stub->known = stub_number(s->original->machine, before, &stub->number));
	stub->current_known = stub_number(s->original->machine, stub->current, &stub->current_number);
	if (original && !pe_read(original, stub->rva, before, STUB_BYTES)) {
		stub->known = stub_number(s->original->machine, before, &stub->number);
		stub->changed_bits = different_bits(before, stub->current);
		stub->hooked = stub->changed_bits != 0;
		return stub->known;
	}
	stub->known = stub->current_known;
	stub->number = stub->current_number;
	stub->hooked = !stub->known;
	return true;
}

/* Stubs lie one after the other, numbered in that order: what stands between two tells a missing number. */
static void infer(GArray *stubs)
{
	guint next = 0;		/* the first that is known behind the one at hand */

	for (guint i = 1; i + 1 < stubs->len; i++) {
		struct stub *stub = &g_array_index(stubs, struct stub, i);
		const struct stub *before = stub - 1;
		if (stub->known || !before->known)
			continue;
		next = MAX(next, i + 1);
		while (next < stubs->len && !g_array_index(stubs, struct stub, next).known)
			next++;
		if (next == stubs->len)
			continue;
		const struct stub *after = &g_array_index(stubs, struct stub, next);
		if (after->number - before->number == next - (i - 1) && after->rva - before->rva == (stub->rva - before->rva) * (next - (i - 1))) {
			stub->known = stub->inferred = true;
			stub->number = before->number + 1;
		}
	}
}

static void put_stub(struct subject *s, const struct stub *stub, guint place)
{
	struct row *row = row_new(s->c, &table_system_call_stubs);
	struct patch_source source = subject_source(s);
	struct patch_code code;

	row_ref(row, C_IMAGE, s->ordinal);
	row_text(row, C_NAME, stub->name);
	row_int(row, C_NUMBER, stub->number);
	row_text(row, C_NUMBER_FROM, stub->inferred ? "neighbours" : stub->hooked || stub->unread ? "original" : "stub");
	row_int(row, C_PLACE, place);
	row_address(row, C_ADDRESS, s->base + stub->rva);
	if (stub->unread)
		row_fault(row, C_HOOKED, stub->unread, (va_t){ s->base + stub->rva }, "the stub's bytes");
	else
		row_int(row, C_HOOKED, stub->hooked);
	if (!stub->hooked)
		return;
	row_blob(row, C_CURRENT, stub->current, STUB_BYTES);
	if (!stub->inferred)
		row_int(row, C_CHANGED_BITS, stub->changed_bits);
	if (stub->current_known) {
		row_int(row, C_CURRENT_NUMBER, stub->current_number);
		return;		/* where a stub leads is the kernel */
	}
	patch_decode(&source, s->original->machine, s->base + stub->rva, s->base + stub->rva, STUB_BYTES, &code);
	if (code.kind == PATCH_HOOK && code.has_target) {
		row_address(row, C_TARGET, code.target);
		row_text(row, C_TARGET_MODULE, module_at(s->c, code.target));
	}
	g_free(code.text);
}

void put_stubs(struct subject *s)
{
	bool mapped = s->vad && image_vad(s->vad) && s->content;
	enum fault fault;

	if (!s->space || !s->pages || !s->c->process || (!s->first && untouched(s)))
		return;
	const GArray *exports = pe_exports(s->facts, &fault);
	struct pe_source section = view_section_source(&s->view);
	AUTO_PE original = mapped ? pe_open(&section, s->base, s->size) : NULL;
	g_autoptr(GArray) stubs = g_array_new(FALSE, TRUE, sizeof(struct stub));
	guint known = 0;
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		struct stub stub = { .rva = e->rva, .name = e->name };
		/* Each is exported as Zw… too. */
		if (!e->rva || e->forwarder || !e->name || strncmp(e->name, "Nt", 2) || !g_ascii_isupper(e->name[2]))
			continue;
		/* Where the section's page is missing, reading it gives the process's own. */
		bool alone = e->rva / PAGE_SIZE < s->n && s->pages[e->rva / PAGE_SIZE] & PAGE_FLAG_ALONE;
		if (!look_at(s, alone ? NULL : original, &stub))
			continue;
		known += stub.known;
		g_array_append_val(stubs, stub);
	}
	if (!known)
		return;
	g_array_sort(stubs, compare_stubs);
	infer(stubs);
	for (guint i = 0, place = 0; i < stubs->len; i++) {
		const struct stub *stub = &g_array_index(stubs, struct stub, i);
		if (!stub->known)
			continue;
		if (s->first || stub->hooked) {
			if (!affordable(s, 1))
				break;
			put_stub(s, stub, place);
		}
		place++;
	}
}
