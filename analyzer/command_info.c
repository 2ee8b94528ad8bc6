/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve info: what a dump is, without analysing it. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "limit.h"
#include "logon.h"
#include "pipeline.h"
#include "sandbox.h"
#include "text.h"

/* How much of the machine's memory is here; of the span from 0 where nobody says how much it had. */
static void print_present(const struct image *image, const struct kernel *k, uint64_t span)
{
	uint64_t total = k ? kernel_memory_total(k) : image->facts.memory_total, of = total ? total : span, virtual = 0;

	for (guint i = 0; image->virtual_segments && i < image->virtual_segments->len; i++)
		virtual += g_array_index(image->virtual_segments, struct segment, i).length;
	if (virtual && !image->bytes_present) {
		g_print("%-16s%" G_GUINT64_FORMAT " bytes of virtual memory, no physical memory (0.0 %%%s)\n", "present", virtual, total ? " of the machine's" : "");
		if (image->facts.no_user_memory)
			g_print("%-16sabsent: this dump holds pieces of the kernel's memory alone\n", "user memory");
		return;
	}
	double percent = of ? MIN(100.0, 100.0 * (double)image->bytes_present / (double)of) : 0;

	g_print("%-16s%" G_GUINT64_FORMAT " bytes", "present", image->bytes_present);
	if (total)
		g_print(" (%.1f %% of the machine's %" G_GUINT64_FORMAT ")\n", percent, total);
	else
		g_print(" (%.1f %% of the span: how much the machine had isn't known)\n", percent);
	if (image->facts.no_user_memory)
		g_print("%-16sabsent: this dump holds the kernel's memory alone\n", "user memory");
}

static void print_ranges(struct image *image, const struct kernel *k)
{
	struct range range = { 0, 0 };
	unsigned n = 0;
	uint64_t top = 0;

	for (pa_t at = { 0 }; image_next_range(image, at, &range); at.v = range.start + range.length) {
		if (n < 16)
			g_print("%-16s0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x\n", n ? "" : "ranges", range.start,
			       range.start + range.length - 1);
		top = range.start + range.length;
		n++;
	}
	if (n > 16)
		g_print("%-16s… %u in all\n", "", n);
	print_present(image, k, top);
}

static void print_process(const struct image_minidump *m, const struct kernel *k)
{
	g_autofree char *version = kernel_version(k);

	g_print("%-16s%s\n%-16s", "OS build", version ? version : "unknown", "process");
	if (m->pid)
		g_print("%u, ", m->pid);
	g_print("%u modules, %u threads, %u regions, %u handles\n", m->modules->len, m->threads->len, m->regions->len, m->handles->len);
}

static void print_kernel(const struct kernel *k)
{
	static const char *const sources[] = { "builtin", "family", "isf", "pdb", "derived" };

	g_autofree char *version = kernel_version(k);

	g_print("%-16s%s%s%s\n", "OS build", version ? version : "unknown", k->build_lab ? ", " : "", k->build_lab ? k->build_lab : "");
	if (k->base.v)
		g_print("%-16s0x%" G_GINT64_MODIFIER "x, %u bytes, found by %s\n", "kernel", k->base.v, k->size, k->found_by);
	else
		g_print("%-16sfound by %s\n", "kernel", k->found_by);
	if (k->guid_age)
		g_print("%-16s%s %s\n", "PDB", k->pdb_name ? k->pdb_name : "?", k->guid_age);
	else
		g_print("%-16sunknown: the kernel's image is not in the dump\n", "PDB");
	g_print("%-16s0x%" G_GINT64_MODIFIER "x%s\n", "DTB", k->dtb.v, k->paging == PAGING_X64_LA57 ? " (five levels)" : "");
	if (k->layout)
		g_print("%-16s%s:%s%s%s\n", "layout", sources[k->layout->source], k->layout->origin ? k->layout->origin : "",
		       k->layout->version ? ", " : "", k->layout->version ? k->layout->version : "");
	else if (k->guid_age)
		g_print("%-16sunknown: provide the symbol file of %s %s with --symbols\n", "layout", k->pdb_name ? k->pdb_name : "?", k->guid_age);
	else
		g_print("%-16snone: what the dump's own headers tell of its structures is used\n", "layout");
}

static void print_file(const char *path, const struct image *image, const struct kernel *k)
{
	const struct image_facts *facts = &image->facts;
	g_autofree char *detail = logon_detail(image, k);

	g_print("%-16s%s\n%-16s%" G_GUINT64_FORMAT, "file", path, "size", image->container->size);
	if (image->file != image->container)
		g_print(", the memory is in %" G_GUINT64_FORMAT, image->file->size);
	g_print("\n%-16s%s%s%s\n", "format", facts->format, detail ? ", " : "", detail ? detail : "");
}

