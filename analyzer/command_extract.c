/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memsieve extract: images and regions of a dump as files.
 *
 * What there is to extract stands in a case; a dump is analysed into a temporary
 * one first. The bytes come from the dump, through the same page tables and VADs.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>
#include "ask.h"
#include "command.h"
#include "hash.h"
#include "image_compare.h"
#include "image_rebuild.h"
#include "image_remains.h"
#include "image_section.h"
#include "limit.h"
#include "page_file.h"
#include "pe_space.h"
#include "pipeline.h"
#include "sandbox.h"
#include "text.h"
#include "vad_tree.h"

struct extract_options {
	char *output, *base, *image_base, *dump_file, *layout;
	char **symbols, **page_files;
	gint64 pid, dump_id;
	gboolean all_suspicious, mapped, no_verify, quiet, no_sandbox, plain;
	uint64_t address, new_base;	/* of base and image_base */
};

/* One thing to write, as the case tells of it. */
struct target {
	bool is_image;
	int64_t process_id;	/* 0: the kernel */
	uint64_t pid, eprocess, dtb, base, size;
	char *process_name, *path, *found_by, *header_state, *sha256, *rules;
};

struct extraction {
	const struct extract_options *options;
	struct store *store;
	int64_t dump_id;
	char *dump_path, *dump_sha256;
	bool plain;			/* it was analysed with --raw */
	struct image *image;
	struct kernel *kernel;
	struct space *kernel_space;
	struct process *process;	/* the last target's */
	struct space *user;
	struct rows *rows;		/* notes made while VADs are read; not kept */
	GHashTable *names;		/* of the files written so far */
	unsigned alike;			/* targets that had the name of another */
	const char *case_path;
	bool confined, lost, cut_off;
	bool partial;			/* the analysis of a dump missed something: there may be more to extract */
	uint64_t bytes, slots, holes;	/* that are left of extract_bytes, extract_slots_all and, for hashing the files, hash_holes */
	unsigned written, incomplete, failed;
};

static void target_free(void *data)
{
	struct target *t = data;

	g_free(t->process_name);
	g_free(t->path);
	g_free(t->found_by);
	g_free(t->header_state);
	g_free(t->sha256);
	g_free(t->rules);
	g_free(t);
}

/* ---- what the case knows */

static uint64_t number(const char *text)
{
	/* Addresses of the kernel's half are negative. */
	return text ? (uint64_t)g_ascii_strtoll(text, NULL, 10) : 0;
}

static bool add_target(void *user, int n, const char *const *names, const char *const *values)
{
	GPtrArray *targets = user;
	struct target *t = g_new0(struct target, 1);

	(void)n;
	(void)names;
	*t = (struct target){
		.is_image = values[0] && !strcmp(values[0], "image"), .process_id = (int64_t)number(values[1]), .pid = number(values[2]),
		.process_name = g_strdup(values[3]), .eprocess = number(values[4]), .dtb = number(values[5]), .base = number(values[6]),
		.size = number(values[7]), .path = g_strdup(values[8]), .found_by = g_strdup(values[9]), .header_state = g_strdup(values[10]),
		.sha256 = g_strdup(values[11]), .rules = g_strdup(values[12]),
	};
	g_ptr_array_add(targets, t);
	return true;
}

#define IMAGE_COLUMNS "SELECT 'image', i.process_id, p.pid, p.name, p.eprocess, p.dtb, i.base, i.size, i.path, i.found_by," \
	" i.header_state, i.sha256, "
#define REGION_COLUMNS "SELECT 'region', p.process_id, p.pid, p.name, p.eprocess, p.dtb, "

