/* SPDX-License-Identifier: Apache-2.0 */
#include "session_spaces.h"
#include "limit.h"

struct session_spaces {
	const struct context *context;
	struct space *spaces[FIXED_session_processes];
	unsigned n;
	bool made;
};

struct session_spaces *session_spaces_create(const struct context *c)
{
	struct session_spaces *s = g_new0(struct session_spaces, 1);

	s->context = c;
	return s;
}

void session_spaces_destroy(struct session_spaces *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		space_destroy(s->spaces[i]);
	g_free(s);
}

static void make(struct session_spaces *s)
{
	const struct context *c = s->context;

	for (guint i = 0; c->processes && i < c->processes->len && s->n < G_N_ELEMENTS(s->spaces); i++) {
		const struct process *process = g_ptr_array_index(c->processes, i);
		if (!process->exited && process->user_readable && process->peb.v)
			s->spaces[s->n++] = process_space(process, c->kernel, c->space);
	}
	s->made = true;
}

struct space *session_spaces_find(struct session_spaces *s, va_t base)
{
	struct space *kernel = s->context->space;
	struct page page;

	if (!base.v || !space_is_kernel(kernel, base) || !space_page(kernel, base, &page))
		return kernel;
	if (!s->made)
		make(s);
	for (unsigned i = 0; i < s->n; i++)
		if (!space_page(s->spaces[i], base, &page) && page_resident(&page))
			return s->spaces[i];
	return kernel;
}
