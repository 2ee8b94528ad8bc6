/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API sets: names of DLLs that are none ("api-ms-win-core-file-l1-2-1"), and the DLLs that stand behind them. The
 * map is a section that every process has mapped, at PEB.ApiSetMap: _API_SET_NAMESPACE, _API_SET_NAMESPACE_ENTRY and
 * _API_SET_VALUE_ENTRY of ntdll's public symbols (version 6, since Windows 10), and their forms in Windows 7 (version 2)
 * and 8.1 (version 4) as the headers of System Informer (phnt/include/ntpebteb.h) give them.
 */
#include <string.h>
#include "bytes.h"
#include "images.h"

enum {
	MAP_MAX = 1 << 20,	/* bytes; Windows 11's has 0x1f000 */
	ENTRIES = 8192,		/* Windows 11 has 900 */
	VALUES = 16,		/* of one name; Windows has two */
	PROCESSES = 64,		/* asked for their map */
};

struct api_sets {
	GHashTable *hosts;	/* see key_of; lower-case name of a DLL */
};

/* The names of the sets, without extension and without the last of their version's numbers: "api-ms-win-core-file-l1-2". */
static char *set_name(const char *dll)
{
	size_t length = strlen(dll);
	const char *end = dll + length;

	if (length > 4 && !g_ascii_strcasecmp(end - 4, ".dll"))
		end -= 4;
	for (const char *p = end; p > dll; p--)
		if (p[-1] == '-') {
			end = p - 1;
			break;
		}
	return g_ascii_strdown(dll, end - dll);
}

/* importer NULL: whoever imports. */
static char *key_of(const char *set, const char *importer)
{
	g_autofree char *lower = importer ? g_ascii_strdown(importer, -1) : NULL;

	return g_strconcat(set, "|", lower, NULL);
}

bool is_api_set(const char *dll)
{
	return !g_ascii_strncasecmp(dll, "api-", 4) || !g_ascii_strncasecmp(dll, "ext-", 4);
}

const char *api_set_host(const struct api_sets *sets, const char *dll, const char *importer)
{
	g_autofree char *set = sets ? set_name(dll) : NULL;
	g_autofree char *own = set && importer ? key_of(set, importer) : NULL, *any = set ? key_of(set, NULL) : NULL;
	const char *host = own ? g_hash_table_lookup(sets->hosts, own) : NULL;

	return host || !any ? host : g_hash_table_lookup(sets->hosts, any);
}

/* ---- the map */

struct map { struct bytes b; unsigned version; };

static uint32_t u32(const struct map *m, uint64_t at)
{
	struct bytes b = m->b;

	return (uint32_t)bytes_at(&b, at, 4);
}

/* UTF-16 text of `length` bytes, in lower case; NULL: none. */
static char *text_at(const struct map *m, uint32_t at, uint32_t length)
{
	struct bytes b = m->b;

	if (!length || length > 512 || at > b.n || length > b.n - at)
		return NULL;
	g_autofree char *utf8 = g_utf16_to_utf8((const gunichar2 *)(const void *)(b.p + (at & ~1u)), length / 2, NULL, NULL, NULL);
	return utf8 ? g_ascii_strdown(utf8, -1) : NULL;
}

/* Forms of one version: sizes, and offsets of (offset, length) pairs. */
struct form {
	unsigned version, count, entries, entry_size, name, values, value_size, value_name, value;
	bool counted_apart;	/* the entry leads to a count (after flags in version 4) and values behind it, else it has both itself */
};

static const struct form forms[] = {
	{ 2, 4, 8, 12, 0, 8, 16, 0, 8, true },
	{ 4, 12, 16, 24, 4, 20, 20, 4, 12, true },
	{ 6, 12, 0, 24, 4, 16, 20, 4, 12, false },
};

static void add_entry(struct api_sets *sets, const struct map *m, const struct form *f, uint64_t entry)
{
	g_autofree char *name = text_at(m, u32(m, entry + f->name), u32(m, entry + f->name + 4));
	uint64_t values = u32(m, entry + f->values);
	uint32_t count;

	if (!name)
		return;
	if (f->counted_apart) {
		values += f->version == 4 ? 4 : 0;
		count = u32(m, values);
		values += 4;
	} else {
		count = u32(m, entry + f->values + 4);
	}
	/* Before version 6, names lack "api-" (but not "ext-"). */
	g_autofree char *full = is_api_set(name) ? g_strdup(name) : g_strconcat("api-", name, NULL);
	g_autofree char *set = set_name(full);
	for (uint32_t i = 0; i < MIN(count, VALUES); i++) {
		uint64_t at = values + (uint64_t)i * f->value_size;
		g_autofree char *importer = text_at(m, u32(m, at + f->value_name), u32(m, at + f->value_name + 4));
		char *host = text_at(m, u32(m, at + f->value), u32(m, at + f->value + 4));
		if (host)
			g_hash_table_insert(sets->hosts, key_of(set, importer), host);
	}
}

static struct api_sets *parse(const uint8_t *bytes, size_t length)
{
	struct map m = { { bytes, length, false }, 0 };
	const struct form *f = NULL;

	m.version = u32(&m, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(forms); i++)
		if (forms[i].version == m.version)
			f = &forms[i];
	if (!f)
		return NULL;
	uint64_t entries = f->entries ? f->entries : u32(&m, 16);
	struct api_sets *sets = g_new0(struct api_sets, 1);
	sets->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (uint32_t i = 0, n = u32(&m, f->count); i < MIN(n, ENTRIES) && entries + f->entry_size <= length; i++, entries += f->entry_size)
		add_entry(sets, &m, f, entries);
	if (g_hash_table_size(sets->hosts))
		return sets;
	api_sets_destroy(sets);
	return NULL;
}

static struct api_sets *map_of(const struct context *c, const struct process *process)
{
	const struct layout *l = c->kernel->layout;
	AUTO(space) space = process_space(process, c->kernel, c->space);
	uint64_t map = 0;

	if (!l->peb.ApiSetMap.size ||
	    space_read(space, (va_t){ process->peb.v + l->peb.ApiSetMap.offset }, &map, space_pointer_size(space), NULL) || !map)
		return NULL;
	const struct vad *vad = vad_find(&process->vads, (va_t){ map });
	if (!vad)
		return NULL;
	size_t length = (size_t)MIN(vad->end.v - map + 1, MAP_MAX);
	g_autofree uint8_t *bytes = g_malloc(length);
	return space_read_sparse(space, (va_t){ map }, bytes, length) ? parse(bytes, length) : NULL;
}

struct api_sets *api_sets_create(const struct context *c)
{
	struct api_sets *sets = NULL;
	unsigned asked = 0;

	for (guint i = 0; c->kernel->layout && i < c->processes->len && !sets && asked < PROCESSES; i++) {
		const struct process *process = g_ptr_array_index(c->processes, i);
		if (!process->user_readable || !process->peb.v)
			continue;
		asked++;
		sets = map_of(c, process);
	}
	return sets;
}

void api_sets_destroy(struct api_sets *sets)
{
	if (!sets)
		return;
	g_hash_table_destroy(sets->hosts);
	g_free(sets);
}