static bool select_suspicious(const struct extraction *x, GPtrArray *targets, GError **error)
{
	static const char sql[] =
		/* Of a process as a whole its program is wanted, not the object. */
		"WITH f AS (SELECT f.process_id, iif(f.address IS p.eprocess, coalesce(p.section_base, p.image_base, f.address), f.address) AS address,"
		" coalesce(f.length, 1) AS length, f.rule FROM findings f LEFT JOIN processes p USING (process_id) WHERE f.dump_id = :dump_id"
		" AND f.severity IN ('medium', 'high', 'critical') AND f.address IS NOT NULL AND f.address <> 0),"
		"g AS (SELECT f.*, (SELECT i.image_id FROM images i WHERE i.dump_id = :dump_id AND i.process_id IS f.process_id"
		"  AND f.address BETWEEN i.base AND i.base + i.size - 1 ORDER BY i.size, i.image_id LIMIT 1) AS image_id FROM f),"
		"h AS (SELECT g.*, (SELECT v.vad_id FROM vads v WHERE g.image_id IS NULL AND v.process_id = g.process_id"
		"  AND g.address BETWEEN v.start_address AND v.end_address LIMIT 1) AS vad_id FROM g) "
		IMAGE_COLUMNS "group_concat(DISTINCT rule) FROM h JOIN images i USING (image_id) LEFT JOIN processes p ON p.process_id = i.process_id"
		" GROUP BY image_id UNION ALL "
		REGION_COLUMNS "v.start_address, v.end_address - v.start_address + 1, v.file_path, v.type, NULL, NULL, group_concat(DISTINCT rule)"
		" FROM h JOIN vads v USING (vad_id) JOIN processes p ON p.process_id = v.process_id GROUP BY vad_id UNION ALL "
		REGION_COLUMNS "h.address & ~4095, ((h.address + h.length + 4095) & ~4095) - (h.address & ~4095), NULL, 'undescribed', NULL, NULL,"
		" group_concat(DISTINCT rule) FROM h LEFT JOIN processes p USING (process_id) WHERE image_id IS NULL AND vad_id IS NULL"
		" GROUP BY h.process_id, h.address & ~4095";

	return store_query(x->store, sql, x->dump_id, add_target, targets, error);
}

static bool select_named(const struct extraction *x, GPtrArray *targets, GError **error)
{
	const struct extract_options *o = x->options;
	g_autofree char *process = o->pid >= 0 ? g_strdup_printf("p.pid = %" G_GINT64_FORMAT, o->pid) : g_strdup("i.process_id IS NULL");
	g_autofree char *at = o->base ? g_strdup_printf("AND i.base = %" G_GINT64_FORMAT, (gint64)o->address) : g_strdup("");
	g_autofree char *images = g_strdup_printf(IMAGE_COLUMNS "NULL FROM images i LEFT JOIN processes p USING (process_id)"
						  " WHERE i.dump_id = :dump_id AND %s %s ORDER BY i.image_id", process, at);

	if (!store_query(x->store, images, x->dump_id, add_target, targets, error))
		return false;
	if (targets->len || !o->base || o->pid < 0)
		return true;
	g_autofree char *regions = g_strdup_printf(REGION_COLUMNS "v.start_address, v.end_address - v.start_address + 1, v.file_path, v.type,"
						   " NULL, NULL, NULL FROM vads v JOIN processes p USING (process_id) WHERE p.dump_id = :dump_id AND p.pid = %" G_GINT64_FORMAT
						   " AND %" G_GINT64_FORMAT " BETWEEN v.start_address AND v.end_address", o->pid, (gint64)o->address);
	return store_query(x->store, regions, x->dump_id, add_target, targets, error);
}

/* ---- the dump behind the case */

static bool choose_dump(struct extraction *x, const char *case_path, GError **error)
{
	g_autofree char *count = store_value(x->store, "SELECT count(*) FROM dumps", NULL);
	g_autofree char *id = x->options->dump_id ? g_strdup_printf("%" G_GINT64_FORMAT, x->options->dump_id) :
						    store_value(x->store, "SELECT min(dump_id) FROM dumps", NULL);

	if (!x->options->dump_id && count && strcmp(count, "1")) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: holds %s dumps: say which with --dump ID", case_path, count);
		return false;
	}
	x->dump_path = store_value(x->store, "SELECT path FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id ? id : "0", NULL);
	if (!x->dump_path) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: has no dump %s", case_path, id ? id : "");
		return false;
	}
	x->dump_id = g_ascii_strtoll(id, NULL, 10);
	x->dump_sha256 = store_value(x->store, "SELECT sha256 FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id, NULL);
	g_autofree char *detail = store_value(x->store, "SELECT format_detail FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id, NULL);
	x->plain = !g_strcmp0(detail, IMAGE_PLAIN);
	return true;
}

/* Is it the file that was analysed? */
static bool verify(struct extraction *x, const char *path, GError **error)
{
	g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, x->dump_id);
	g_autofree char *size = store_value(x->store, "SELECT size FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id, NULL);

	if (number(size) != x->image->container->size) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: has %" G_GUINT64_FORMAT " bytes, the dump that was analysed had %s", path,
			    x->image->container->size, size);
		return false;
	}
	if (x->options->no_verify || !x->dump_sha256)
		return true;
	g_autofree char *sha256 = hasher_finish(hasher_start(x->image->container));
	if (sha256 && !strcmp(sha256, x->dump_sha256))
		return true;
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: is not the dump that was analysed: its SHA-256 is another", path);
	return false;
}