static void print_header(const struct image_facts *facts)
{
	g_autofree char *time = text_from_filetime(facts->system_time), *comment = facts->comment ? text_escape(facts->comment) : NULL;
	const uint64_t seconds = facts->uptime / 10000000;

	if (time)
		g_print("%-16s%s\n", "time", time);
	if (facts->uptime)
		g_print("%-16s%" G_GUINT64_FORMAT " d %02u:%02u:%02u\n", "uptime", seconds / 86400, (unsigned)(seconds / 3600 % 24),
			(unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
	if (facts->is_crash)
		g_print("%-16s0x%x (0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x, 0x%"
		       G_GINT64_MODIFIER "x)\n", "bugcheck", facts->bugcheck_code, facts->bugcheck_parameters[0],
		       facts->bugcheck_parameters[1], facts->bugcheck_parameters[2], facts->bugcheck_parameters[3]);
	if (facts->exception_code)
		g_print("%-16s0x%x at 0x%" G_GINT64_MODIFIER "x\n", "exception", facts->exception_code, facts->exception_address);
	if (comment)
		g_print("%-16s%s\n", "comment", comment);
}

static void print_machine(const struct image_facts *facts, const struct kernel *k)
{
	const char *machine = architecture_name(k ? kernel_architecture(k) : facts->architecture), *product = k ? kernel_product(k) : NULL;

	g_print("%-16s%s", "machine", machine ? machine : "unknown");
	if (facts->processors)
		g_print(", %u processor%s", facts->processors, facts->processors == 1 ? "" : "s");
	if (product)
		g_print(", %s, suite mask 0x%x", product, k->suite_mask);
	g_print("\n");
}

static void set_text(json_t *object, const char *name, const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

	json_object_set_new(object, name, valid ? json_string(valid) : json_null());
}

/* Addresses as text in hexadecimal: JSON's readers take numbers for doubles. */
static void set_address(json_t *object, const char *name, uint64_t address)
{
	g_autofree char *text = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", address);

	json_object_set_new(object, name, json_string(text));
}

static json_t *kernel_json(const struct kernel *k)
{
	static const char *const sources[] = { "builtin", "family", "isf", "pdb", "derived" };
	g_autofree char *build = kernel_version(k);
	json_t *o = json_object();

	set_text(o, "os_build", build);
	set_text(o, "os_build_lab", k->build_lab);
	set_address(o, "base", k->base.v);
	json_object_set_new(o, "size", json_integer(k->size));
	set_text(o, "found_by", k->found_by);
	set_text(o, "pdb_name", k->pdb_name);
	set_text(o, "guid_age", k->guid_age);
	set_address(o, "dtb", k->dtb.v);
	set_text(o, "layout_source", k->layout ? sources[k->layout->source] : NULL);
	set_text(o, "layout", k->layout ? k->layout->origin : NULL);
	set_text(o, "layout_version", k->layout ? k->layout->version : NULL);
	return o;
}

/* Sets *cut where not all ranges are in it. */
static json_t *image_json(const char *path, struct image *image, const struct kernel *k, bool *cut)
{
	const struct image_facts *facts = &image->facts;
	g_autofree char *time = text_from_filetime(facts->system_time), *detail = logon_detail(image, k);
	json_t *o = json_object(), *ranges = json_array(), *notes = json_array();
	struct range range = { 0, 0 };

	set_text(o, "file", path);
	json_object_set_new(o, "size", json_integer((json_int_t)image->container->size));
	json_object_set_new(o, "memory_file_size", json_integer((json_int_t)image->file->size));
	set_text(o, "format", facts->format);
	set_text(o, "format_detail", detail);
	set_text(o, "architecture", k ? architecture_name(kernel_architecture(k)) : architecture_name(facts->architecture));
	set_text(o, "system_time", time);
	if (facts->is_crash) {
		json_object_set_new(o, "bugcheck_code", json_integer(facts->bugcheck_code));
		json_t *parameters = json_array();
		for (size_t i = 0; i < G_N_ELEMENTS(facts->bugcheck_parameters); i++) {
			g_autofree char *text = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", facts->bugcheck_parameters[i]);
			json_array_append_new(parameters, json_string(text));
		}
		json_object_set_new(o, "bugcheck_parameters", parameters);
	}
	for (pa_t at = { 0 }; image_next_range(image, at, &range); at.v = range.start + range.length) {
		if (json_array_size(ranges) >= limit(ranges)) {
			image_note(image, FAULT_LIMIT, range.start, "the dump has more than %" G_GUINT64_FORMAT " ranges, the rest is not listed (ranges)", limit(ranges));
			*cut = true;
			break;
		}
		json_t *r = json_object();
		set_address(r, "start", range.start);
		json_object_set_new(r, "length", json_integer((json_int_t)range.length));
		json_array_append_new(ranges, r);
	}
	json_object_set_new(o, "ranges", ranges);
	json_object_set_new(o, "physical_memory", json_integer((json_int_t)image->bytes_present));
	uint64_t total = k ? kernel_memory_total(k) : facts->memory_total;
	json_object_set_new(o, "memory_total", total ? json_integer((json_int_t)total) : json_null());
	json_object_set_new(o, "user_memory", json_boolean(!facts->no_user_memory));
	json_object_set_new(o, "processors", facts->processors ? json_integer(facts->processors) : json_null());
	set_text(o, "product_type", k ? kernel_product(k) : NULL);
	json_object_set_new(o, "suite_mask", k && kernel_product(k) ? json_integer(k->suite_mask) : json_null());
	json_object_set_new(o, "uptime", facts->uptime ? json_real((double)facts->uptime / 1e7) : json_null());
	set_text(o, "comment", facts->comment);
	for (guint i = 0; i < image->notes->len; i++) {
		g_autofree char *valid = g_utf8_make_valid(((struct image_note *)g_ptr_array_index(image->notes, i))->message, -1);
		json_array_append_new(notes, json_string(valid));
	}
	json_object_set_new(o, "notes", notes);
	return o;
}

/* After all is read: zeros that stand for what the disk didn't give are none of the dump's. */
static void note_lost(struct image *image)
{
	g_autoptr(GError) lost = NULL;

	if (image_lost(image, &lost))
		image_note(image, FAULT_NOT_IN_DUMP, 0, "%s", lost->message);
}

/* Is all there, as far as its reader can tell? As of an analysis, something that is missing is an exit status of its own. */
static bool is_whole(const struct image *image)
{
	for (guint i = 0; i < image->notes->len; i++)
		if (image_note_harms(g_ptr_array_index(image->notes, i)))
			return false;
	return true;
}

/* Small dumps and minidumps need no layout. */
static bool is_known(const struct image *image, const struct kernel *k)
{
	return k->layout || image->triage || image->minidump;
}

static int run(int argc, char **argv)
{
	g_auto(GStrv) symbols = NULL;
	g_autofree char *layout = NULL;
	gboolean json = FALSE;
	g_autoptr(GError) error = NULL;
	gboolean no_sandbox = FALSE, plain = FALSE;
	const GOptionEntry entries[] = {
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &symbols, "folder of Volatility-3 symbol files", "DIR" },
		{ "layout", 0, 0, G_OPTION_ARG_FILENAME, &layout, "this symbol file, whatever the kernel's GUID", "FILE" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &json, "as JSON", NULL },
		{ "raw", 0, 0, G_OPTION_ARG_NONE, &plain, "the file is plain memory, whatever it begins with", NULL },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "keep all the user's rights while reading the dump", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("DUMP");

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
		g_printerr("memsieve info: %s\n", error ? error->message : "one dump is needed");
		return OUTCOME_USAGE;
	}
	struct sandbox_files files = { argv + 1, NULL, { symbols }, layout, NULL };
	if (!no_sandbox)
		(void)sandbox_confine(&files, false);
	AUTO(image) image = image_open(argv[1], plain, &error);
	if (!image) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	struct layout_options options = { (const char *const *)symbols, layout };
	if (json) {
		AUTO(kernel) found = kernel_find(image, &options, &error);
		bool cut = false;
		note_lost(image);
		json_t *o = image_json(argv[1], image, found, &cut);	/* after the kernel is found, which adds notes */
		json_object_set_new(o, "kernel", found ? kernel_json(found) : json_null());
		if (error)
			set_text(o, "error", error->message);
		return command_print_json(o, !found ? OUTCOME_FAILED : is_known(image, found) && is_whole(image) && !cut ? OUTCOME_COMPLETE : OUTCOME_PARTIAL);
	}
	const struct image_facts *facts = &image->facts;
	AUTO(kernel) kernel = kernel_find(image, &options, &error);
	note_lost(image);
	print_file(argv[1], image, kernel);
	print_header(facts);
	print_machine(facts, kernel);
	print_ranges(image, kernel);
	if (kernel && image->minidump)
		print_process(image->minidump, kernel);
	else if (kernel)
		print_kernel(kernel);
	for (guint i = 0; i < image->notes->len; i++)
		g_print("%-16s%s\n", "note", ((struct image_note *)g_ptr_array_index(image->notes, i))->message);
	if (!kernel) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	return is_known(image, kernel) && is_whole(image) ? OUTCOME_COMPLETE : OUTCOME_PARTIAL;
}

const struct command command_info = {
	.name = "info",
	.usage = "info DUMP",
	.doc = "what a dump is, in under a second",
	.run = run,
	.prints = true,
};
