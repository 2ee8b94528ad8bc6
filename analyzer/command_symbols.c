/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve symbols: which kernels are known, how a dump will be covered, and importing more. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "layout_store.h"
#include "pipeline.h"
#include "plugin.h"
#include "sandbox.h"

static const char *const sources[] = { "builtin", "family", "isf", "pdb", "derived" };

/* list ----------------------------------------------------------------------- */

struct listing {
	char *family, *first, *last;
	unsigned kernels;
	bool each;
};

static void end_family(struct listing *l)
{
	if (l->family && !l->each)
		g_print("%-18s %3u kernels, %s to %s\n", l->family, l->kernels, l->first, l->last);
	g_clear_pointer(&l->family, g_free);
	g_clear_pointer(&l->first, g_free);
	g_clear_pointer(&l->last, g_free);
	l->kernels = 0;
}

static void list_builtin(void *user, const char *guid_age, const char *version, const char *family)
{
	struct listing *l = user;

	if (l->family && strcmp(l->family, family))
		end_family(l);
	if (l->each)
		g_print("builtin %-40s %s\n", guid_age, version);
	if (!l->family) {
		l->family = g_strdup(family);
		l->first = g_strdup(version);
	}
	g_free(l->last);
	l->last = g_strdup(version);
	l->kernels++;
}

static int list(int argc, char **argv)
{
	struct listing l = { .each = argc == 2 && !strcmp(argv[1], "--all") };
	g_auto(GStrv) imported = NULL, families = NULL;

	if (argc > 2 || (argc == 2 && !l.each)) {
		g_printerr("memsieve symbols list: the only option is --all\n");
		return OUTCOME_USAGE;
	}
	layout_builtin_each(list_builtin, &l);
	end_family(&l);
	families = layout_families(0, 0, LAYOUT_ANY);
	for (char **name = families; *name && !l.each; name++) {
		AUTO(layout) layout = layout_family_named(*name);
		if (layout && !layout_has_kernels(*name))
			g_print("%-18s structures alone%s\n", *name, layout->pointer_size == 4 ? ", 32 bits" : "");
	}
	imported = layout_store_list();
	for (char **guid_age = imported; *guid_age; guid_age++) {
		g_autoptr(GError) error = NULL;
		AUTO(layout) layout = layout_store_find(*guid_age, &error);
		g_print("imported %s%s%s%s\n", *guid_age, layout ? ", from " : ": ",
		       layout ? sources[layout->source] : error ? error->message : "", layout && layout->version ? layout->version : "");
	}
	return OUTCOME_COMPLETE;
}

/* import --------------------------------------------------------------------- */

static int import(int argc, char **argv)
{
	const GOptionEntry entries[] = { COMMAND_LIMIT, { NULL } };
	g_autoptr(GOptionContext) context = g_option_context_new("FILE…");
	g_autoptr(GError) misuse = NULL;
	int outcome = OUTCOME_COMPLETE;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &misuse) || argc < 2) {
		g_printerr("memsieve symbols import: %s\n", misuse ? misuse->message : "files are needed (Volatility-3 symbol files or PDBs)");
		return OUTCOME_USAGE;
	}
	g_autofree char *folder = layout_store_directory();
	struct sandbox_files files = { .read = { argv + 1 }, .write = folder, .renames = true };
	(void)g_mkdir_with_parents(folder, 0777);	/* where it can't be made the first file says so */
	(void)sandbox_confine(&files, false);
	for (int i = 1; i < argc; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *path = NULL;
		AUTO(layout) layout = layout_load(argv[i], &error);

		if (!layout || !layout_store_add(layout, &path, &error)) {
			g_printerr("memsieve: %s\n", error->message);
			outcome = OUTCOME_FAILED;
			continue;
		}
		g_print("%s: %s\n", layout->guid_age, path);
	}
	return outcome;
}

/* check ---------------------------------------------------------------------- */

#define NAMED_MAX 16u	/* missing fields that are named: the answer fits one screen */

struct count { unsigned all, derived, weak, missed; GString *missing; struct layout *base; };

struct lookup { const char *type, *member; struct field *found; };

static void look(void *user, const char *type, const char *member, struct field *field)
{
	struct lookup *l = user;

	if (!strcmp(type, l->type) && !strcmp(member, l->member))
		l->found = field;
}

static struct field *same_field(struct layout *layout, const char *type, const char *member)
{
	struct lookup l = { type, member, NULL };

	layout_visit_fields(layout, look, &l);
	return l.found;
}

