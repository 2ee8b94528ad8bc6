/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that no comparison of pages finds, since the loader itself writes there: import slots that lead elsewhere than
 * the function they name; and in the kernel, where no original is kept, functions that begin with a jump out
 * of their driver.
 */
#include <string.h>
#include "bytes.h"
#include "images.h"

enum { ENTRY_BYTES = 16 };

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '\\') : NULL;

	return slash ? slash + 1 : path;
}

size_t subject_read(void *subject, uint64_t va, void *buffer, size_t length)
{
	const struct subject *s = subject;
	uint8_t *to = buffer;
	size_t done = 0;

	while (done < length && va <= UINT64_MAX - length) {
		size_t n = MIN(length - done, PAGE_SIZE - (va + done) % PAGE_SIZE);
		if (space_read(s->space, (va_t){ va + done }, to + done, n, NULL))
			break;
		done += n;
	}
	return done;
}

/* ---- import slots */

/* What the loader would have put where `value` is. */
enum verdict { AS_NAMED, ELSEWHERE, NOT_KNOWN };

static enum verdict judge(struct subject *s, const struct pe_import *import, uint64_t value, uint64_t *expected)
{
	g_autofree char *name = import_name(import);
	struct import_candidates found = { 0 };

	if (!name || !import->dll)
		return NOT_KNOWN;
	import_resolve(s->c, s->images, s->neighbours, s->facts->is_64bit, base_name(s->path), import->dll, name, &found);
	for (unsigned i = 0; i < found.n; i++)
		if (found.at[i].va == value)
			return AS_NAMED;
	/* Another DLL may stand behind the name than the one that is known, and has the function by that name. */
	if ((!found.loaded || is_api_set(import->dll)) && exported_at(s->c, s->images, s->neighbours, value, name))
		return AS_NAMED;
	if (found.cut && !context_cancelled(s->c))
		context_note(s->c, FAULT_LIMIT, (va_t){ s->base + import->iat_rva }, "image_patches", "an import's forwarders lead to more than %" G_GUINT64_FORMAT
			     " DLLs (import_looks): not all are followed", (uint64_t)FIXED_import_looks);
	bool known = found.n && !found.cut;
	*expected = known ? found.at[0].va : 0;
	return known ? ELSEWHERE : NOT_KNOWN;
}

static void put_import_hook(struct subject *s, const struct pe_import *import, uint64_t value, uint64_t expected)
{
	unsigned width = pe_slot_size(s->facts);
	g_autofree char *name = import_name(import), *function = g_strdup_printf("%s!%s", import->dll ? import->dll : "", name ? name : "");
	const struct pe_section *section = pe_section_at(s->facts, import->iat_rva);
	struct row *row = row_new(s->c, &table_image_patches);
	struct patch_source source = subject_source(s);
	uint64_t target = patch_follow(&source, s->facts->machine, value);
	uint64_t original = GUINT64_TO_LE(expected), current = GUINT64_TO_LE(value);

	row_ref(row, P_IMAGE, s->ordinal);
	row_address(row, P_ADDRESS, s->base + import->iat_rva);
	row_int(row, P_LENGTH, width);
	row_text(row, P_SECTION, section ? section->name : NULL);
	row_text(row, P_FUNCTION, function);
	if (expected) {
		row_blob(row, P_ORIGINAL, &original, width);
		row_int(row, P_CHANGED_BITS, __builtin_popcountll(expected ^ value));
	}
	row_blob(row, P_CURRENT, &current, width);
	row_text(row, P_KIND, patch_kind_name(PATCH_IMPORT));
	row_address(row, P_TARGET, target);
	row_text(row, P_TARGET_MODULE, module_at(s->c, target));
}

/* Does the i-th slot hold what was found for the first mapping? */
static bool as_first(const struct subject *s, guint i, uint64_t value)
{
	const GArray *targets = s->content ? s->content->targets : NULL;
	uint64_t base;

	if (!targets || i >= targets->len)
		return false;
	const struct slot_target *t = &g_array_index(targets, struct slot_target, i);
	return t->content && neighbour_base(s->neighbours, t->content, &base) && value == base + t->rva;
}