/* Where the dump's n-th page file was when it was analysed; NULL: it had no more. */
static char *page_file_path(const struct extraction *x, guint n)
{
	g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, x->dump_id), *number = g_strdup_printf("%u", n);

	return store_value(x->store, "SELECT path FROM page_files WHERE dump_id = CAST(? AS INTEGER) AND number = CAST(? AS INTEGER)", id, number, NULL);
}

/* The page files that the dump was analysed with. Without one, what it holds is missing from the files and listed so. */
static bool open_page_files(struct extraction *x, GError **error)
{
	g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, x->dump_id);

	char **given = x->options->page_files;

	for (guint i = 0; i < PAGE_FILES_MAX; i++) {
		g_autofree char *n = g_strdup_printf("%u", i);
#define ASK(column) store_value(x->store, "SELECT " column " FROM page_files WHERE dump_id = CAST(? AS INTEGER) AND number = CAST(? AS INTEGER)", id, n, NULL)
		g_autofree char *path = ASK("path"), *sha256 = ASK("sha256");
#undef ASK
		if (!path)
			return true;
		const char *now_at = given && *given ? *given++ : path;
		if (!page_file_add(x->image, now_at, error)) {
			if (given)
				return false;
			g_printerr("memsieve: %s (--pagefile tells where it is now): goes on without it\n", (*error)->message);
			g_clear_error(error);
			return true;
		}
		if (x->options->no_verify || !sha256)
			continue;
		g_autofree char *now = hasher_finish(hasher_start(g_ptr_array_index(x->image->page_files, i)));
		if (g_strcmp0(now, sha256)) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: is not the page file that the dump was analysed with: its SHA-256 is another", now_at);
			return false;
		}
	}
	return true;
}

/* From here on only the dump and the case are read, and written to nothing but the folder that was named. */
static void confine(struct extraction *x, const char *dump_path, char *const *page_files)
{
	const struct extract_options *o = x->options;
	char *dumps[] = { (char *)dump_path, NULL }, *cases[] = { (char *)x->case_path, NULL };
	struct sandbox_files files = { dumps, cases, { o->symbols, o->page_files, page_files }, o->layout, o->output };

	if (!x->confined && !o->no_sandbox)
		(void)sandbox_confine(&files, false);
	x->confined = true;
}

static bool make_folder(const struct extraction *x, GError **error)
{
	if (!g_mkdir_with_parents(x->options->output, 0700))
		return true;
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s", x->options->output, g_strerror(errno));
	return false;
}

/* Where the dump is now that the case calls `path`. */
static char *dump_file(const struct extraction *x, const char *path)
{
	g_autofree char *folder = g_path_get_dirname(x->case_path), *beside = g_build_filename(folder, path, NULL);

	return g_strdup(x->options->dump_file ? x->options->dump_file :
			g_file_test(path, G_FILE_TEST_EXISTS) || !g_file_test(beside, G_FILE_TEST_EXISTS) ? path : beside);
}

static bool open_dump(struct extraction *x, GError **error)
{
	struct layout_options layouts = { (const char *const *)x->options->symbols, x->options->layout };
	g_autofree char *path = dump_file(x, x->dump_path);

	x->image = image_open(path, x->plain, error);
	if (!x->image) {
		g_prefix_error(error, "the dump of this case (--dump-file tells where it is now): ");
		return false;
	}
	if (!verify(x, path, error) || !open_page_files(x, error))
		return false;
	x->kernel = kernel_find(x->image, &layouts, error);
	if (!x->kernel)
		return false;
	if (x->kernel->unread_symbols)
		g_printerr("memsieve: %s\n", x->kernel->unread_symbols);
	if (!x->kernel->layout) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: no layout for kernel %s: give its symbol file with --symbols", path,
			    x->kernel->guid_age ? x->kernel->guid_age : "(name not readable)");
		return false;
	}
	x->kernel_space = space_clone(x->kernel->space);
	x->rows = rows_create();
	return true;
}

