/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve info: what a dump is, without analysing it. */
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "pipeline.h"
#include "text.h"

static void print_ranges(struct image *image)
{
	struct range range = { 0, 0 };
	unsigned n = 0;
	uint64_t top = 0;

	for (pa_t at = { 0 }; image_next_range(image, at, &range); at.v = range.start + range.length) {
		if (n < 16)
			printf("%-16s0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x\n", n ? "" : "ranges", range.start,
			       range.start + range.length - 1);
		top = range.start + range.length;
		n++;
	}
	if (n > 16)
		printf("%-16s… %u in all\n", "", n);
	printf("%-16s%" G_GUINT64_FORMAT " bytes (%.1f %% of the span)\n", "present", image->bytes_present,
	       top ? 100.0 * (double)image->bytes_present / (double)top : 0);
	if (image->facts.no_user_memory)
		printf("%-16sabsent: this dump holds the kernel's memory alone\n", "user memory");
}

static void print_kernel(const struct kernel *k)
{
	static const char *const sources[] = { "builtin", "family", "isf", "pdb", "derived" };

	printf("%-16s%u.%u.%u%s%s\n", "OS build", k->major, k->minor, k->build, k->build_lab ? ", " : "", k->build_lab ? k->build_lab : "");
	printf("%-16s0x%" G_GINT64_MODIFIER "x, %u bytes, found by %s\n", "kernel", k->base.v, k->size, k->found_by);
	printf("%-16s%s %s\n", "PDB", k->pdb_name ? k->pdb_name : "?", k->guid_age ? k->guid_age : "?");
	printf("%-16s0x%" G_GINT64_MODIFIER "x%s\n", "DTB", k->dtb.v, k->paging == PAGING_X64_LA57 ? " (five levels)" : "");
	if (k->layout)
		printf("%-16s%s:%s%s%s\n", "layout", sources[k->layout->source], k->layout->origin ? k->layout->origin : "",
		       k->layout->version ? ", " : "", k->layout->version ? k->layout->version : "");
	else
		printf("%-16sunknown: provide the symbol file of %s %s with --symbols\n", "layout", k->pdb_name ? k->pdb_name : "?",
		       k->guid_age ? k->guid_age : "?");
}

static int run(int argc, char **argv)
{
	g_auto(GStrv) symbols = NULL;
	g_autofree char *layout = NULL;
	g_autoptr(GError) error = NULL;
	const GOptionEntry entries[] = {
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &symbols, "folder of Volatility-3 symbol files", "DIR" },
		{ "layout", 0, 0, G_OPTION_ARG_FILENAME, &layout, "this symbol file, whatever the kernel's GUID", "FILE" },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("DUMP");

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
		g_printerr("memsieve info: %s\n", error ? error->message : "one dump is needed");
		return OUTCOME_USAGE;
	}
	AUTO(image) image = image_open(argv[1], &error);
	if (!image) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	const struct image_facts *facts = &image->facts;
	printf("%-16s%s\n%-16s%" G_GUINT64_FORMAT "\n%-16s%s%s%s\n", "file", argv[1], "size", image->file->size, "format", facts->format,
	       facts->detail ? ", " : "", facts->detail ? facts->detail : "");
	g_autofree char *time = text_from_filetime(facts->system_time);
	if (time)
		printf("%-16s%s\n", "time", time);
	if (facts->is_crash)
		printf("%-16s0x%x (0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x, 0x%"
		       G_GINT64_MODIFIER "x)\n", "bugcheck", facts->bugcheck_code, facts->bugcheck_parameters[0],
		       facts->bugcheck_parameters[1], facts->bugcheck_parameters[2], facts->bugcheck_parameters[3]);
	print_ranges(image);
	struct layout_options options = { (const char *const *)symbols, layout };
	AUTO(kernel) kernel = kernel_find(image, &options, &error);
	if (kernel)
		print_kernel(kernel);
	for (guint i = 0; i < image->notes->len; i++)
		printf("%-16s%s\n", "note", ((struct image_note *)g_ptr_array_index(image->notes, i))->message);
	if (!kernel) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	return kernel->layout ? OUTCOME_COMPLETE : OUTCOME_PARTIAL;
}

const struct command command_info = {
	.name = "info",
	.usage = "info DUMP",
	.doc = "what a dump is, in under a second",
	.run = run,
};
