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

const struct plugin **plugin_order(const struct plugin *const *in, size_t n, GError **error)
{
	g_autofree const struct plugin **out = g_new0(const struct plugin *, n + 1);
	g_autoptr(GHashTable) done = g_hash_table_new(g_direct_hash, g_direct_equal);

	if (!check_declarations(in, n, error))
		return NULL;
	for (size_t placed = 0; placed < n; ) {
		size_t before = placed;
		for (size_t i = 0; i < n; i++) {
			bool ready = !g_hash_table_contains(done, in[i]);
			for (const char *const *need = in[i]->needs; ready && *need; need++) {
				const struct plugin *o = owner(in, n, *need);
				if (!o && !is_core(*need)) {
					g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "plugin %s needs table %s, which nobody fills",
						    in[i]->name, *need);
					return NULL;
				}
				ready = !o || o == in[i] || g_hash_table_contains(done, o);
			}
			if (ready) {
				out[placed++] = in[i];
				g_hash_table_add(done, (void *)in[i]);
			}
		}
		if (placed == before) {
			for (size_t i = 0; i < n; i++)
				if (!g_hash_table_contains(done, in[i])) {
					g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN,
						    "plugin %s: its tables need each other in a circle", in[i]->name);
					break;
				}
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