static void count_field(void *user, const char *type, const char *member, struct field *field)
{
	struct count *c = user;

	c->all += field->size != 0;
	c->derived += field->derived != 0;
	c->weak += field->derived && field->derived < 60;
	if (!field->size && c->base) {
		const struct field *known = same_field(c->base, type, member);
		if (known && known->size && c->missed++ < NAMED_MAX)
			g_string_append_printf(c->missing, "%s%s.%s", c->missing->len ? ", " : "", type, member);
	}
}

/* Symbols without which something isn't done. */
static const struct { const char *name, *what; } uses[] = {
	{ "PsActiveProcessHead", "the list of processes" },
	{ "PsLoadedModuleList", "the list of drivers" },
	{ "PspCidTable", "processes and threads by their ids (hidden ones)" },
	{ "ObTypeIndexTable", "object types: handles, objects found by scanning" },
	{ "MmUnloadedDrivers", "unloaded drivers" },
	{ "KiServiceTable", "system calls" },
	{ "PspCreateProcessNotifyRoutine", "callbacks on processes" },
	{ "PspCreateThreadNotifyRoutine", "callbacks on threads" },
	{ "PspLoadImageNotifyRoutine", "callbacks on images" },
};

struct symbols { GString *missing; unsigned known; };

static void check_symbol(void *user, const char *name, uint64_t *rva)
{
	struct symbols *s = user;

	s->known += *rva != 0;
	for (size_t i = 0; i < G_N_ELEMENTS(uses); i++)
		if (!*rva && !strcmp(uses[i].name, name))
			g_string_append_printf(s->missing, "%s%s", s->missing->len ? "; " : "", uses[i].what);
}

/* What is told of a machine, and the fields that it rests on. */
static const struct subject { const char *name, *fields[8]; } subjects[] = {
	{ "processes", { "_EPROCESS.UniqueProcessId", "_EPROCESS.InheritedFromUniqueProcessId", "_EPROCESS.ImageFileName", "_EPROCESS.CreateTime",
			 "_KPROCESS.DirectoryTableBase", NULL } },
	{ "command lines", { "_EPROCESS.Peb", "_PEB.ProcessParameters", "_RTL_USER_PROCESS_PARAMETERS.CommandLine", NULL } },
	{ "threads", { "_ETHREAD.Cid", "_ETHREAD.ThreadListEntry", "_EPROCESS.ThreadListHead", "_ETHREAD.StartAddress", "_KTHREAD.Teb", NULL } },
	{ "memory regions", { "_EPROCESS.VadRoot", "_MMVAD_SHORT.StartingVpn", "_MMVAD_SHORT.EndingVpn", "_MMVAD_FLAGS.Protection", NULL } },
	{ "images", { "_EPROCESS.Peb", "_PEB.Ldr", "_LDR_DATA_TABLE_ENTRY.DllBase", NULL } },
	{ "mapped files", { "_CONTROL_AREA.FilePointer", "_FILE_OBJECT.FileName", NULL } },
	{ "handles", { "_EPROCESS.ObjectTable", "_HANDLE_TABLE.TableCode", NULL } },
	{ "users and privileges", { "_EPROCESS.Token", "_TOKEN.UserAndGroups", "_TOKEN.Privileges", NULL } },
	{ "drivers", { "_KLDR_DATA_TABLE_ENTRY.DllBase", NULL } },
	{ "driver objects", { "_DRIVER_OBJECT.MajorFunction", NULL } },
};

/* Is one of its fields unknown? Fields that a build lacks altogether (loader entries of old kernels) are the readers' own. */
static bool lacks(struct layout *l, struct layout *base, const struct subject *subject)
{
	for (const char *const *f = subject->fields; *f; f++) {
		g_auto(GStrv) parts = g_strsplit(*f, ".", 2);
		const struct field *own = same_field(l, parts[0], parts[1]), *known = base ? same_field(base, parts[0], parts[1]) : NULL;
		if (own && !own->size && known && known->size)
			return true;
	}
	return false;
}

/* The subjects that will be told, with how sure that is, in percent, where it isn't quite; those that won't. */
static void tell_subjects(struct layout *l, struct layout *base, GString *told, GString *missed)
{
	for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++) {
		unsigned confidence = layout_confidence(l, subjects[i].fields);
		bool missing = lacks(l, base, &subjects[i]);
		GString *to = missing ? missed : told;

		g_string_append_printf(to, "%s%s", to->len ? ", " : "", subjects[i].name);
		if (!missing && confidence && confidence < 100)
			g_string_append_printf(to, " (%u %%)", confidence);
	}
}

