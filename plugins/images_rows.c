/* SPDX-License-Identifier: Apache-2.0 */
/* An image's rows. */
#include <math.h>
#include <string.h>
#include "images.h"

static char *damage_text(const struct pe *pe)
{
	static const struct { unsigned bit; const char *name; } names[] = {
		{ PE_DAMAGE_DOS_SIGNATURE, "dos_signature" }, { PE_DAMAGE_E_LFANEW, "e_lfanew" }, { PE_DAMAGE_NT_SIGNATURE, "nt_signature" },
		{ PE_DAMAGE_FILE_HEADER, "file_header" }, { PE_DAMAGE_OPTIONAL_HEADER, "optional_header" }, { PE_DAMAGE_SECTION_TABLE, "section_table" },
	};
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (pe->damage & names[i].bit)
			g_string_append_printf(text, "%s%s", text->len ? "," : "", names[i].name);
	return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static void put_headers(struct subject *s, struct row *row)
{
	const struct pe *pe = s->facts;
	g_autofree char *damage = damage_text(s->pe);

	row_text(row, I_HEADER_STATE, pe_header_state_name(s->pe->header_state));
	row_text(row, I_HEADER_DAMAGE, damage);
	row_text(row, I_REBUILT_FROM, s->rebuilt_from);
	if (!pe->has_file_header && !pe->machine) {
		if (pe->rebuilt)
			row_int(row, I_IS_64BIT, pe->is_64bit);
		row_fault(row, I_MACHINE, pe->fault ? pe->fault : FAULT_IMPLAUSIBLE, (va_t){ s->base }, "the PE header");
		return;
	}
	row_int(row, I_MACHINE, pe->machine);
	row_int(row, I_IS_64BIT, pe->is_64bit);
	if (pe->has_file_header)
		row_int(row, I_TIMESTAMP, pe->timestamp);
	if (pe->has_file_header || pe->characteristics) {
		row_int(row, I_CHARACTERISTICS, pe->characteristics);
		row_int(row, I_IS_DLL, (pe->characteristics & PE_FILE_DLL) != 0);
	}
	if (pe->has_optional_header) {
		row_address(row, I_PREFERRED_BASE, pe->image_base);
		row_int(row, I_SIZE_OF_IMAGE, pe->size_of_image);
		row_int(row, I_CHECKSUM, pe->checksum);
		row_int(row, I_SUBSYSTEM, pe->subsystem);
	}
	if (pe->entry_point)
		row_address(row, I_ENTRY, s->base + pe->entry_point);
}

static void put_relocations(struct row *row, const struct image_fixups *fixups)
{
	row_int(row, I_RELOCATIONS_KNOWN, !fixups->relocation_fault);
	if (!fixups->relocation_fault && fixups->relocations->len)
		row_text(row, I_RELOCATIONS_FROM, fixups->recognised ? "addresses" : "table");
}

static void put_dynamic_sites(struct subject *s, struct row *row)
{
	enum fault fault = FAULT_NONE;
	const GArray *sites = s->pe->machine == PE_MACHINE_AMD64 ? pe_dynamic_sites(s->pe, &fault) : NULL;
	int64_t rewritten = 0;

	/* Of most drivers that run all of the table is gone, with their relocations. */
	if (!sites)
		return;
	if (fault) {
		row_fault(row, I_DYNAMIC_SITES, fault, (va_t){ s->base }, "the dynamic relocation table");
		return;
	}
	for (guint i = 0; i < sites->len; i++)
		rewritten += pe_dynamic_rewritten(s->pe, &g_array_index(sites, struct pe_dynamic_site, i));
	row_int(row, I_DYNAMIC_SITES, sites->len);
	row_int(row, I_DYNAMIC_REWRITTEN, rewritten);
}

/* Whether it has a .NET header, by pe_clr: without an optional header nobody can tell, which header_state says. */
static void put_dotnet(struct subject *s, struct row *row, bool is_dotnet, enum fault fault)
{
	if (fault)
		row_fault(row, I_IS_DOTNET, fault, (va_t){ s->base }, "the .NET header");
	else if (is_dotnet || s->facts->has_optional_header)
		row_int(row, I_IS_DOTNET, is_dotnet);
}

static void put_content(struct subject *s, struct row *row)
{
	const struct content *k = s->content;

	row_text(row, I_PDB_NAME, k->pdb_name);
	row_text(row, I_PDB_GUID_AGE, k->pdb_guid_age);
	row_text(row, I_ORIGINAL_FILENAME, k->original_filename);
	row_text(row, I_COMPANY, k->company);
	row_text(row, I_PRODUCT, k->product);
	row_text(row, I_FILE_VERSION, k->file_version);
	row_text(row, I_DESCRIPTION, k->description);
	row_text(row, I_IMPORT_HASH, k->import_hash);
	if (!k->reproducible_fault)
		row_int(row, I_REPRODUCIBLE, k->reproducible);
	put_dotnet(s, row, k->is_dotnet, k->dotnet_fault);
	put_relocations(row, k->fixups);
}

static void put_own(struct subject *s, struct row *row)
{
	const struct pe_debug *debug = pe_codeview(s->facts, NULL);
	const struct pe_version_info *version = pe_version_info(s->facts, NULL);
	enum fault fault, repro_fault;
	bool is_dotnet = pe_clr(s->facts, &fault) != NULL, reproducible = pe_reproducible(s->facts, &repro_fault);

	if (debug) {
		row_text(row, I_PDB_NAME, debug->pdb_name);
		row_text(row, I_PDB_GUID_AGE, debug->guid_age);
	}
	if (version) {
		row_text(row, I_ORIGINAL_FILENAME, version->original_filename);
		row_text(row, I_COMPANY, version->company_name);
		row_text(row, I_PRODUCT, version->product_name);
		row_text(row, I_FILE_VERSION, version->file_version);
		row_text(row, I_DESCRIPTION, version->file_description);
	}
	row_text(row, I_IMPORT_HASH, pe_imphash(s->facts, NULL));
	if (!repro_fault)
		row_int(row, I_REPRODUCIBLE, reproducible);
	put_dotnet(s, row, is_dotnet, fault);
}

/* ---- the hash: computed once for all processes whose pages are the same ---- */

static bool hashed(const struct pe_section *section)
{
	return !(section->characteristics & (PE_SECTION_WRITE | PE_SECTION_DISCARDABLE));
}

/* Add what this process has of its own on a page; false: the page is missing. */
static bool add_own(struct subject *s, GChecksum *key, uint32_t index)
{
	uint8_t bytes[PAGE_SIZE];
	unsigned flags = index < s->n ? s->pages[index] : 0;

	if (!(flags & PAGE_FLAG_READABLE))
		return false;
	if (!(flags & (PAGE_FLAG_MODIFIED | PAGE_FLAG_ALONE)))
		return true;
	if (pe_read(s->pe, index * PAGE_SIZE, bytes, sizeof(bytes)))
		return false;
	image_fixups_mask(s->content->fixups, index * PAGE_SIZE, bytes, sizeof(bytes));
	g_checksum_update(key, (const guchar *)&index, sizeof(index));
	g_checksum_update(key, bytes, sizeof(bytes));
	return true;
}

/* What distinguishes this process's image from the section; NULL, and where: a page is missing. */
static char *own_key(struct subject *s, uint32_t *missing)
{
	g_autoptr(GChecksum) key = g_checksum_new(G_CHECKSUM_SHA256);

	*missing = 0;
	if (!add_own(s, key, 0))
		return NULL;
	for (guint i = 0; i < s->pe->sections->len; i++) {
		const struct pe_section *section = &g_array_index(s->pe->sections, struct pe_section, i);
		uint64_t end = (uint64_t)section->virtual_address + (section->virtual_size ? section->virtual_size : section->raw_size);
		for (uint64_t at = section->virtual_address; hashed(section) && at < end; at += PAGE_SIZE) {
			*missing = (uint32_t)at;
			if (at / PAGE_SIZE >= s->n || !add_own(s, key, (uint32_t)(at / PAGE_SIZE)))
				return NULL;
		}
	}
	return g_strdup(g_checksum_get_string(key));
}

static void put_hash(struct subject *s, struct row *row)
{
	g_autofree char *sha256 = NULL, *key = NULL;
	enum fault fault = FAULT_PAGED_OUT;
	uint32_t at = 0;

	if (s->pe->header_state != PE_HEADER_INTACT)
		return;		/* header_state says it */
	if (s->content) {
		key = own_key(s, &at);
		if (key) {
			g_mutex_lock(&s->content->lock);
			sha256 = g_strdup(g_hash_table_lookup(s->content->hashes, key));
			g_mutex_unlock(&s->content->lock);
		}
		if (key && !sha256 && (sha256 = image_sha256(s->pe, s->content->fixups, &fault, &at))) {
			g_mutex_lock(&s->content->lock);
			g_hash_table_insert(s->content->hashes, g_steal_pointer(&key), g_strdup(sha256));
			g_mutex_unlock(&s->content->lock);
		}
	} else {
		struct image_fixups *fixups = image_fixups_create(s->pe);
		if (!s->c->process) {
			s->hashes_of_pages = page_hashes(s->pe, fixups, &s->direct_calls);
			put_relocations(row, fixups);
			put_dynamic_sites(s, row);
			row_int(row, I_DIRECT_CALLS, s->direct_calls);
			fixups->driver = true;
		}
		/* The kernel's own code has addresses of its page tables and more that are drawn at each boot. */
		if (fixups->dynamic && !s->c->process && s->base == s->c->kernel->base.v)
			fault = FAULT_NONE;
		else
			sha256 = image_sha256(s->pe, fixups, &fault, &at);
		image_fixups_destroy(fixups);
	}
	row_text(row, I_SHA256, sha256);
	/* That pages are missing stands in the row itself. */
	if (!sha256 && (fault == FAULT_LIMIT || fault == FAULT_IMPLAUSIBLE))
		row_fault(row, I_SHA256, fault, (va_t){ s->base + at }, "a page of the image");
}

static void put_pages(struct subject *s, struct row *row)
{
	uint64_t present = 0, private_pages = 0, modified = 0;

	row_int(row, I_PAGES, s->n);
	if (!s->pages || !s->space)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		present += (s->pages[i] & PAGE_FLAG_PRESENT) != 0;
		private_pages += (s->pages[i] & PAGE_FLAG_PRIVATE) != 0;
		modified += (s->pages[i] & PAGE_FLAG_MODIFIED) != 0;
	}
	row_int(row, I_PAGES_PRESENT, (int64_t)present);
	if (s->vad && image_vad(s->vad)) {
		row_int(row, I_PAGES_PRIVATE, (int64_t)private_pages);
		row_int(row, I_PAGES_MODIFIED, (int64_t)modified);
	}
}

