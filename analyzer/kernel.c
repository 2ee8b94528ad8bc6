/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"
#include "format.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include "guess.h"
#include "layout_store.h"
#include "limit.h"
#include "paging.h"
#include "pe_space.h"
#include "recover.h"
#include "remains.h"
#include "rescue.h"
#include "text.h"

/* Where the kernel and the boot drivers are loaded on x64 and ARM64, from Windows 7 to 11. */
#define KERNEL_AREA UINT64_C(0xfffff80000000000)
#define KERNEL_AREA_END UINT64_C(0xfffffc0000000000)
/* The same of 32-bit machines: anywhere in their half. */
#define KERNEL_AREA_32 UINT64_C(0x80000000)
#define KERNEL_AREA_32_END UINT64_C(0x100000000)
/* A hint points into the kernel or the HAL, which lie together: the base is at most this far below. */
#define HINT_REACH (UINT64_C(64) << 20)
/* A page-table root that is in no dump. */
#define NO_TABLE UINT64_C(0x000ffffffffff000)
/* A look into an image counts as so many pages of a search. */
#define IMAGE_STEPS 256
/* KUSER_SHARED_DATA's fixed address and the offsets that never moved (ntddk.h). */
#define SHARED_DATA UINT64_C(0xfffff78000000000)
#define SHARED_DATA_32 UINT64_C(0xffdf0000)
#define PF_NX_ENABLED 12		/* winnt.h: an index into SharedData.ProcessorFeatures */
/* Entry of an x86 page directory that names the directory itself: PTE_BASE is 0xc0000000. */
#define SELF_MAP_32 0x300u
/* On PAE that is the fourth directory, which begins with the four of them. */
#define PAE_DIRECTORIES 4u

static const char header_found_by[] = "crash dump header";

struct candidate {
	uint64_t dtb;			/* as it stands in the register */
	uint64_t hint, module_list;
	const char *found_by;
	enum architecture architecture;	/* ARCH_UNKNOWN: any */
};

static bool kernel_pdb(const char *name)
{
	static const char *const known[] = { "ntkrnl", "ntkrpa", "ntoskrnl" };

	for (size_t i = 0; name && i < G_N_ELEMENTS(known); i++)
		if (!g_ascii_strncasecmp(name, known[i], strlen(known[i])))
			return true;
	return false;
}

/* The machine whose code a kernel under these page tables is. */
static enum pe_machine machine_of(enum paging paging)
{
	return paging_is_32bit(paging) ? PE_MACHINE_I386 : paging == PAGING_ARM64 ? PE_MACHINE_ARM64 : PE_MACHINE_AMD64;
}

/* Is the kernel's image at va? Fills base, size, pdb_name, guid_age of k. */
static bool check_image(struct kernel *k, struct space *space, uint64_t va)
{
	struct pe_space at = { space, { va } };
	uint8_t mz[2];

	if (image_search_ask(k->image) || space_read(space, at.base, mz, 2, NULL) || memcmp(mz, "MZ", 2) || !space_spend(space, IMAGE_STEPS))
		return false;
	AUTO_PE pe = pe_space_open(&at, 0);
	if (!pe->has_optional_header || pe->size_of_image < 0x100000 || pe->size_of_image > 0x8000000 ||
	    pe->machine != machine_of(space->paging))
		return false;
	const struct pe_debug *codeview = pe_codeview(pe, NULL);
	bool named = codeview && codeview->guid_age && kernel_pdb(codeview->pdb_name);
	if (!named) {
		if (codeview)
			return false;
		/* The debug directory may be paged out: the export directory names it too. */
		static const char *const names[] = { "ntoskrnl.exe", "ntkrnlpa.exe", "ntkrnlmp.exe", "ntkrpamp.exe", NULL };
		const char *dll = pe_export_dll(pe);
		g_autofree char *lower = dll ? g_ascii_strdown(dll, -1) : NULL;
		if (!lower || !g_strv_contains(names, lower))
			return false;
	}
	k->base.v = va;
	k->size = pe->size_of_image;
	k->timestamp = pe->timestamp;
	if (named) {
		const char *slash = strrchr(codeview->pdb_name, '\\');
		k->pdb_name = g_strdup(slash ? slash + 1 : codeview->pdb_name);
		k->guid_age = g_strdup(codeview->guid_age);
	}
	return true;
}