/* The address space of the target's process. */
static struct space *space_of(struct extraction *x, const struct target *t)
{
	if (!t->process_id)
		return x->kernel_space;
	if (x->process && x->process->id == t->process_id)
		return x->user;
	space_destroy(x->user);
	process_destroy(x->process);
	x->process = process_create();
	x->process->id = t->process_id;
	x->process->eprocess.v = t->eprocess;
	x->process->pid = t->pid;
	x->process->dtb.v = t->dtb;
	struct context c = { .image = x->image, .kernel = x->kernel, .space = x->kernel_space, .process = x->process, .rows = x->rows };
	vad_tree_read(&c, x->process, NULL, NULL);
	rows_clear(x->rows);
	return x->user = process_space(x->process, x->kernel, x->kernel_space);
}

/* ---- files */

/* A name that is one path component on any system, whatever the dump says. */
static char *safe_name(const char *text)
{
	const char *slash = text ? strrchr(text, '\\') : NULL;
	GString *name = g_string_new(NULL);

	for (const char *p = slash ? slash + 1 : text; p && *p && name->len < 64; p++)
		g_string_append_c(name, g_ascii_isalnum(*p) || *p == '_' || *p == '-' || (*p == '.' && name->len) ? *p : '_');
	return g_string_free(name, FALSE);
}

/* No other target's of this run: a pid is used again, and two of its processes may have the same program at the same base. */
static char *file_name(struct extraction *x, const struct target *t, const char *ending)
{
	g_autofree char *process = safe_name(t->process_name), *module = safe_name(t->path);
	g_autofree char *owner = t->process_id ? g_strdup_printf("%" G_GUINT64_FORMAT "-%s", t->pid, process) : g_strdup("kernel");

	g_autofree char *stem = g_strdup_printf("%s-%" G_GINT64_MODIFIER "x%s%s", owner, t->base, *module ? "-" : "", module);
	char *name = g_strdup_printf("%s.%s", stem, ending);

	while (g_hash_table_contains(x->names, name)) {
		g_free(name);
		name = g_strdup_printf("%s-%" G_GINT64_MODIFIER "x-%u.%s", stem, t->eprocess, ++x->alike, ending);
	}
	g_hash_table_add(x->names, g_strdup(name));
	return name;
}

/* Never through a link that somebody left in the folder. */
static FILE *create(const char *folder, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;

	if (!file) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s", path, g_strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	return file;
}

static void discard(const struct extraction *x, const char *name)
{
	g_autofree char *path = g_build_filename(x->options->output, name, NULL);

	(void)g_unlink(path);
}

static bool write_failed(const char *name, GError **error)
{
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: can't be written: %s", name, g_strerror(errno));
	return false;
}

/* A span that is missing: of an image by RVA, of a region by offset. */
struct gap { uint64_t start, length; };

static void add_gap(GArray *gaps, uint64_t start, uint64_t length)
{
	struct gap *last = gaps->len ? &g_array_index(gaps, struct gap, gaps->len - 1) : NULL, gap = { start, length };

	if (last && last->start + last->length == start)
		last->length += length;
	else
		g_array_append_val(gaps, gap);
}