static void put_row(struct subject *s)
{
	struct row *row = row_new(s->c, &table_images);

	s->ordinal = row_ordinal(row);
	if (s->vad_index >= 0)
		row_ref(row, I_VAD, s->vad_index);
	if (!s->first) {
		const struct mapping *m = &g_array_index(s->content->mappings, struct mapping, 0);
		row_ref_of(row, I_SAME_AS, m->process, m->ordinal);
	}
	row_address(row, I_BASE, s->base);
	row_int(row, I_SIZE, s->size);
	row_text(row, I_PATH, s->path);
	row_text(row, I_FOUND_BY, s->found_by);
	put_headers(s, row);
	if (s->content)
		put_content(s, row);
	else
		put_own(s, row);
	if (s->pages && s->space)
		put_hash(s, row);
	int bound = s->space ? imports_bound(s) : -1;
	if (bound >= 0)
		row_int(row, I_IMPORTS_BOUND, bound);
	put_pages(s, row);
}

/* ---- sections and parts ---- */

static void put_section(struct subject *s, const struct pe_section *section)
{
	struct row *row = row_new(s->c, &table_image_sections);
	uint64_t size = section->virtual_size ? section->virtual_size : section->raw_size;
	uint64_t first = section->virtual_address / PAGE_SIZE, end = (section->virtual_address + size + PAGE_SIZE - 1) / PAGE_SIZE;
	uint64_t present = 0, private_pages = 0, modified = 0;
	double entropy = NAN;

	row_ref(row, S_IMAGE, s->ordinal);
	row_int(row, S_NUMBER, section->number);
	row_text(row, S_NAME, section->name);
	row_address(row, S_ADDRESS, section->virtual_address);
	row_int(row, S_SIZE, section->virtual_size);
	row_int(row, S_RAW_OFFSET, section->raw_offset);
	row_int(row, S_RAW_SIZE, section->raw_size);
	row_int(row, S_CHARACTERISTICS, section->characteristics);
	if (!s->content)
		(void)!pe_entropy(s->facts, section->virtual_address, (uint32_t)MIN(size, s->size), &entropy);
	else if (section->number < s->content->entropies->len)
		entropy = g_array_index(s->content->entropies, double, section->number);
	if (!isnan(entropy))
		row_real(row, S_ENTROPY, entropy);
	const GPtrArray *hashes = s->content && s->first ? s->content->hashes_of_pages : s->hashes_of_pages;
	if (hashes && section->number < hashes->len && hashes->pdata[section->number]) {
		const GByteArray *bytes = hashes->pdata[section->number];
		row_blob(row, S_HASHES, bytes->data, bytes->len);
	}
	for (uint64_t i = first; s->pages && i < MIN(end, s->n); i++) {
		present += (s->pages[i] & PAGE_FLAG_PRESENT) != 0;
		private_pages += (s->pages[i] & PAGE_FLAG_PRIVATE) != 0;
		modified += (s->pages[i] & PAGE_FLAG_MODIFIED) != 0;
	}
	if (!s->pages || !s->space)
		return;
	row_int(row, S_PRESENT, (int64_t)present);
	if (s->vad && image_vad(s->vad)) {
		row_int(row, S_PRIVATE, (int64_t)private_pages);
		row_int(row, S_MODIFIED, (int64_t)modified);
	}
}