/* Without structures: what reads none. */
static void report_uncovered(void)
{
	g_autoptr(GString) names = g_string_new(NULL);

	for (size_t i = 0; plugins[i]; i++)
		if (!plugins[i]->needs_layout)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", plugins[i]->name);
	g_print("not covered  no structures are known for this build, and too little of its kernel is in the dump to derive them\n"
		"will do      what needs none: %s\n", names->str);
}

static void report(const struct kernel *k)
{
	struct layout *l = k->layout;
	struct count count = { .missing = g_string_new(NULL) };
	struct symbols symbols = { .missing = g_string_new(NULL) };

	if (l->source == LAYOUT_FAMILY || l->source == LAYOUT_DERIVED)
		count.base = l->base ? layout_family_named(l->base) : NULL;
	layout_visit_fields(l, count_field, &count);
	layout_visit_symbols(l, check_symbol, &symbols);
	switch (l->source) {
	case LAYOUT_FAMILY:
		g_print("covered      by the structures of %s, the same build; they fit this dump in every point that could be checked\n", l->origin);
		break;
	case LAYOUT_DERIVED:
		g_print("covered      by structures derived from the dump, beginning with those of %s\n", l->base);
		g_print("             %u fields known, %u of them derived, %u of these weakly\n", count.all, count.derived, count.weak);
		break;
	default:
		g_print("covered      exactly, by %s:%s%s%s\n", sources[l->source], l->origin ? l->origin : "", l->version ? ", " : "",
		       l->version ? l->version : "");
	}
	g_autoptr(GString) told = g_string_new(NULL), missed = g_string_new(NULL);
	tell_subjects(l, count.base, told, missed);
	g_print("will do      %s\n", told->str);
	g_print("globals      %u%s\n", symbols.known, count.base ? ", recovered from memory" : "");
	if (missed->len)
		g_print("missing      %s\n", missed->str);
	if (count.base && (count.missing->len || symbols.missing->len)) {
		if (count.missing->len)
			g_print("missing      %u fields: %s%s\n", count.missed, count.missing->str, count.missed > NAMED_MAX ? ", …" : "");
		if (symbols.missing->len)
			g_print("missing      %s\n", symbols.missing->str);
	} else if (count.base) {
		g_print("missing      nothing that is known of\n");
	}
	layout_destroy(count.base);
	g_string_free(count.missing, TRUE);
	g_string_free(symbols.missing, TRUE);
}

static json_t *text_or_null(const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

	return valid ? json_string(valid) : json_null();
}

static json_t *parts(GString *text, const char *separator)
{
	g_auto(GStrv) list = g_strsplit(text->str, separator, -1);
	json_t *array = json_array();

	for (char **part = list; *part && **part; part++)
		json_array_append_new(array, json_string(*part));
	g_string_free(text, TRUE);
	return array;
}

/* What the text of `check` says. */
static json_t *check_json(const struct kernel *k)
{
	g_autofree char *build = kernel_version(k);
	struct layout *l = k->layout;
	bool exact = l && l->source != LAYOUT_FAMILY && l->source != LAYOUT_DERIVED, small = !l && k->image->triage;
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:b, s:b}", "os_build", text_or_null(build), "os_build_lab", text_or_null(k->build_lab), "pdb_name",
			      text_or_null(k->pdb_name), "guid_age", text_or_null(k->guid_age), "covered", l || small, "exact", exact);

	if (k->unread_symbols)
		json_object_set_new(o, "unread", text_or_null(k->unread_symbols));
	if (small)
		json_object_set_new(o, "source", json_string("small dump"));
	if (!l)
		return o;
	AUTO(layout) base = !exact && l->base ? layout_family_named(l->base) : NULL;
	struct count count = { .missing = g_string_new(NULL), .base = base };
	struct symbols symbols = { .missing = g_string_new(NULL) };
	layout_visit_fields(l, count_field, &count);
	layout_visit_symbols(l, check_symbol, &symbols);
	json_object_set_new(o, "source", json_string(sources[l->source]));
	json_object_set_new(o, "origin", text_or_null(l->origin));
	json_object_set_new(o, "version", text_or_null(l->version));
	json_object_set_new(o, "fields", json_integer(count.all));
	json_object_set_new(o, "fields_derived", json_integer(count.derived));
	json_object_set_new(o, "fields_weak", json_integer(count.weak));
	json_object_set_new(o, "fields_missing", json_integer(count.missed));
	json_object_set_new(o, "fields_missing_first", parts(count.missing, ", "));
	g_autoptr(GString) told = g_string_new(NULL);
	GString *missed = g_string_new(NULL);
	tell_subjects(l, base, told, missed);
	json_object_set_new(o, "missing", parts(missed, ", "));
	json_object_set_new(o, "globals", json_integer(symbols.known));
	json_object_set_new(o, "not_done_for_want_of_globals", parts(symbols.missing, "; "));
	return o;
}