/* The pages of a region at their offsets, holes between. */
static bool write_region(struct extraction *x, struct space *space, const struct target *t, FILE *to, GArray *gaps, struct image_budget *budget)
{
	uint64_t last = t->base + (t->size - 1), at = t->base;
	va_t cursor = { t->base };
	struct page page;
	uint8_t bytes[PAGE_SIZE];

	space_refill(space);
	while (!budget->cut && cursor.v >= t->base && cursor.v <= last && space_next_page(space, &cursor, (va_t){ last }, &page)) {
		uint64_t from = MAX(page.va.v, t->base), end = MIN(page.va.v + (page.size - 1), last);
		for (uint64_t va = from; va <= end && va >= from; va += PAGE_SIZE) {
			if (space_read(space, (va_t){ va }, bytes, PAGE_SIZE, NULL))
				continue;
			if (!image_budget_take(budget, PAGE_SIZE))
				break;
			if (va > at)
				add_gap(gaps, at - t->base, va - at);
			at = va + PAGE_SIZE;
			if (fseeko(to, (off_t)(va - t->base), SEEK_SET) || fwrite(bytes, 1, PAGE_SIZE, to) != PAGE_SIZE)
				return false;
		}
	}
	if (space->exhausted)
		budget->cut = "walk_steps";
	if (at <= last && at >= t->base)
		add_gap(gaps, at - t->base, last - at + 1);
	/* What is missing at the end is zeros too, but for reservations that no memory could fill. */
	return !fflush(to) && (t->size > x->image->bytes_present || !ftruncate(fileno(to), (off_t)t->size));
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static char *hex(uint64_t value)
{
	return g_strdup_printf("0x%" G_GINT64_MODIFIER "x", value);
}

/* Holes are zeros that cost nothing to write: of all files no more of them are hashed than of one dump. */
static char *hash_written(struct extraction *x, const struct file *file)
{
	const uint64_t holes = file ? file->size - file_filled(file) : 0;

	if (!file || holes > x->holes)
		return NULL;
	x->holes -= holes;
	return hasher_finish(hasher_start(file));
}

/* What the file is, and what of it is not from the dump, beside it. */
static bool write_description(struct extraction *x, const struct target *t, const char *name, const char *layout, const GArray *gaps,
			      const char *cut, GError **error)
{
	g_autofree char *json_name = g_strconcat(name, ".json", NULL), *path = g_build_filename(x->options->output, name, NULL);
	g_autofree char *base = hex(t->base), *eprocess = hex(t->eprocess);
	json_t *o = json_object(), *missing = json_array();
	struct file *file = file_open(path, NULL);
	g_autofree char *sha256 = hash_written(x, file);

	for (guint i = 0; i < gaps->len; i++) {
		const struct gap *g = &g_array_index(gaps, struct gap, i);
		g_autofree char *start = hex(t->base + g->start);
		json_array_append_new(missing, json_pack("{s:s, s:I, s:I}", "address", start, "offset", (json_int_t)g->start, "length", (json_int_t)g->length));
	}
	json_object_set_new(o, "file", json_string(name));
	json_object_set_new(o, "file_sha256", text_or_null(sha256));
	json_object_set_new(o, "layout", json_string(layout));
	json_object_set_new(o, "dump", json_string(x->dump_path));
	json_object_set_new(o, "dump_sha256", text_or_null(x->dump_sha256));
	if (t->process_id) {
		json_object_set_new(o, "pid", json_integer((json_int_t)t->pid));
		json_object_set_new(o, "process", text_or_null(t->process_name));
		json_object_set_new(o, "eprocess", json_string(eprocess));
	}
	json_object_set_new(o, "base", json_string(base));
	json_object_set_new(o, "size", json_integer((json_int_t)t->size));
	json_object_set_new(o, "path", text_or_null(t->path));
	json_object_set_new(o, t->is_image ? "found_by" : "type", text_or_null(t->found_by));
	if (t->is_image) {
		json_object_set_new(o, "header_state", text_or_null(t->header_state));
		json_object_set_new(o, "image_sha256", text_or_null(t->sha256));
	}
	json_object_set_new(o, "rules", text_or_null(t->rules));
	json_object_set_new(o, "cut_short", json_boolean(cut != NULL));
	json_object_set_new(o, "limit", text_or_null(cut));
	json_object_set_new(o, "missing", missing);
	json_object_set_new(o, "pages_lost", json_boolean(image_lost(x->image, NULL)));
	file_close(file);
	FILE *to = create(x->options->output, json_name, error);
	g_autofree char *text = text_from_json(o, JSON_INDENT(2));
	bool ok = to && ((text && fputs(text, to) != EOF) || write_failed(json_name, error));
	if (to && !stream_end(to) && ok)
		ok = write_failed(json_name, error);
	if (to && !ok)
		discard(x, json_name);
	json_decref(o);
	return ok;
}

/* Of an image: *layout says what became of it; NULL: it can only be written as it lies in memory. */
static bool write_image(struct extraction *x, struct space *space, const struct target *t, FILE *to, GArray *gaps, struct image_budget *budget, const char **layout)
{
	const struct vad *vad = t->process_id ? vad_find(&x->process->vads, (va_t){ t->base }) : NULL;
	struct pe_space at = { space, { t->base } };
	struct view view = { space, vad };
	struct pe_source section = view_section_source(&view);
	AUTO_PE pe = pe_space_open(&at, (uint32_t)MIN(t->size, UINT32_MAX & ~PAGE_MASK));
	AUTO_PE original = vad && !vad->is_private && vad->start.v == t->base && pe->header_state != PE_HEADER_INTACT ?
			   pe_open(&section, t->base, pe->size_limit) : NULL;
	struct pe *headers = original && original->header_state < pe->header_state ? original : pe;
	struct image_remains remains = { 0 };
	enum image_layout how = IMAGE_LAYOUT_NONE;
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));

	if (image_remains_wanted(headers)) {
		struct view kernel = { x->kernel_space, vad };
		struct image_section object = { 0 };
		if (original && image_section_read(&kernel, &object))
			image_section_apply(&object, headers);
		image_section_clear(&object);
		space_refill(space);
		pe->base = t->base;
		if (image_remains_find(space, t->base, pe->size_limit, &remains))
			image_remains_apply(&remains, headers->machine ? headers : (headers = pe));
	}
	image_remains_clear(&remains);
	if (!x->options->mapped && !image_write_file(pe, headers, x->options->image_base ? &x->options->new_base : NULL, to, budget, missing, &how))
		return false;
	if (how == IMAGE_LAYOUT_NONE && !image_write_mapped(pe, pe->size_limit, to, budget, missing))
		return false;
	*layout = how == IMAGE_LAYOUT_RAW ? "raw" : how == IMAGE_LAYOUT_VIRTUAL ? "virtual" : "mapped";
	for (guint i = 0; i < missing->len; i++) {
		const struct image_span *s = &g_array_index(missing, struct image_span, i);
		add_gap(gaps, s->rva, s->length);
	}
	return true;
}