static bool search_below(struct kernel *k, struct space *space, uint64_t hint)
{
	uint64_t low = hint > HINT_REACH ? hint - HINT_REACH : 0;

	for (uint64_t va = hint & ~(uint64_t)PAGE_MASK; va >= low && va && space_spend(space, 1); va -= PAGE_SIZE)
		if (check_image(k, space, va))
			return true;
	return false;
}

static bool search_area(struct kernel *k, struct space *space)
{
	bool narrow = paging_is_32bit(space->paging);
	va_t cursor = { narrow ? KERNEL_AREA_32 : KERNEL_AREA }, last = { (narrow ? KERNEL_AREA_32_END : KERNEL_AREA_END) - 1 };
	struct page page;

	while (space_next_page(space, &cursor, last, &page)) {
		uint64_t end = page.va.v + page.size;
		/* The kernel may start anywhere within a large page. */
		for (uint64_t va = page.va.v; va < end && page_resident(&page); va += PAGE_SIZE)
			if (check_image(k, space, va))
				return true;
	}
	return false;
}

/* The paging modes that a machine may run in, the likeliest first. */
static const enum paging modes[][6] = {
	[ARCH_UNKNOWN] = { PAGING_X64, PAGING_X64_LA57, PAGING_ARM64, PAGING_X86_PAE, PAGING_X86, PAGING_NONE },
	[ARCH_X64] = { PAGING_X64, PAGING_X64_LA57, PAGING_NONE },
	[ARCH_X86] = { PAGING_X86, PAGING_X86_PAE, PAGING_NONE },
	[ARCH_X86_PAE] = { PAGING_X86_PAE, PAGING_X86, PAGING_NONE },
	[ARCH_ARM64] = { PAGING_ARM64, PAGING_NONE },
};

/* How far the search for the kernel has come. */
struct search {
	uint64_t steps;		/* that are left of kernel_search_all */
	bool cut;		/* a limit bit: not all was looked at */
	bool late;		/* the time of an earlier part was over */
};

/* Each part of it may take as long. */
static void start_clock(struct image *image, struct search *search)
{
	search->late |= image->search_ended;
	image->search_ended = false;
	image->search_until = g_get_monotonic_time() + (gint64)MIN(limit_for(kernel_seconds, file_filled(image->container)), 1u << 30) * G_USEC_PER_SEC;
}

static bool try_candidate(struct kernel *k, const struct candidate *c, struct search *search)
{
	for (const enum paging *mode = modes[c->architecture]; *mode != PAGING_NONE; mode++) {
		struct space *space = space_create(k->image, NULL, *mode, (pa_t){ c->dtb });
		space->rescue = *mode == PAGING_X64 ? k->rescue : NULL;
		uint64_t granted = MIN(search->steps, limit(kernel_search)), entry, base;
		bool found = false;
		space->steps = granted;
		/* The first entry of PsLoadedModuleList is the kernel; DllBase is the seventh pointer in every build. */
		if (c->module_list && !read_pointer(space, (va_t){ c->module_list }, &entry) &&
		    !read_pointer(space, (va_t){ entry + 6 * space_pointer_size(space) }, &base))
			found = check_image(k, space, base);
		if (!found && c->hint)
			found = search_below(k, space, c->hint);
		if (!found)
			found = search_area(k, space);
		if (found) {
			space_refill(space);
			k->space = space;
			k->paging = *mode;
			k->dtb = space->dtb;
			k->found_by = g_strdup(c->found_by);
			return true;
		}
		search->cut |= space->exhausted;
		search->steps -= granted - space->steps;
		space_destroy(space);
	}
	return false;
}

/*
 * PROCESSOR_START_BLOCK: real-mode code the HAL leaves in the first MiB to start
 * processors and to wake. It begins with a jump and a completion flag; LmTarget at
 * 0x70 points into the kernel or HAL, CR3 at 0xa0 is the kernel's page-table root.
 */
static void low_stubs(struct image *image, GArray *candidates)
{
	uint8_t scratch[PAGE_SIZE];

	for (uint64_t pa = PAGE_SIZE; pa < 0x100000; pa += PAGE_SIZE) {
		const uint8_t *page = image_page(image, (pa_t){ pa }, scratch);
		if (!page)
			continue;
		struct bytes b = { page, PAGE_SIZE, false };
		uint64_t jump = bytes_at(&b, 0, 8), target = bytes_at(&b, 0x70, 8), cr3 = bytes_at(&b, 0xa0, 8);
		if ((jump & UINT64_C(0xffffffffffff00ff)) != UINT64_C(0x00000001000600e9) || target < KERNEL_AREA ||
		    !cr3 || (cr3 & UINT64_C(0xfff0000000000fff)))
			continue;
		struct candidate c = { cr3, target, 0, "low stub", ARCH_X64 };
		g_array_append_val(candidates, c);
	}
}

