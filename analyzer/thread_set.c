/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_set.h"
#include <string.h>
#include "handles.h"

const struct sweep_pattern *const thread_set_sweeps[] = { &pool_thread, NULL };

void thread_set_destroy(void *data)
{
	struct thread_set *s = data;

	if (s->cid)
		g_array_unref(s->cid);
	g_hash_table_destroy(s->in_pool);
	if (s->in_handles)
		g_hash_table_destroy(s->in_handles);
	g_hash_table_destroy(s->by_process);
	g_free(s);
}

static void array_free(void *data)
{
	g_array_unref(data);
}

static void belongs(struct thread_set *s, uint64_t owner, uint64_t thread)
{
	GArray *own = g_hash_table_lookup(s->by_process, &owner);

	if (!own) {
		own = g_array_new(FALSE, FALSE, sizeof(uint64_t));
		g_hash_table_insert(s->by_process, g_memdup2(&owner, sizeof(owner)), own);
	}
	g_array_append_val(own, thread);
}

/* A thread's object where only a handle says that there is one? */
static bool plausible(struct context *c, const struct object *thread, uint64_t *owner)
{
	struct object cid = MEMBER(*thread, ethread.Cid);
	uint64_t tid;

	return !read_thread_process(thread, owner) && space_is_kernel(c->space, (va_t){ *owner }) &&
	       !READ(cid, client_id.UniqueThread, &tid) && tid && !(tid & 3) && tid <= UINT32_MAX;
}

static void find_by_handles(struct context *c, struct thread_set *s)
{
	AUTO(object_types) types = object_types_load(c->kernel, c->space);
	g_autofree struct handle_walk *walk = g_new(struct handle_walk, 1);
	g_autoptr(GHashTable) walked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	struct field body = c->space->layout->object_header.Body;

	s->handles_whole = object_types_have(types, "Thread");
	for (guint i = 0; i < c->processes->len && body.size && types->count && !context_cancelled(c); i++) {
		struct object proc = object_at(c->space, ((struct process *)g_ptr_array_index(c->processes, i))->eprocess.v);
		struct handle_entry entry;
		uint64_t table = 0, owner = 0;
		memset(walk, 0, sizeof(*walk));
		bool unread = READ(proc, eprocess.ObjectTable, &table);
		if (!unread && (!table || !g_hash_table_add(walked, g_memdup2(&table, sizeof(table)))))
			continue;
		if (unread || handle_walk_init(walk, c->space, (va_t){ table })) {
			s->handles_whole = false;
			continue;
		}
		if (!s->in_handles)
			s->in_handles = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
		while (handle_walk_next(walk, &entry) && !context_cancelled(c)) {
			struct object thread = object_at(c->space, entry.object.v + body.offset);
			if (object_is(types, c->space, thread.va, "Thread") && plausible(c, &thread, &owner) &&
			    g_hash_table_add(s->in_handles, g_memdup2(&thread.va.v, sizeof(uint64_t))))
				belongs(s, owner, thread.va.v);
		}
		s->handles_whole &= !walk->fault;
		handle_walk_deinit(walk);	/* what it could not read the plugin `handles` says */
	}
}

struct thread_set *thread_set_find(struct context *c, const char *table)
{
	struct thread_set *s = g_new0(struct thread_set, 1);

	s->cid = cid_load(c, table, &s->cid_whole);
	s->in_pool = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	s->by_process = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, array_free);
	for (guint i = 0; s->cid && i < s->cid->len; i++) {
		const struct cid_entry *e = &g_array_index(s->cid, struct cid_entry, i);
		struct object thread = object_at(c->space, e->object.v);
		uint64_t owner;
		if (e->kind == CID_THREAD && !read_thread_process(&thread, &owner))
			belongs(s, owner, thread.va.v);
	}
	g_autoptr(GArray) pool = thread_candidates(c);
	for (guint i = 0; i < pool->len; i++) {
		const struct thread_candidate *t = &g_array_index(pool, struct thread_candidate, i);
		if (t->state == POOL_REMNANT || !t->object.va.v)
			continue;
		g_hash_table_add(s->in_pool, g_memdup2(&t->object.va.v, sizeof(uint64_t)));
		belongs(s, t->process.v, t->object.va.v);
	}
	find_by_handles(c, s);
	return s;
}