static bool write_target(struct extraction *x, const struct target *t, struct image_budget *budget, GError **error)
{
	struct space *space = space_of(x, t);
	g_autoptr(GArray) gaps = g_array_new(FALSE, FALSE, sizeof(struct gap));
	bool file_like = t->is_image && !x->options->mapped;
	g_autofree char *name = file_name(x, t, file_like ? "pe" : "bin");
	const char *layout = t->is_image ? "mapped" : "region";

	if (!t->size || t->base > UINT64_MAX - (t->size - 1))
		return true;
	FILE *to = create(x->options->output, name, error);
	if (!to)
		return false;
	bool ok = t->is_image ? write_image(x, space, t, to, gaps, budget, &layout) : write_region(x, space, t, to, gaps, budget);
	if (!ok)
		write_failed(name, error);
	if (!stream_end(to) && ok)
		ok = write_failed(name, error);
	/* Half a file would be taken for what the dump has. */
	if (!ok || !write_description(x, t, name, layout, gaps, budget->cut, error)) {
		discard(x, name);
		return false;
	}
	uint64_t absent = 0;
	for (guint i = 0; i < gaps->len; i++)
		absent += g_array_index(gaps, struct gap, i).length;
	x->written++;
	x->incomplete += absent || budget->cut;
	if (!x->options->quiet)
		printf("%s: %s, %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " of them not in the dump%s%s%s\n", name, layout, t->size, absent,
		       budget->cut ? ", cut short (" : "", budget->cut ? budget->cut : "", budget->cut ? ")" : "");
	return true;
}

/* ---- */

/* Each of the `left` has its part of a half, whatever the others take, and may have a quarter of what is left of the other half. */
static struct image_budget budget_of_next(const struct extraction *x, uint64_t part, guint left)
{
	return (struct image_budget){ .bytes = part + (x->bytes - part * left) / 4, .slots = MIN(limit(extract_slots), x->slots) };
}

static void write_all(struct extraction *x, const GPtrArray *targets)
{
	const uint64_t memory = MAX(x->image->bytes_filled, 1);

	x->bytes = limit(extract_bytes) + MIN(limit(extract_bytes_ratio), INT64_MAX / memory) * memory;
	x->slots = limit(extract_slots_all);
	x->holes = limit(hash_holes);
	const uint64_t part = x->bytes / 2 / MAX(targets->len, 1);
	const double seconds = (double)limit_for(extract_seconds, memory);
	const gint64 begun = g_get_monotonic_time();

	for (guint i = 0; i < targets->len; i++) {
		g_autoptr(GError) why = NULL;
		if ((double)(g_get_monotonic_time() - begun) > seconds * G_USEC_PER_SEC) {
			g_printerr("memsieve: the last %u of %u are left out: %.0f seconds are over (extract_seconds)\n", targets->len - i, targets->len, seconds);
			x->cut_off = true;
			break;
		}
		struct image_budget given = budget_of_next(x, part, targets->len - i), budget = given;
		if (!write_target(x, g_ptr_array_index(targets, i), &budget, &why)) {
			g_printerr("memsieve: %s\n", why->message);
			x->failed++;
		}
		x->bytes -= given.bytes - budget.bytes;
		x->slots -= given.slots - budget.slots;
	}
	g_autoptr(GError) lost = NULL;
	x->lost = image_lost(x->image, &lost);
	if (x->lost)
		g_printerr("memsieve: %s: what was lost of it is zeros in the files\n", lost->message);
}