/* What a scan of all memory has met so far. */
struct scan {
	struct kernel *k;
	struct search *search;
	unsigned tried;
	GHashTable *pae;		/* physical addresses of fourth page directories → the page's first four entries */
};

static bool try_scanned(struct scan *s, uint64_t dtb, enum architecture architecture)
{
	struct candidate c = { dtb, 0, 0, "self-mapping page table", architecture };

	return try_candidate(s->k, &c, s->search);
}

/* A root that maps itself through one entry of the kernel's half: on x64 and ARM64 every process's does, at
 * the same entry. */
static bool maps_itself(const uint8_t *page, uint64_t pa)
{
	for (unsigned i = 256; i < 512; i++) {
		uint64_t entry;
		memcpy(&entry, page + 8 * i, 8);
		if ((entry & 1) && paging_pfn(PAGING_X64, entry) == pa)
			return true;
	}
	return false;
}

static bool maps_itself_32(const uint8_t *page, uint64_t pa)
{
	uint32_t entry;

	memcpy(&entry, page + 4 * SELF_MAP_32, 4);
	return (entry & 1) && paging_pfn(PAGING_X86, entry) == pa;
}

/* Four valid entries that name four pages. */
static bool four_directories(const uint64_t entry[PAE_DIRECTORIES])
{
	for (unsigned i = 0; i < PAE_DIRECTORIES; i++) {
		if (!(entry[i] & 1) || !paging_pfn(PAGING_X86_PAE, entry[i]) || paging_pfn(PAGING_X86_PAE, entry[i]) >> 40)
			return false;
		for (unsigned j = 0; j < i; j++)
			if (paging_pfn(PAGING_X86_PAE, entry[i]) == paging_pfn(PAGING_X86_PAE, entry[j]))
				return false;
	}
	return true;
}

static bool may_go_on(const struct scan *s)
{
	bool may = s->tried < limit(kernel_roots) && s->search->steps;

	s->search->cut |= !may;
	return may;
}

static bool look_at_page(struct scan *s, const uint8_t *page, uint64_t pa)
{
	uint64_t entry[PAE_DIRECTORIES];

	/* A page directory of x86 looks like a root of x64, too, where the entry behind that of itself is 0. */
	bool wide = maps_itself(page, pa), narrow = maps_itself_32(page, pa);

	s->tried += wide || narrow;
	if (wide && (try_scanned(s, pa, ARCH_X64) || try_scanned(s, pa, ARCH_ARM64)))
		return true;
	if (narrow && try_scanned(s, pa, ARCH_X86))
		return true;
	memcpy(entry, page, sizeof(entry));
	if (paging_pfn(PAGING_X86_PAE, entry[PAE_DIRECTORIES - 1]) == pa && four_directories(entry))
		g_hash_table_insert(s->pae, g_memdup2(&pa, sizeof(pa)), g_memdup2(entry, sizeof(entry)));
	return false;
}

/* A page directory pointer table whose four directories the fourth of them knows, too. */
static bool look_for_tables(struct scan *s, const uint8_t *page, uint64_t pa)
{
	for (unsigned at = 0; at < PAGE_SIZE; at += 8 * PAE_DIRECTORIES) {
		uint64_t entry[PAE_DIRECTORIES], last;
		memcpy(entry, page + at, sizeof(entry));
		if (!(entry[PAE_DIRECTORIES - 1] & 1) || (entry[PAE_DIRECTORIES - 1] & 0x1e6))	/* reserved bits */
			continue;
		last = paging_pfn(PAGING_X86_PAE, entry[PAE_DIRECTORIES - 1]);
		const uint64_t *known = g_hash_table_lookup(s->pae, &last);
		for (unsigned i = 0; known && i < PAE_DIRECTORIES; i++)
			if (paging_pfn(PAGING_X86_PAE, entry[i]) != paging_pfn(PAGING_X86_PAE, known[i]))
				known = NULL;
		s->tried += known != NULL;
		if (known && try_scanned(s, pa + at, ARCH_X86_PAE))
			return true;
		if (!may_go_on(s))
			break;
	}
	return false;
}

static bool scan_memory(struct scan *s, bool (*look)(struct scan *s, const uint8_t *page, uint64_t pa))
{
	g_autofree uint8_t *scratch = g_malloc(PAGE_SIZE);

	EACH_PAGE(s->k->image, scratch, page, pa) {
		if (look(s, page, pa))
			return true;
		if (!may_go_on(s))
			return false;
	}
	return false;
}

