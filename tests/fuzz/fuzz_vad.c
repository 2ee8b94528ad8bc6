/* SPDX-License-Identifier: Apache-2.0 */
/* Windows structures of any content: VAD trees, handle tables, lists, tokens, objects and their names, by a real kernel's layout. */
#include "fuzz_memory.h"
#include "cid.h"
#include "handles.h"
#include "kobject.h"
#include "limit.h"
#include "rows.h"
#include "token.h"
#include "vad_tree.h"
#include "walk.h"

static void take_any(void *user, const char *guid_age, const char *version, const char *family)
{
	struct { unsigned wanted, at; char *guid; } *choice = user;

	(void)version, (void)family;
	if (choice->at++ == choice->wanted)
		choice->guid = g_strdup(guid_age);
}

/* The layouts are many and never change: made once. */
static struct layout *layout_number(unsigned n)
{
	static struct layout *made[8];

	if (!made[n % 8]) {
		struct { unsigned wanted, at; char *guid; } choice = { n % 8 * 3, 0, NULL };
		layout_builtin_each(take_any, &choice);
		made[n % 8] = choice.guid ? layout_builtin(choice.guid) : NULL;
		g_free(choice.guid);
	}
	return made[n % 8] ? made[n % 8] : made[0];
}

static void objects(const struct kernel *kernel, struct space *space, va_t at)
{
	static const char *const types[] = { "File", "Key", "Process", "Thread", "Section", "Mutant", "Driver" };
	AUTO(object_types) names = object_types_load(kernel, space);

	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
		g_autofree char *text = NULL;
		if (!object_describe(space, at, types[i], &text))
			fuzz_text(text);
	}
	enum fault fault;
	fuzz_text(object_type_of(names, space, at, &fault));
	g_autofree char *directory = NULL, *key = NULL, *name = NULL, *sid = NULL;
	if (!object_directory(space, at, &directory))
		fuzz_text(directory);
	if (!read_key_path(space, at, &key))
		fuzz_text(key);
	if (!read_image_file_name(space, at, &name))
		fuzz_text(name);
	if (!read_sid(space, at, &sid))
		fuzz_text(sid);
	g_array_unref(object_directory_list(space, at, NULL));
	struct token_info token;
	token_read(space, at, &token);
	token_info_clear(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t memory[FUZZ_SIZE];
	struct fuzz_input in = { data, size };
	unsigned which = fuzz_take(&in, 1);
	struct image image;
	struct file file;
	struct layout *layout = layout_number(which);

	if (!layout)
		return 0;
	memset(memory, 0, sizeof(memory));
	fuzz_fill(memory, &in);
	fuzz_image(&image, &file, memory, true);
	limit_values[LIMIT_vad_nodes] = limit_values[LIMIT_list_entries] = 512;
	limit_values[LIMIT_handle_entries] = 65536;
	struct space *space = space_create(&image, layout, PAGING_NONE, (pa_t){ 0 });
	/* Globals lie in the first pages. */
	struct kernel kernel = { .image = &image, .paging = PAGING_NONE, .layout = layout_copy(layout), .space = space, .base = { FUZZ_BASE } };
	kernel.layout->symbol.ObTypeIndexTable = 0x1000;
	kernel.layout->symbol.PspCidTable = 0x2000;
	kernel.layout->symbol.ObHeaderCookie = 0x2010;
	space->layout = kernel.layout;
	struct process *process = process_create();
	process->eprocess.v = FUZZ_BASE;
	struct rows *rows = rows_create();
	struct context context = { .image = &image, .kernel = &kernel, .space = space, .process = process, .rows = rows };

	vad_tree_read(&context, process, NULL, NULL);
	for (guint i = 0; i < process->vads.vads->len; i++) {
		const struct vad *vad = &g_array_index(process->vads.vads, struct vad, i);
		if (vad->end.v < vad->start.v || (i && vad[-1].start.v > vad->start.v))
			g_error("a VAD that ends before it starts, or out of order");
		fuzz_text(vad->file_path);
		(void)vad_find(&process->vads, vad->start);
	}
	struct object head = object_at(space, FUZZ_BASE + 0x3000), entry;
	unsigned n = 0;
	WALK_LIST(&context, "processes", entry, head, eprocess.ActiveProcessLinks)
		if (++n > 1024)
			g_error("a list without end");
	struct handle_walk *walk = g_new0(struct handle_walk, 1);
	struct handle_entry handle;
	uint64_t handles = 0;
	if (!handle_walk_init(walk, space, (va_t){ FUZZ_BASE + 0x4000 }))
		while (handle_walk_next(walk, &handle))
			if (++handles > 65536)
				g_error("handles without end");
	handle_walk_deinit(walk);
	g_free(walk);
	bool whole;
	GArray *cid = cid_load(&context, "processes", &whole);
	if (cid)
		g_array_unref(cid);
	for (unsigned i = 0; i < 8; i++)
		objects(&kernel, space, (va_t){ FUZZ_BASE + 0x5000 + i * 0x800 });
	rows_destroy(rows);
	process_destroy(process);
	layout_destroy(kernel.layout);
	space_destroy(space);
	fuzz_image_clear(&image);
	return 0;
}