static bool look_into_case(struct extraction *x, GPtrArray *targets, GError **error)
{
	x->store = store_open_readonly(x->case_path, error);
	if (x->store && x->confined)
		store_unbounded(x->store);	/* whoever was asked came to an end; hashing the dump takes time, too */
	if (!x->store || !choose_dump(x, x->case_path, error))
		return false;
	bool ok = x->options->all_suspicious ? select_suspicious(x, targets, error) : select_named(x, targets, error);
	if (ok && !targets->len && !x->options->all_suspicious) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: nothing of that process and address", x->dump_path);
		ok = false;
	}
	return ok;
}

/* In a process of its own: where the dump was, and its page files, each with a zero behind it. */
static bool tell_files(void *data, FILE *to, GError **error)
{
	struct extraction *x = data;
	g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(target_free);

	if (!look_into_case(x, targets, error))
		return false;
	fprintf(to, "%s%c", x->dump_path, 0);
	for (guint i = 0; i < PAGE_FILES_MAX; i++) {
		g_autofree char *path = page_file_path(x, i);
		if (path)
			fprintf(to, "%s%c", path, 0);
	}
	return true;
}

/* The case says which files are needed, and may be anybody's: it is asked for them before it is opened here. */
static bool confine_to_case(struct extraction *x, GError **error)
{
	char *real = realpath(x->case_path, NULL), *const cases[] = { real, NULL };
	struct extraction asking = { .options = x->options, .case_path = real };
	struct ask_case q = { { .cases = cases }, store_read_seconds(x->case_path) + ASK_GRACE, STORE_READ_LIMITS, tell_files, &asking };
	g_autoptr(GPtrArray) files = g_ptr_array_new();
	enum ask_end end;
	GString *said = ask_case(&q, &end, error);
	bool ok = end == ASK_DONE && said->len && make_folder(x, error);

	for (gsize i = 0; i < said->len && files->len <= PAGE_FILES_MAX; i += strlen(said->str + i) + 1)
		g_ptr_array_add(files, said->str + i);
	g_ptr_array_add(files, NULL);
	if (ok) {
		g_autofree char *dump = dump_file(x, files->pdata[0]);
		confine(x, dump, (char *const *)files->pdata + 1);
	}
	g_string_free(said, TRUE);
	free(real);
	return ok;
}

static bool run_case(struct extraction *x, const char *case_path, GError **error)
{
	g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(target_free);

	x->case_path = case_path;
	if (!x->confined && !confine_to_case(x, error))
		return false;
	/* Where nothing is suspicious the dump, which may be one without memory of processes, isn't needed. */
	if (!look_into_case(x, targets, error) || (targets->len && !open_dump(x, error)))
		return false;
	if (targets->len)
		write_all(x, targets);
	return true;
}

static void extraction_clear(struct extraction *x)
{
	g_hash_table_destroy(x->names);
	space_destroy(x->user);
	process_destroy(x->process);
	rows_destroy(x->rows);
	space_destroy(x->kernel_space);
	kernel_destroy(x->kernel);
	image_close(x->image);
	store_close(x->store);
	g_free(x->dump_path);
	g_free(x->dump_sha256);
}

static bool is_database(const char *path)
{
	static const char magic[] = "SQLite format 3";
	char head[sizeof(magic)] = { 0 };
	/* A pipe would be waited for. */
	FILE *file = g_file_test(path, G_FILE_TEST_IS_REGULAR) ? fopen(path, "rb") : NULL;
	bool is = file && fread(head, 1, sizeof(head), file) == sizeof(head) && !memcmp(head, magic, sizeof(magic));

	if (file)
		fclose(file);
	return is;
}

/* A dump: analyse it into a case that goes afterwards. */
static bool run_dump(struct extraction *x, const char *path, GError **error)
{
	if (!make_folder(x, error))
		return false;
	confine(x, path, NULL);
	g_autofree char *output = g_build_filename(x->options->output, ".extracted.db", NULL);
	(void)g_unlink(output);
	g_autofree const struct plugin **sorted = plugin_load(NULL, error);
	struct options options = {
		.output = output, .jobs = (int)g_get_num_processors(), .symbols = x->options->symbols, .layout = x->options->layout, .page_files = x->options->page_files,
		.plain = x->options->plain, .quiet = TRUE,
		.command_line = (char *)"extract",
	};
	struct result result;
	bool ok = sorted && pipeline_analyze(&options, sorted, path, &result, error);
	x->partial = ok && result.outcome == OUTCOME_PARTIAL;
	ok = ok && run_case(x, output, error);

	(void)g_unlink(output);
	return ok;
}