static int with_dump(int argc, char **argv, bool write)
{
	g_auto(GStrv) directories = NULL;
	gboolean json = FALSE;
	g_autoptr(GError) error = NULL;
	gboolean no_sandbox = FALSE, plain = FALSE;
	const GOptionEntry entries[] = {
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &directories, "folder of symbol files or PDBs", "DIR" },
		{ "json", 0, write ? G_OPTION_FLAG_HIDDEN : 0, G_OPTION_ARG_NONE, &json, "as JSON", NULL },
		{ "raw", 0, 0, G_OPTION_ARG_NONE, &plain, "the file is plain memory, whatever it begins with", NULL },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "keep all the user's rights while reading the dump", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("DUMP");

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
		g_printerr("memsieve symbols: %s\n", error ? error->message : "one dump is needed");
		return OUTCOME_USAGE;
	}
	struct sandbox_files files = { argv + 1, NULL, { directories }, NULL, NULL };
	if (!no_sandbox)
		(void)sandbox_confine(&files, false);
	AUTO(image) image = image_open(argv[1], plain, &error);
	struct layout_options options = { (const char *const *)directories, NULL };
	AUTO(kernel) k = image ? kernel_find(image, &options, &error) : NULL;
	if (!k) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	if (k->unread_symbols && !json)
		g_printerr("memsieve: %s\n", k->unread_symbols);
	if (write) {
		if (k->layout)	/* structures alone would be written of a family */
			k->layout->source = LAYOUT_DERIVED;
		g_autofree char *text = k->layout ? layout_write_text(k->layout) : NULL;
		if (text)
			g_print("%s", text);
		return text ? OUTCOME_COMPLETE : OUTCOME_FAILED;
	}
	enum outcome outcome = k->layout ? k->layout->source == LAYOUT_DERIVED ? OUTCOME_PARTIAL : OUTCOME_COMPLETE : image->triage ? OUTCOME_COMPLETE : OUTCOME_FAILED;
	if (json)
		return command_print_json(check_json(k), outcome);
	g_autofree char *version = kernel_version(k);
	g_print("kernel       %s%s%s\n", version ? version : "of an unknown build", k->build_lab ? ", " : "", k->build_lab ? k->build_lab : "");
	if (!k->layout && image->triage) {
		g_print("covered      a small dump says by itself where the few things are that it holds: no symbol file would add to them\n");
		return outcome;
	}
	if (k->layout)
		report(k);
	else
		report_uncovered();
	if (!k->layout || k->layout->source == LAYOUT_FAMILY || k->layout->source == LAYOUT_DERIVED) {
		const char *name = k->pdb_name ? k->pdb_name : "ntkrnlmp.pdb";

		if (k->guid_age)
			g_print("exact with   %s, GUID %.32s, age %s\n"
			       "             on a symbol server: %s/%s/%s; then `memsieve symbols import %s`\n",
			       name, k->guid_age, k->guid_age + 32, name, k->guid_age, name, name);
		else
			g_print("exact with   the kernel's PDB; its GUID is not in the dump (the debug directory is not readable)\n");
	}
	return outcome;
}

static int run(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "list"))
		return list(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "import"))
		return import(argc - 1, argv + 1);
	if (argc >= 2 && (!strcmp(argv[1], "check") || !strcmp(argv[1], "show")))
		return with_dump(argc - 1, argv + 1, !strcmp(argv[1], "show"));
	fputs("memsieve symbols check DUMP       will this dump be covered, how, and what would make it exact (--json)\n"
	      "memsieve symbols show DUMP        the layout that is used for it, as text\n"
	      "memsieve symbols list [--all]     the kernels that are built in and imported\n"
	      "memsieve symbols import FILE...   Volatility-3 symbol files or PDBs, for use from now on\n",
	      argc >= 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
	return argc >= 2 && !strcmp(argv[1], "--help") ? OUTCOME_COMPLETE : OUTCOME_USAGE;
}

const struct command command_symbols = {
	.name = "symbols",
	.usage = "symbols check|show|list|import …",
	.doc = "kernels that are known, and how a dump is covered",
	.run = run,
	.prints = true,
};
