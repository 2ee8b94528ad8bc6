/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin.h"
#include <gmodule.h>
#include <string.h>
#include "core_tables.h"
#include "pipeline.h"

static bool is_core(const char *table)
{
	for (const struct table *const *t = core_tables; *t; t++)
		if (!strcmp((*t)->name, table))
			return true;
	return false;
}

static const struct plugin *owner(const struct plugin *const *in, size_t n, const char *table)
{
	for (size_t i = 0; i < n; i++)
		for (const struct table *const *f = in[i]->fills; *f; f++)
			if (!strcmp((*f)->name, table))
				return in[i];
	return NULL;
}

static bool check_declarations(const struct plugin *const *in, size_t n, GError **error)
{
	g_autoptr(GHashTable) owners = g_hash_table_new(g_str_hash, g_str_equal);

	for (size_t i = 0; i < n; i++) {
		if (!in[i]->run == !in[i]->run_process) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "plugin %s: gives not exactly one of run and run_process",
				    in[i]->name);
			return false;
		}
		for (const struct table *const *f = in[i]->fills; *f; f++) {
			const char *other = is_core((*f)->name) ? "the core" : g_hash_table_lookup(owners, (*f)->name);
			if (other) {
				g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "plugin %s: table %s is filled by %s already",
					    in[i]->name, (*f)->name, other);
				return false;
			}
			g_hash_table_insert(owners, (void *)(*f)->name, (void *)in[i]->name);
		}
	}
	return true;
}

static bool adds_to(const struct plugin *plugin, const char *table)
{
	for (const char *const *t = plugin->adds_to; *t; t++)
		if (!strcmp(*t, table))
			return true;
	return false;
}

/* A table is complete when its owner and all who add to it have run. */
static bool complete(const struct plugin *const *in, size_t n, GHashTable *done, const struct plugin *asking, const char *table)
{
	const struct plugin *o = owner(in, n, table);

	if (o && o != asking && !g_hash_table_contains(done, o))
		return false;
	for (size_t i = 0; i < n; i++)
		if (in[i] != asking && adds_to(in[i], table) && !g_hash_table_contains(done, in[i]))
			return false;
	return true;
}

static bool check_needs(const struct plugin *const *in, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++) {
		const char *unknown = NULL;
		for (const char *const *t = in[i]->needs; *t; t++)
			if (!owner(in, n, *t) && !is_core(*t))
				unknown = *t;
		for (const char *const *t = in[i]->adds_to; *t; t++)
			if (!owner(in, n, *t))
				unknown = *t;
		if (unknown) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "plugin %s needs table %s, which nobody fills", in[i]->name, unknown);
			return false;
		}
	}
	return true;
}

const struct plugin **plugin_order(const struct plugin *const *in, size_t n, GError **error)
{
	g_autofree const struct plugin **out = g_new0(const struct plugin *, n + 1);
	g_autoptr(GHashTable) done = g_hash_table_new(g_direct_hash, g_direct_equal);

	if (!check_declarations(in, n, error) || !check_needs(in, n, error))
		return NULL;
	for (size_t placed = 0; placed < n; ) {
		size_t before = placed;
		const struct plugin *waiting = NULL;
		for (size_t i = 0; i < n; i++) {
			bool ready = !g_hash_table_contains(done, in[i]);
			if (!ready)
				continue;
			for (const char *const *need = in[i]->needs; ready && *need; need++)
				ready = complete(in, n, done, in[i], *need);
			if (!ready) {
				waiting = in[i];
				continue;
			}
			out[placed++] = in[i];
			g_hash_table_add(done, (void *)in[i]);
		}
		if (placed == before) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "plugin %s: its tables need each other in a circle", waiting->name);
			return NULL;
		}
	}
	return g_steal_pointer(&out);
}

static const struct plugin *load(const char *file, GError **error)
{
	g_autofree char *path = g_canonicalize_filename(file, NULL);
	GModule *module = g_module_open(path, G_MODULE_BIND_LOCAL);
	void *abi = NULL, *symbol = NULL;

	if (!module || !g_module_symbol(module, "memsieve_plugin_abi", &abi) ||
	    !g_module_symbol(module, "memsieve_plugin", &symbol)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "%s: no memsieve plugin: %s", file, g_module_error());
		return NULL;
	}
	if (*(const unsigned *)abi != MEMSIEVE_PLUGIN_ABI) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "%s: made for plugin interface %u, this memsieve has %u",
			    file, *(const unsigned *)abi, MEMSIEVE_PLUGIN_ABI);
		return NULL;
	}
	g_module_make_resident(module);
	return *(const struct plugin *const *)symbol;
}

const struct plugin **plugin_load(char **files, GError **error)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	for (const struct plugin *const *p = plugins; *p; p++)
		g_ptr_array_add(all, (void *)*p);
	for (char **f = files; f && *f; f++) {
		const struct plugin *p = load(*f, error);
		if (!p)
			return NULL;
		g_ptr_array_add(all, (void *)p);
	}
	return plugin_order((const struct plugin *const *)all->pdata, all->len, error);
}