static bool parse_address(const char *text, uint64_t *address)
{
	char *end = NULL;

	errno = 0;
	*address = text ? strtoull(text, &end, 0) : 0;
	return !text || (!errno && *text && !*end);
}

static bool parse(int *argc, char ***argv, struct extract_options *o, GError **error)
{
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &o->output, "the folder to write to", "DIR" },
		{ "pid", 'p', 0, G_OPTION_ARG_INT64, &o->pid, "of this process; without it: of the kernel", "N" },
		{ "base", 'b', 0, G_OPTION_ARG_STRING, &o->base, "the image at this address (0x… for hexadecimal), else the region it lies in; without it: all images", "A" },
		{ "all-suspicious", 0, 0, G_OPTION_ARG_NONE, &o->all_suspicious, "whatever a finding of severity medium or above points at", NULL },
		{ "mapped", 0, 0, G_OPTION_ARG_NONE, &o->mapped, "images as they lie in memory, not as files", NULL },
		{ "image-base", 0, 0, G_OPTION_ARG_STRING, &o->image_base, "relocate images to this base, e.g. the one their file prefers", "A" },
		{ "dump", 0, 0, G_OPTION_ARG_INT64, &o->dump_id, "which dump of the case", "ID" },
		{ "dump-file", 0, 0, G_OPTION_ARG_FILENAME, &o->dump_file, "where the dump is now, if not where it was analysed", "FILE" },
		{ "raw", 0, 0, G_OPTION_ARG_NONE, &o->plain, "a DUMP is plain memory, whatever it begins with (a case says so itself)", NULL },
		{ "pagefile", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->page_files, "where the page file is now, or, for a DUMP, that it has one", "FILE" },
		{ "no-verify", 0, 0, G_OPTION_ARG_NONE, &o->no_verify, "compare the dump's size alone, not its SHA-256", NULL },
		COMMAND_LIMIT,
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->symbols, "folder of Volatility-3 symbol files", "DIR" },
		{ "layout", 0, 0, G_OPTION_ARG_FILENAME, &o->layout, "this symbol file, whatever the kernel's GUID", "FILE" },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &o->quiet, "don't list what is written", NULL },
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &o->no_sandbox, "keep all the user's rights while reading the dump", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("CASE.db|DUMP");

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, "Write images and regions of a dump as files, each with a .json that says what it is and what is missing.");
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	bool numbers = parse_address(o->base, &o->address) && parse_address(o->image_base, &o->new_base);
	const char *wrong = *argc != 2 ? "one case or dump is needed" : !o->output ? "-o DIR is needed" :
			    !numbers ? "--base or --image-base is no address" :
			    o->pid < 0 && !o->base && !o->all_suspicious ? "say what: --pid N, --base A or --all-suspicious" :
			    o->all_suspicious && (o->pid >= 0 || o->base) ? "--all-suspicious goes without --pid and --base" : NULL;
	if (wrong)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s", wrong);
	return !wrong;
}

static int run(int argc, char **argv)
{
	struct extract_options o = { .pid = -1 };
	struct extraction x = { .options = &o, .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };
	g_autoptr(GError) error = NULL;
	int outcome = OUTCOME_USAGE;

	if (!parse(&argc, &argv, &o, &error)) {
		g_printerr("memsieve extract: %s (see `memsieve extract --help`)\n", error->message);
	} else {
		bool ok = !o.plain && is_database(argv[1]) ? run_case(&x, argv[1], &error) : run_dump(&x, argv[1], &error);
		if (!ok)
			g_printerr("memsieve: %s\n", error ? error->message : "failed");
		if (x.partial)
			g_printerr("memsieve: %s: its analysis is partial, there may be more to extract: `memsieve analyze` says what is missing\n", argv[1]);
		if (ok && !o.quiet)
			g_print("%u files in %s, %u of them with missing pages\n", x.written, o.output, x.incomplete);
		outcome = !ok || x.failed ? OUTCOME_FAILED : x.incomplete || x.lost || x.cut_off || x.partial ? OUTCOME_PARTIAL : OUTCOME_COMPLETE;
	}
	extraction_clear(&x);
	g_free(o.output);
	g_free(o.base);
	g_free(o.image_base);
	g_free(o.dump_file);
	g_free(o.layout);
	g_strfreev(o.symbols);
	g_strfreev(o.page_files);
	return outcome;
}

const struct command command_extract = {
	.name = "extract",
	.usage = "extract -o DIR [--pid N] [--base A] CASE.db|DUMP",
	.doc = "images and regions as files",
	.run = run,
};