void put_import_hooks(struct subject *s)
{
	const GArray *targets = s->content ? s->content->targets : NULL, *imports = NULL;
	unsigned width = pe_slot_size(s->facts);
	uint64_t found = 0;

	/* An image in private memory has its imports from whoever wrote it there. */
	if (!s->space || (s->c->process && !s->content))
		return;
	if (!targets)
		imports = pe_imports(s->facts, NULL);
	for (guint i = 0; i < (targets ? targets->len : imports ? imports->len : 0) && !context_cancelled(s->c); i++) {
		uint32_t at = targets ? g_array_index(targets, struct slot_target, i).iat_rva : g_array_index(imports, struct pe_import, i).iat_rva;
		uint64_t value = 0, expected = 0;
		if (pe_read(s->pe, at, &value, width) || !slot_is_address(s, value) || as_first(s, i, value))
			continue;
		/* The mapping's own headers may be gone: then the order isn't that of the content's imports. */
		if (!imports)
			imports = pe_imports(s->facts, NULL);
		if (!imports || i >= imports->len || g_array_index(imports, struct pe_import, i).iat_rva != at)
			continue;
		if (!affordable(s, 1))
			break;
		const struct pe_import *import = &g_array_index(imports, struct pe_import, i);
		enum verdict verdict = judge(s, import, value, &expected);
		if (verdict == AS_NAMED || (verdict == NOT_KNOWN && module_at(s->c, value)))
			continue;
		if (found++ >= limit(image_patches)) {
			s->patches_cut = true;
			break;
		}
		put_import_hook(s, import, value, expected);
	}
}

/* ---- export tables */

bool export_table_find(struct subject *s)
{
	uint8_t raw[40];
	struct bytes b = { raw, sizeof(raw), false };
	uint32_t directory = s->original->directories[PE_DIRECTORY_EXPORT].rva;

	if (s->export_table_known)
		return s->export_count != 0;
	s->export_table_known = true;
	if (!directory || pe_read(s->original, directory, raw, sizeof(raw)))
		return false;
	s->export_count = (uint32_t)MIN(bytes_at(&b, 0x14, 4), PE_MAX_EXPORTS);	/* NumberOfFunctions */
	s->export_table = (uint32_t)bytes_at(&b, 0x1c, 4);			/* AddressOfFunctions */
	return s->export_count != 0;
}

/* ---- guard pointers */

static void check_guard(struct subject *s, uint32_t rva, const char *name)
{
	unsigned width = pe_slot_size(s->facts);
	struct patch_source source = subject_source(s);
	uint64_t value = 0;

	if (!rva || pe_read(s->pe, rva, &value, width) || !slot_is_address(s, value) || module_at(s->c, value) || !vad_find(&s->c->process->vads, (va_t){ value }))
		return;
	if (s->patches->len >= limit(image_patches)) {
		s->patches_cut = true;
		return;
	}
	struct found_patch p = {
		.rva = rva, .length = width, .kind = PATCH_POINTER, .section = pe_section_at(s->facts, rva), .current = g_byte_array_new(),
		.has_target = true, .target = patch_follow(&source, s->facts->machine, value), .export = g_strdup(name),
	};
	g_byte_array_append(p.current, (const guint8 *)&value, width);
	g_array_append_val(s->patches, p);
}

void put_guard_hooks(struct subject *s)
{
	/* As the compiler's library names them; CastGuard's is no function. */
	static const char *const names[] = {
		"__guard_check_icall_fptr", "__guard_dispatch_icall_fptr", "__guard_xfg_check_icall_fptr", "__guard_xfg_dispatch_icall_fptr",
		"__guard_xfg_table_dispatch_icall_fptr", NULL, "__guard_memcpy_fptr",
	};
	const uint32_t *guards = s->content && s->content->fixups ? s->content->fixups->guards : NULL;

	G_STATIC_ASSERT(G_N_ELEMENTS(names) == sizeof(s->content->fixups->guards) / sizeof(guards[0]));
	for (size_t i = 0; s->space && s->c->process && guards && i < G_N_ELEMENTS(names); i++)
		if (names[i])
			check_guard(s, guards[i], names[i]);
}

/* ---- functions that nothing can be compared with */

/* Could this begin a jump that no compiler writes at a function's start, or one that may lead out of the image? */
static bool jump_like(const uint8_t *code)
{
	return code[0] == 0xe9 || (code[0] == 0xeb && code[1] >= 0x80) || (code[0] == 0xff && code[1] == 0x25) ||
	       (code[0] == 0x68 && (code[5] == 0xc3 || code[5] == 0xc7)) || (code[0] == 0xb8 && code[5] == 0xff) ||
	       ((code[0] == 0x48 || code[0] == 0x49) && code[1] >= 0xb8 && code[1] <= 0xbf);
}

static bool within(const struct subject *s, uint64_t va)
{
	return va - s->base < s->size;
}

/* What the import slots of the driver hold (uint64_t). Calls of imports are made direct when a driver is loaded (import optimisation). */
static GHashTable *slot_values(struct subject *s)
{
	const GArray *imports = pe_imports(s->facts, NULL);
	GHashTable *values = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (guint i = 0; imports && i < imports->len && !context_cancelled(s->c); i++) {
		uint64_t value = 0;
		if (!pe_read(s->pe, g_array_index(imports, struct pe_import, i).iat_rva, &value, pe_slot_size(s->facts)))
			g_hash_table_add(values, g_memdup2(&value, sizeof(value)));
	}
	return values;
}