/* Roots are recognised by the entries through which Windows reaches its own page tables. */
static bool search_self_maps(struct kernel *k, struct search *search)
{
	struct scan s = { k, search, 0, g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free) };
	bool found = scan_memory(&s, look_at_page) || (g_hash_table_size(s.pae) && scan_memory(&s, look_for_tables));

	g_hash_table_destroy(s.pae);
	return found;
}

/* Exact ones first: built in, imported, in the folders given; then what the dump itself can tell. */
static struct layout *choose_layout(struct kernel *k, const struct layout_options *options, GError **error)
{
	const char *const *directories = options ? options->symbol_directories : NULL;
	struct layout *layout = NULL;
	g_autoptr(GError) unread = NULL;
	GError *failure = NULL;

	if (options && options->layout_file)
		return layout_load(options->layout_file, error);
	if (k->guid_age) {
		layout = layout_builtin(k->guid_age);
		if (!layout)
			layout = layout_store_find(k->guid_age, &failure);
		if (!layout && !failure && directories)
			layout = layout_find_isf(directories, k->guid_age, &failure);
		if (!layout && !failure && directories)
			layout = layout_find_pdb(directories, k->pdb_name, k->guid_age, &unread, &failure);
	}
	if (failure) {
		g_propagate_error(error, failure);
		return NULL;
	}
	if (unread) {
		k->unread_symbols = g_strdup_printf("%s: it may be the one of this kernel", unread->message);
		image_note(k->image, g_error_matches(unread, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT) ? FAULT_LIMIT : FAULT_IMPLAUSIBLE, 0, "%s", k->unread_symbols);
	}
	return layout ? layout : recover_layout(k);
}

/* The System process's own page tables are the kernel's: every candidate shares its upper half,
 * but a process may have ended since. */
static void use_system_process(struct kernel *k)
{
	struct object pointer = kernel_object(k, k->space, PsInitialSystemProcess), system;
	uint64_t va = 0, dtb = 0;
	char mz[2];

	if (!pointer.va.v || read_pointer(k->space, pointer.va, &va))
		return;
	system = object_at(k->space, va);
	struct object pcb = MEMBER(system, eprocess.Pcb);
	if (READ(pcb, kprocess.DirectoryTableBase, &dtb))
		return;
	k->system_process = system.va;
	struct space *own = space_clone(k->space);
	own->dtb = paging_dtb(k->paging, dtb);
	if (!space_read(own, k->base, mz, 2, NULL) && !memcmp(mz, "MZ", 2)) {
		space_destroy(k->space);
		k->space = own;
		k->dtb = own->dtb;
	} else {
		space_destroy(own);
	}
}

static void read_invalid_pte_mask(struct kernel *k)
{
	struct object state = kernel_object(k, k->space, MiState);
	struct object hardware = MEMBER(state, mi_system_information.Hardware);
	uint64_t mask;

	if (HAS(hardware, mi_hardware_state.InvalidPteMask) && hardware.va.v &&
	    !READ(hardware, mi_hardware_state.InvalidPteMask, &mask) && !(mask & ~UINT64_C(0x000ffffffffff000)))
		k->space->invalid_pte_mask = mask;
	else
		k->space->invalid_pte_mask = k->invalid_pte_mask;
}

static char *read_symbol_string(struct kernel *k, va_t at)
{
	char text[129] = "";

	if (!at.v || !space_read_sparse(k->space, at, text, sizeof(text) - 1))
		return NULL;
	char *valid = text_from_bytes(text, sizeof(text) - 1);
	if (strlen(valid) < 4) {
		g_free(valid);
		return NULL;
	}
	return valid;
}

va_t kernel_shared_data(const struct kernel *k)
{
	return (va_t){ paging_is_32bit(k->paging) ? SHARED_DATA_32 : SHARED_DATA };
}