static void put_exports(struct subject *s)
{
	enum fault fault;
	const GArray *exports = pe_exports(s->facts, &fault);

	if (!exports || !affordable(s, exports->len))
		return;
	for (guint i = 0; i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		struct row *row = row_new(s->c, &table_image_exports);
		row_ref(row, E_IMAGE, s->ordinal);
		if (e->has_ordinal)
			row_int(row, E_ORDINAL, e->ordinal);
		row_text(row, E_NAME, e->name);
		if (e->rva && !e->forwarder)
			row_address(row, E_ADDRESS, s->base + e->rva);
		if (e->rva)
			row_address(row, E_RVA, e->rva);
		row_text(row, E_FORWARDER, e->forwarder);
	}
	if (fault)
		context_note(s->c, fault, (va_t){ s->base }, "image_exports", "not all exports of the image can be read");
}

static void put_tls(struct subject *s)
{
	enum fault fault;
	const struct pe_tls *tls = pe_tls(s->facts, &fault);

	for (guint i = 0; tls && i < tls->callbacks->len; i++) {
		struct row *row = row_new(s->c, &table_image_tls_callbacks);
		row_ref(row, T_IMAGE, s->ordinal);
		row_address(row, T_ADDRESS, g_array_index(tls->callbacks, uint64_t, i));
	}
	if (fault)
		context_note(s->c, fault, (va_t){ s->base }, "image_tls_callbacks", "not all TLS callbacks of the image can be read");
}