/* Memory of the process that belongs to no module, and no image either. */
static bool leads_nowhere_listed(const struct subject *s, uint64_t va)
{
	const struct vad *vad = vad_find(&s->c->process->vads, (va_t){ va });

	return vad && !image_vad(vad) && !module_at(s->c, va);
}

/* Was the function's page compared with its original, or is it looked at in another process? */
static bool compared(const struct subject *s, uint32_t rva)
{
	unsigned flags = rva / PAGE_SIZE < s->n ? s->pages[rva / PAGE_SIZE] : 0;

	return flags & PAGE_FLAG_MODIFIED || (!s->first && !(flags & PAGE_FLAG_ALONE));
}

/* imported: slot_values, of a driver. */
static bool check_entry(struct subject *s, uint32_t rva, GHashTable *imported)
{
	struct patch_source source = subject_source(s);
	const struct pe_section *section = pe_section_at(s->facts, rva);
	uint8_t code[ENTRY_BYTES];
	struct patch_code out;
	bool hooked = false;

	/* What is discarded once the driver has started may be anything by now. */
	if (!section || !(section->characteristics & (PE_SECTION_EXECUTE | PE_SECTION_CODE)) || section->characteristics & PE_SECTION_DISCARDABLE || pe_read(s->pe, rva, code, sizeof(code)) || !jump_like(code))
		return true;
	patch_decode(&source, s->facts->machine, s->base + rva, s->base + rva, ENTRY_BYTES - 2, &out);
	/* In a process, other modules are where imports and forwarders lead that were made direct. */
	if (out.kind == PATCH_HOOK && out.has_target && !within(s, out.target) && (imported ? !g_hash_table_contains(imported, &out.target) : leads_nowhere_listed(s, out.target))) {
		hooked = true;
		if (s->patches->len >= limit(image_patches)) {
			s->patches_cut = true;
		} else {
			struct found_patch p = { .rva = rva, .length = ENTRY_BYTES - 2, .kind = PATCH_OTHER, .section = section, .current = g_byte_array_new() };
			g_byte_array_append(p.current, code, ENTRY_BYTES - 2);
			g_array_append_val(s->patches, p);
		}
	}
	g_free(out.text);
	return !hooked || !s->patches_cut;
}

static int compare_rvas(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Pointers that nobody should write to, by the driver's relocations: the linker made them addresses within the image, the loader puts
 * those of control flow guard into the kernel. Those that lead to no driver, or to one that the kernel's list lacks, were changed.
 */
static void check_pointers(struct subject *s)
{
	enum fault fault;
	const GArray *relocations = pe_relocations(s->facts, &fault);
	struct patch_source source = subject_source(s);

	for (guint i = 0; relocations && i < relocations->len && !context_cancelled(s->c); i++) {
		const struct pe_relocation *r = &g_array_index(relocations, struct pe_relocation, i);
		const struct pe_section *section = r->type == PE_RELOCATION_DIR64 ? pe_section_at(s->facts, r->rva) : NULL;
		uint64_t value = 0;
		if (!section || section->characteristics & (PE_SECTION_WRITE | PE_SECTION_DISCARDABLE) || pe_read(s->pe, r->rva, &value, sizeof(value)) ||
		    within(s, value) || (module_at(s->c, value) && !context_driver_unlisted(s->c, (va_t){ value })))
			continue;
		if (s->patches->len >= limit(image_patches)) {
			s->patches_cut = true;
			return;
		}
		struct found_patch p = {
			.rva = r->rva, .length = sizeof(value), .kind = PATCH_DATA, .section = section, .current = g_byte_array_new(),
			.has_target = true, .target = patch_follow(&source, s->facts->machine, value),
		};
		g_byte_array_append(p.current, (const guint8 *)&value, sizeof(value));
		g_array_append_val(s->patches, p);
	}
}

void put_entry_hooks(struct subject *s)
{
	const GArray *exports = pe_exports(s->facts, NULL), *functions = pe_functions(s->facts, NULL);
	g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	uint32_t last = 0;

	if (!s->space || !s->pages || (s->c->process && !s->content) || (!s->first && untouched(s)) ||
	    (s->facts->machine != PE_MACHINE_AMD64 && (s->facts->machine != PE_MACHINE_I386 || !s->c->process)))
		return;
	if (!s->c->process)
		check_pointers(s);
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		if (e->rva && !e->forwarder)
			g_array_append_val(starts, e->rva);
	}
	for (guint i = 0; functions && i < functions->len && !s->c->process; i++)
		g_array_append_val(starts, g_array_index(functions, struct pe_function, i).begin);
	g_array_sort(starts, compare_rvas);
	g_autoptr(GHashTable) imported = s->c->process ? NULL : slot_values(s);
	for (guint i = 0; i < starts->len && !context_cancelled(s->c); i++) {
		uint32_t rva = g_array_index(starts, uint32_t, i);
		if (rva == last || (s->c->process && compared(s, rva)))
			continue;
		last = rva;
		if (!check_entry(s, rva, imported))
			break;
	}
}