/* What needs no layout. */
static void read_shared_data(struct kernel *k)
{
	uint8_t shared[0x400];

	if (space_read(k->space, kernel_shared_data(k), shared, sizeof(shared), NULL) &&
	    (!k->shared_data.v || image_read(k->image, k->shared_data, shared, sizeof(shared))))
		return;
	struct bytes b = { shared, sizeof(shared), false };
	uint32_t low = (uint32_t)bytes_at(&b, 0x14, 4), high = (uint32_t)bytes_at(&b, 0x18, 4);
	if (high == (uint32_t)bytes_at(&b, 0x1c, 4))	/* not torn */
		k->system_time = (uint64_t)high << 32 | low;
	const uint32_t build = (uint32_t)bytes_at(&b, 0x260, 4) & 0xffff;
	if (build)	/* NtBuildNumber, since Windows 10 */
		k->build = build;
	k->major = (uint32_t)bytes_at(&b, 0x26c, 4);
	k->minor = (uint32_t)bytes_at(&b, 0x270, 4);
	k->product_type = bytes_at(&b, 0x268, 1) ? (uint32_t)bytes_at(&b, 0x264, 4) : 0;	/* ProductTypeIsValid */
	k->suite_mask = (uint32_t)bytes_at(&b, 0x2d0, 4);
	k->system_root = text_from_utf16(shared + 0x30, 520, TRUE);
	if (k->major >= 6)	/* NumberOfPhysicalPages, since Vista */
		k->memory_total = bytes_at(&b, 0x2e8, 4) * PAGE_SIZE;
	k->space->without_nx |= paging_is_32bit(k->paging) && !bytes_at(&b, 0x274 + PF_NX_ENABLED, 1);
}

/* What translation on 32-bit machines needs of the kernel's own variables. */
static void read_system_range(struct kernel *k)
{
	uint64_t start;

	if (!paging_is_32bit(k->paging))
		return;
	/* 0xc0000000 where programs were given 3 GiB (/3GB, increaseuserva), or anything between. */
	if (kernel_symbol(k, MmSystemRangeStart).v && !read_pointer(k->space, kernel_symbol(k, MmSystemRangeStart), &start) &&
	    start >= KERNEL_AREA_32 && start <= k->base.v)
		k->space->system_start = start;
	if (kernel_symbol(k, MmPagedPoolStart).v && !read_pointer(k->space, kernel_symbol(k, MmPagedPoolStart), &start) &&
	    start >= k->space->system_start && !(start & PAGE_MASK))
		k->space->paged_pool.v = start;
}

static void read_identity(struct kernel *k)
{
	uint32_t number;

	if (!k->layout)
		return;
	if (kernel_symbol(k, NtBuildNumber).v &&
	    !space_read(k->space, kernel_symbol(k, NtBuildNumber), &number, 4, NULL) && (number & 0xffff))
		k->build = number & 0xffff;
	k->build_lab = read_symbol_string(k, kernel_symbol(k, NtBuildLabEx));
	if (!k->build_lab)
		k->build_lab = read_symbol_string(k, kernel_symbol(k, NtBuildLab));
	if (kernel_symbol(k, ObHeaderCookie).v &&
	    space_read(k->space, kernel_symbol(k, ObHeaderCookie), &k->object_header_cookie, 1, NULL))
		k->object_header_cookie = 0;
}

/* Triage dumps and minidumps hold no kernel image and no page tables: what their headers say is what there is. */
static void use_headers(struct kernel *k)
{
	const struct image_facts *facts = &k->image->facts;
	const struct image_triage *triage = k->image->triage;

	k->paging = PAGING_NONE;
	k->dtb = facts->dtb;
	k->base = facts->kernel_base;
	k->build = facts->os_build;
	k->found_by = g_strdup("dump header");
	/* The kernel comes first in PsLoadedModuleList, and so in the list of a triage dump. */
	if (triage && triage->drivers->len) {
		const struct image_driver *first = &g_array_index(triage->drivers, struct image_driver, 0);
		if (!k->base.v)
			k->base.v = first->base;
		if (k->base.v == first->base) {
			k->size = (uint32_t)MIN(first->size, UINT32_MAX);
			k->timestamp = first->timestamp;
		}
	}
	k->space = space_create(k->image, NULL, PAGING_NONE, (pa_t){ 0 });
}

/*
 * A dump in which no kernel image is left whole (cut short, say): what names the kernel may still be there, and the objects
 * that are left can be looked at, with its structures or those of its build. False: it may be no Windows machine's.
 */