static void put_debug(struct subject *s)
{
	enum fault fault;
	const GArray *records = pe_debug(s->facts, &fault);

	for (guint i = 0; records && i < records->len; i++) {
		const struct pe_debug *d = &g_array_index(records, struct pe_debug, i);
		struct row *row = row_new(s->c, &table_image_debug);
		g_autofree char *number = g_strdup_printf("%u", d->type);
		const char *name = pe_debug_type_name(d->type);
		row_ref(row, D_IMAGE, s->ordinal);
		row_text(row, D_TYPE, name ? name : number);
		row_int(row, D_TIMESTAMP, d->timestamp);
		if (d->rva)
			row_address(row, D_ADDRESS, s->base + d->rva);
		row_int(row, D_SIZE, d->size);
		row_text(row, D_PDB_NAME, d->pdb_name);
		row_text(row, D_GUID_AGE, d->guid_age);
		row_text(row, D_DETAIL, d->detail);
	}
	if (fault)
		context_note(s->c, fault, (va_t){ s->base }, "image_debug", "not all debug records of the image can be read");
}

static void put_resources(struct subject *s)
{
	enum fault fault;
	const GArray *resources = pe_resources(s->facts, &fault);

	if (!resources || !affordable(s, resources->len))
		return;
	for (guint i = 0; i < resources->len; i++) {
		const struct pe_resource *r = &g_array_index(resources, struct pe_resource, i);
		struct row *row = row_new(s->c, &table_image_resources);
		g_autofree char *type = g_strdup_printf("%u", r->type), *name = g_strdup_printf("%u", r->id);
		const char *known = pe_resource_type_name(r->type);
		row_ref(row, R_IMAGE, s->ordinal);
		row_text(row, R_TYPE, r->type_name ? r->type_name : known ? known : type);
		row_text(row, R_NAME, r->name ? r->name : name);
		row_int(row, R_LANGUAGE, r->language);
		row_address(row, R_ADDRESS, s->base + r->rva);
		row_int(row, R_SIZE, r->size);
	}
	if (fault)
		context_note(s->c, fault, (va_t){ s->base }, "image_resources", "not all resources of the image can be read");
}

