/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is scanned is hostile: any bytes, in any pieces, under the rules that come with memsieve.
 * The first byte chooses: 's': the rest is an SQL rule file, whose header is read; else the rest is
 * memory, as pieces of (pages to skip, length in 16 bytes, data).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "rules.h"
#include "scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE UINT64_C(0xfffff80000000000)
#define MEMORY (1u << 20)

static uint8_t memory[MEMORY], there[MEMORY];	/* at BASE */

static void check(void *user, const struct scan_match *m)
{
	(void)user;
	if (!m->rule || !m->ns || !m->tags || !m->meta || !m->identifier || m->data_length > SCAN_DATA_MAX ||
	    m->data_length > m->length || (m->length && !m->data_length))
		__builtin_trap();
	/* A match is where it is said to be, and nowhere in a gap. */
	if (m->address < BASE || m->address - BASE >= MEMORY || m->length > MEMORY - (m->address - BASE))
		__builtin_trap();
	if (m->data_length && memcmp(m->data, memory + (m->address - BASE), m->data_length))
		__builtin_trap();
	if (m->length && memchr(there + (m->address - BASE), 0, m->length))
		__builtin_trap();
}

static void scan(const uint8_t *data, size_t size)
{
	static struct scanner *scanner;
	uint64_t at = 0;

	if (!scanner) {
		struct options options = { .output = NULL };
		g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
		struct scan_rules *rules = scan_rules_create(&options, problems, NULL);
		if (!rules || problems->len || !(scanner = scanner_create(rules)))
			abort();
	}
	memset(there, 0, sizeof(there));
	scanner_begin(scanner, BASE, check, NULL);
	while (size > 2) {
		uint64_t skip = (uint64_t)(data[0] & 7) * PAGE_SIZE;
		size_t length = MIN((size_t)(data[1] + 1) * 16, size - 2);
		data += 2;
		size -= 2;
		if (skip)
			at = (at & ~(uint64_t)PAGE_MASK) + PAGE_SIZE + skip;
		if (at >= MEMORY)
			break;
		size_t n = MIN(length, MEMORY - at);
		memcpy(memory + at, data, n);
		memset(there + at, 1, n);
		scanner_add(scanner, BASE + at, memory + at, n);
		at += n;
		data += length;
		size -= length;
	}
	enum fault fault = scanner_end(scanner);
	if (fault != FAULT_NONE && fault != FAULT_LIMIT)
		__builtin_trap();
}

static void read_sql_rule(const uint8_t *data, size_t size)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *path = g_strdup_printf("%s/fuzz_rules-%d.sql", g_get_tmp_dir(), (int)getpid());
	char *paths[] = { path, NULL };
	struct options options = { .rules = paths, .no_builtin_rules = TRUE };

	if (!g_file_set_contents(path, (const char *)data, (gssize)size, NULL))
		abort();
	g_autoptr(GPtrArray) rules = rules_load(&options, problems);
	g_unlink(path);
	/* It is a rule, or what is wrong with it is said. */
	if (rules->len + problems->len != 1)
		__builtin_trap();
	if (rules->len) {
		const struct sql_rule *rule = g_ptr_array_index(rules, 0);
		if (!rule->name || !rule->severity || !rule->title || !rule->sql || rule->confidence < 0 || rule->confidence > 100)
			__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] == 's')
		read_sql_rule(data + 1, size - 1);
	else
		scan(data + 1, size - 1);
	return 0;
}