static bool use_remains(struct kernel *k, char **like, struct layout **guessed)
{
	const struct image_facts *facts = &k->image->facts;
	struct guess guess = { NULL, PAGING_NONE, 0 };

	/* Text that names a kernel may stand in anything; a process object does not. */
	bool named = remains_identify(k, like);
	if (!(named && (k->rescue || facts->is_crash)) && !guess_layout(k->image, &guess))
		return false;
	*guessed = guess.layout;
	if (guess.layout && k->rescue && guess.paging != PAGING_X64)
		g_clear_pointer(&k->rescue, rescue_destroy);
	k->physical_only = !k->rescue;
	/* of the processes, whose tables may be there */
	k->paging = k->rescue ? PAGING_X64 : guess.layout ? guess.paging : modes[facts->architecture][0];
	k->dtb = facts->dtb;
	k->found_by = g_strdup(guess.layout ? "process objects: nothing else of it is in the dump" : "what is left of it: no kernel image is whole in the dump");
	k->space = space_create(k->image, NULL, k->rescue ? PAGING_X64 : PAGING_NONE, !k->rescue ? (pa_t){ 0 } : facts->dtb.v ? facts->dtb : (pa_t){ NO_TABLE });
	k->space->rescue = k->rescue;
	image_note(k->image, FAULT_NOT_IN_DUMP, facts->loaded_module_list.v,
		   "the kernel's page tables or image are not in the dump, or not whole: many of its globals can't be read");
	return true;
}

/* The kernel's address space from what is left of its page tables. */
static bool rescue(struct kernel *k, bool found, struct search *search)
{
	const struct image_facts *facts = &k->image->facts;
	struct candidate c = { found ? k->dtb.v : facts->dtb.v ? facts->dtb.v : NO_TABLE, facts->loaded_module_list.v ? facts->loaded_module_list.v : facts->kdbg.v,
			       facts->loaded_module_list.v, "page tables that were put together again", ARCH_X64 };

	if (!found && facts->architecture != ARCH_UNKNOWN && facts->architecture != ARCH_X64)
		return false;
	k->rescue = rescue_tables(k->image);
	if (!k->rescue)
		return found;
	image_note(k->image, FAULT_NOT_IN_DUMP, k->dtb.v,
		   "page tables of the kernel are missing%s: %u pages tell their own addresses, by them %u page tables were found again, and of %u "
		   "more some entries", search->cut && !found ? " or were not reached" : "", k->rescue->lists, k->rescue->found, k->rescue->single);
	if (k->rescue->cut)
		image_note(k->image, FAULT_LIMIT, 0, "page tables of the kernel that could be found again are more than are looked for or kept (rescue_pages, "
			   "rescue_tables, rescue_looks, rescue_strings, rescue_candidates or rescue_spans)");
	if (found) {
		k->space->rescue = k->rescue;
		return true;
	}
	start_clock(k->image, search);
	return try_candidate(k, &c, search);
}

/* What the header said of the machine and the kernel found says otherwise. */
static void check_header(struct kernel *k)
{
	static const enum architecture of_paging[] = {
		[PAGING_X64] = ARCH_X64, [PAGING_X64_LA57] = ARCH_X64, [PAGING_X86] = ARCH_X86, [PAGING_X86_PAE] = ARCH_X86_PAE,
		[PAGING_ARM64] = ARCH_ARM64, [PAGING_NONE] = ARCH_UNKNOWN,
	};
	struct image_facts *facts = &k->image->facts;
	enum architecture found = of_paging[k->paging];

	if (facts->is_crash && facts->dtb.v && strcmp(k->found_by, header_found_by))
		image_remark(k->image, 0, "crash dump header: DirectoryTableBase at 0x10 is 0x%" G_GINT64_MODIFIER
			     "x, which leads to no kernel; one was found by the %s", facts->dtb.v, k->found_by);
	if (found != ARCH_UNKNOWN && facts->architecture != ARCH_UNKNOWN && found != facts->architecture) {
		image_remark(k->image, 0, "the header says that the machine is %s (MachineImageType of a crash dump), the kernel found is %s",
			     architecture_name(facts->architecture), architecture_name(found));
		facts->architecture = found;
	}
}

/* _PHYSICAL_MEMORY_DESCRIPTOR: NumberOfRuns, then NumberOfPages as wide as a pointer. */
static void read_memory_total(struct kernel *k)
{
	uint64_t block, pages;

	if (k->memory_total || !kernel_symbol(k, MmPhysicalMemoryBlock).v || read_pointer(k->space, kernel_symbol(k, MmPhysicalMemoryBlock), &block) ||
	    read_pointer(k->space, (va_t){ block + space_pointer_size(k->space) }, &pages) || pages >> 40)
		return;
	k->memory_total = pages * PAGE_SIZE;
}

#define BUILDS_ALIKE 100u		/* updates that are switched on in a kernel (19041 to 19045) have numbers so near */
#define HOUR (UINT64_C(3600) * 10000000)