/* Neither the process nor the section has headers, or all of them: then from what stays. */
static void rebuild(struct subject *s)
{
	struct image_remains remains;
	struct image_section section;
	const char *by_section = NULL;

	if (!s->space || s->rebuilt_from || !image_remains_wanted(s->facts))
		return;
	if (s->vad && image_vad(s->vad)) {
		struct view view = { s->c->space, s->vad };
		if (image_section_read(&view, &section) && image_section_apply(&section, s->facts))
			by_section = "section_object";
		image_section_clear(&section);
	}
	g_autofree char *tables = NULL;
	if (image_remains_find(s->space, s->base, s->size, &remains)) {
		image_remains_apply(&remains, s->facts);
		tables = image_remains_text(&remains);
	}
	image_remains_clear(&remains);
	if (by_section || tables)
		s->rebuilt_from = g_strconcat(by_section ? by_section : tables, by_section && tables ? "," : NULL, tables, NULL);
}

void put_image(struct subject *s)
{
	struct pe_source section = view_section_source(&s->view);
	bool mapped = s->vad && image_vad(s->vad) && s->space;
	struct page page, original;

	s->at = (struct pe_space){ s->space, { s->base } };
	s->view = (struct view){ s->space, s->vad };
	/* Without page tables of the process there are still the section's own pages. */
	if (!s->space)
		s->view.space = s->c->space;
	if (!s->pe)
		s->pe = s->space ? pe_space_open(&s->at, s->size) : pe_open(&section, s->base, s->size);
	s->original = s->facts = s->pe;
	if (s->content)
		content_know(s->c, s->images, s->content);
	/* The process's own headers count for nothing where they aren't the section's. */
	if (mapped && (view_page(&s->view, 0, &page, &original) != VIEW_SHARED || s->pe->header_state != PE_HEADER_INTACT)) {
		s->original = pe_open(&section, s->base, s->size);
		if (s->original->header_state < s->pe->header_state)
			s->facts = s->original;
	}
	rebuild(s);
	subject_compare(s);
	put_row(s);
	for (guint i = 0; i < s->facts->sections->len; i++)
		put_section(s, &g_array_index(s->facts->sections, struct pe_section, i));
	if (s->space || s->first)
		put_imports(s);
	put_tls(s);
	if (s->first) {
		put_exports(s);
		put_debug(s);
		put_resources(s);
	}
	put_entry_hooks(s);
	put_jumps_out(s);
	put_guard_hooks(s);
	put_import_hooks(s);
	put_stubs(s);
	put_patches(s);
	if (s->original != s->pe)
		pe_close(s->original);
	pe_close(s->pe);
	if (s->others)
		g_ptr_array_free(s->others, TRUE);
	if (s->hashes_of_pages)
		g_ptr_array_unref(s->hashes_of_pages);
	g_array_free(s->patches, TRUE);
	g_free(s->rebuilt_from);
	g_free(s->pages);
}