/* What a crash dump's header says of the kernel, held against the kernel itself. Nothing rests on it by now: each is said, and that is all. */
static void check_globals(struct kernel *k)
{
	struct image_facts *facts = &k->image->facts;
	const bool narrow = paging_is_32bit(k->paging);
	const struct { const char *name; unsigned at[2]; uint64_t said, is; } globals[] = {
		{ "PsLoadedModuleList", { 0x18, 0x20 }, facts->loaded_module_list.v, kernel_symbol(k, PsLoadedModuleList).v },
		{ "PsActiveProcessHead", { 0x1c, 0x28 }, facts->active_process_head.v, kernel_symbol(k, PsActiveProcessHead).v },
		{ "KdDebuggerDataBlock", { 0x60, 0x80 }, facts->kdbg.v, kernel_symbol(k, KdDebuggerDataBlock).v },
	};

	if (!facts->is_crash || k->physical_only)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(globals); i++) {
		uint64_t mask = narrow ? UINT32_MAX : UINT64_MAX;
		if (globals[i].is && (globals[i].said & mask) != (globals[i].is & mask))
			image_remark(k->image, globals[i].is, "crash dump header: %s at 0x%x is 0x%" G_GINT64_MODIFIER "x, the kernel has it at 0x%" G_GINT64_MODIFIER "x",
				     globals[i].name, globals[i].at[!narrow], globals[i].said, globals[i].is);
	}
	if (k->build && facts->os_build && MAX(k->build, facts->os_build) - MIN(k->build, facts->os_build) > BUILDS_ALIKE)
		image_remark(k->image, 0, "crash dump header: MinorVersion at 0xc is %u, the kernel is of build %u", facts->os_build, k->build);
	if (k->system_time && facts->system_time && MAX(k->system_time, facts->system_time) - MIN(k->system_time, facts->system_time) > HOUR) {
		image_remark(k->image, 0, "crash dump header: SystemTime at 0x%x is %" G_GUINT64_FORMAT ", the kernel's clock stood at %" G_GUINT64_FORMAT
			     ": that is taken", narrow ? 0xfc0 : 0xfa8, facts->system_time, k->system_time);
		facts->system_time = k->system_time;
	}
}

/* What was said of the dump that may be why nothing is found, or NULL. A limit that bit goes first: whoever set it can set another. */
static const char *first_doubt(const struct image *image)
{
	const char *bit = image_limit_note(image);

	for (guint i = 0; !bit && i < image->notes->len; i++) {
		const struct image_note *note = g_ptr_array_index(image->notes, i);
		if (!note->harmless)
			return note->message;
	}
	return bit;
}

/* What the format's reader took from a header that is wrong about the kernel, it can ask again. */
static void tell_format(struct kernel *k)
{
	struct image_facts *facts = &k->image->facts;
	const uint64_t head = kernel_symbol(k, PsActiveProcessHead).v ? kernel_symbol(k, PsActiveProcessHead).v : facts->active_process_head.v;

	if (!k->image->format->kernel_found || k->physical_only || (facts->dtb.v == k->dtb.v && facts->active_process_head.v == head))
		return;
	facts->dtb = k->dtb;
	facts->active_process_head.v = head;
	k->image->format->kernel_found(k->image);
}

/* The header's word on the edition, where it has one. */
static void use_product(struct kernel *k)
{
	const struct image_facts *facts = &k->image->facts;

	if (!facts->product_type)
		return;
	k->product_type = facts->product_type;
	k->suite_mask = facts->suite_mask;
}

/* Whether it is told. */
static bool tell_late(struct image *image, const struct search *search, bool told)
{
	if (told || !(image->search_ended || search->late))
		return told;
	image_note(image, FAULT_LIMIT, 0, "the search for lost page tables and for what is left of the kernel ended at a limit (kernel_seconds)");
	return true;
}

static struct kernel *find_in_time(struct image *image, const struct layout_options *options, GError **error)
{
	const struct image_facts *facts = &image->facts;
	g_autoptr(GArray) candidates = g_array_new(FALSE, TRUE, sizeof(struct candidate));
	AUTO(kernel) k = g_new0(struct kernel, 1);
	struct search search = { limit(kernel_search_all), false, false };
	GError *layout_error = NULL;
	g_autofree char *like = NULL;
	bool found = false, told;

	k->image = image;
	if (image->triage || image->minidump) {
		use_headers(k);
		use_product(k);
		return g_steal_pointer(&k);
	}
	if (facts->dtb.v) {
		struct candidate c = { facts->dtb.v, 0, facts->loaded_module_list.v, header_found_by, facts->architecture };
		c.hint = facts->loaded_module_list.v ? facts->loaded_module_list.v : facts->kdbg.v;
		g_array_append_val(candidates, c);
	}
	for (guint i = 0; facts->cpus && i < facts->cpus->len; i++) {
		const struct image_cpu *cpu = &g_array_index(facts->cpus, struct image_cpu, i);
		struct candidate c = { cpu->cr3, 0, 0, "processor registers", facts->architecture };
		if (cpu->rip >= KERNEL_AREA || (cpu->rip >= KERNEL_AREA_32 && cpu->rip < KERNEL_AREA_32_END))
			c.hint = cpu->rip;
		g_array_append_val(candidates, c);
	}
	start_clock(image, &search);
	low_stubs(image, candidates);
	for (guint i = 0; i < candidates->len && !found; i++)
		found = try_candidate(k, &g_array_index(candidates, struct candidate, i), &search);
	found = found || search_self_maps(k, &search);
	told = !found && (search.cut || image->search_ended);
	if (told)
		image_note(image, FAULT_LIMIT, 0, "the search for the kernel ended at a limit (kernel_search, kernel_search_all, kernel_roots or kernel_seconds): "
			   "not all page tables were looked at");
	if (!found || rescue_needed(k->image, k->paging, k->dtb)) {
		search.steps = limit(kernel_search_all);
		found = rescue(k, found, &search);
	}
	AUTO(layout) guessed = NULL;
	const bool nothing = !found && !use_remains(k, &like, &guessed);
	told = tell_late(image, &search, told);
	if (nothing) {
		const char *doubt = first_doubt(image);
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "%s: no Windows kernel in it: the memory of another system, not the whole of a machine's memory, or no memory at all (looked for "
			    "page tables of an x64, ARM64 or x86 kernel that lead to ntoskrnl: low stub, self-mapping tables%s)%s%s", image->file->path,
			    facts->dtb.v ? ", the header's" : "", doubt ? "; of the file is known: " : "", doubt ? doubt : "");
		return NULL;
	}
	if (found && !k->guid_age && (k->rescue || image->bytes_missing))
		(void)remains_identify(k, &like);
	(void)tell_late(image, &search, told);
	if (found)
		check_header(k);
	read_shared_data(k);
	start_clock(image, &search);
	k->layout = choose_layout(k, options, &layout_error);
	if (layout_error) {
		g_propagate_error(error, layout_error);
		return NULL;
	}
	/* An exact layout can't be had where the kernel's name is lost: one of its build is close, and better than none. */
	if (!k->layout && like && (k->layout = layout_builtin(like))) {
		k->layout->source = LAYOUT_FAMILY;
		g_clear_pointer(&k->layout->version, g_free);
	}
	if (!k->layout && (k->rescue || image->bytes_missing))
		k->layout = layout_family(k->build ? k->build : facts->os_build, 0, paging_machine(k->paging));
	if (!k->layout)
		k->layout = g_steal_pointer(&guessed);
	if (k->layout) {
		k->space->layout = k->layout;
		read_system_range(k);
		use_system_process(k);
		read_invalid_pte_mask(k);
	}
	read_identity(k);
	read_memory_total(k);
	check_globals(k);
	use_product(k);
	tell_format(k);
	return g_steal_pointer(&k);
}

/* What isn't there, is no folder or can't be looked into would be searched without a word. */
static bool check_folders(const char *const *folders, GError **error)
{
	for (; *folders; folders++) {
		g_autofree char *within = g_build_filename(*folders, ".", NULL);
		GStatBuf st;
		if (!g_stat(within, &st))
			continue;
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "symbols are looked for in %s: %s", *folders, g_strerror(errno));
		return false;
	}
	return true;
}

struct kernel *kernel_find(struct image *image, const struct layout_options *options, GError **error)
{
	if (options && options->symbol_directories && !check_folders(options->symbol_directories, error))
		return NULL;
	image->search_ended = false;
	struct kernel *k = find_in_time(image, options, error);
	image->search_until = 0;
	if (k)
		space_refill(k->space);
	return k;
}

void kernel_destroy(struct kernel *k)
{
	if (!k)
		return;
	space_destroy(k->space);
	rescue_destroy(k->rescue);
	layout_destroy(k->layout);
	g_free(k->pdb_name);
	g_free(k->guid_age);
	g_free(k->unread_symbols);
	g_free(k->found_by);
	g_free(k->build_lab);
	g_free(k->system_root);
	g_free(k);
}
