/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <yara.h>
#include "rules.h"

/* What is told of a rule with each of its matches; made once. */
struct rule_facts {
	char *tags, *meta;
};

struct scan_rules {
	YR_RULES *yr;
	struct rule_facts *facts;	/* by the rule's index */
};

struct rule_source {
	char *name, *ns, *text;
	bool bad;
};

const char *scan_library_version(void)
{
	return YR_VERSION;
}

static bool library_ready(void)
{
	static gsize state;	/* 1: failed, 2: ready */

	if (g_once_init_enter(&state)) {
		/* We hold the memory that was scanned and take a match's bytes from there: libyara need
		 * not copy them, which bounds what hostile memory can make it allocate. */
		bool ok = yr_initialize() == ERROR_SUCCESS &&
			  yr_set_configuration_uint32(YR_CONFIG_MAX_MATCH_DATA, 0) == ERROR_SUCCESS;
		g_once_init_leave(&state, ok ? 2 : 1);
	}
	return state == 2;
}

/* ---- rules */

struct complaint {
	const char *file;
	char *text;	/* the first error */
};

static void on_complaint(int level, const char *file, int line, const YR_RULE *rule, const char *message, void *user)
{
	struct complaint *c = user;

	(void)file;
	(void)rule;
	if (level == YARA_ERROR_LEVEL_ERROR && !c->text)
		c->text = g_strdup_printf("%s:%d: %s", c->file, line, message);
}

static YR_COMPILER *new_compiler(struct complaint *complaint)
{
	YR_COMPILER *compiler = NULL;

	if (yr_compiler_create(&compiler) != ERROR_SUCCESS)
		return NULL;
	/* A rule file is one file: it can't make us read others. */
	yr_compiler_set_include_callback(compiler, NULL, NULL, NULL);
	yr_compiler_set_callback(compiler, on_complaint, complaint);
	return compiler;
}

/* All sources that aren't bad into one set; NULL when any of them fails. */
static YR_RULES *compile(GPtrArray *sources, struct complaint *complaint)
{
	YR_COMPILER *compiler = new_compiler(complaint);
	YR_RULES *rules = NULL;
	bool ok = compiler != NULL;

	for (guint i = 0; ok && i < sources->len; i++) {
		const struct rule_source *s = g_ptr_array_index(sources, i);
		complaint->file = s->name;
		ok = s->bad || yr_compiler_add_string(compiler, s->text, s->ns) == 0;
	}
	if (ok && yr_compiler_get_rules(compiler, &rules) != ERROR_SUCCESS)
		rules = NULL;
	if (compiler)
		yr_compiler_destroy(compiler);
	return rules;
}

/* A compiler is of no use after an error: each file is tried in one of its own. */
static void sort_out(GPtrArray *sources, GPtrArray *problems)
{
	for (guint i = 0; i < sources->len; i++) {
		struct rule_source *s = g_ptr_array_index(sources, i);
		struct complaint complaint = { .file = s->name };
		YR_COMPILER *compiler = s->bad ? NULL : new_compiler(&complaint);
		if (!compiler)
			continue;
		s->bad = yr_compiler_add_string(compiler, s->text, s->ns) != 0;
		if (s->bad)
			g_ptr_array_add(problems, complaint.text ? g_strdup(complaint.text) :
					g_strdup_printf("%s: does not compile", s->name));
		g_free(complaint.text);
		yr_compiler_destroy(compiler);
	}
}

struct collecting {
	GPtrArray *sources, *problems;
	GHashTable *names;	/* namespaces taken */
};

static void add_source(void *user, const char *name, const char *text, gsize length)
{
	struct collecting *c = user;
	const char *after_colon = g_str_has_prefix(name, "builtin:") ? name + strlen("builtin:") : name;
	g_autofree char *base = g_path_get_basename(after_colon);
	char *dot = strrchr(base, '.');

	if (memchr(text, 0, length)) {
		g_ptr_array_add(c->problems, g_strdup_printf("%s: is no text", name));
		return;
	}
	if (dot && dot != base)
		*dot = 0;
	char *ns = g_strdup(base);
	for (unsigned n = 2; g_hash_table_contains(c->names, ns); n++) {
		g_free(ns);
		ns = g_strdup_printf("%s_%u", base, n);
	}
	g_hash_table_add(c->names, ns);
	struct rule_source *source = g_new0(struct rule_source, 1);
	source->name = g_strdup(name);
	source->ns = g_strdup(ns);
	source->text = g_strdup(g_str_has_prefix(text, "\xef\xbb\xbf") ? text + 3 : text);
	g_ptr_array_add(c->sources, source);
}

static void source_free(void *data)
{
	struct rule_source *s = data;

	g_free(s->name);
	g_free(s->ns);
	g_free(s->text);
	g_free(s);
}

static json_t *json_text(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

	return json_string(valid);
}

static char *json_finish(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT), *copy = g_strdup(text ? text : "null");

	free(text);
	json_decref(json);
	return copy;
}

static struct rule_facts facts_of(YR_RULE *rule)
{
	struct rule_facts facts;
	json_t *tags = json_array(), *meta = json_object();
	const char *tag;
	YR_META *m;

	yr_rule_tags_foreach(rule, tag)
		json_array_append_new(tags, json_text(tag));
	yr_rule_metas_foreach(rule, m) {
		json_t *value = m->type == META_TYPE_INTEGER ? json_integer(m->integer) :
				m->type == META_TYPE_BOOLEAN ? json_boolean(m->integer) : json_text(m->string);
		json_t *before = json_object_get(meta, m->identifier);
		if (!before) {
			json_object_set_new(meta, m->identifier, value);
		} else if (json_is_array(before)) {
			json_array_append_new(before, value);
		} else {	/* a name given again makes a list */
			json_t *list = json_array();
			json_array_append(list, before);
			json_array_append_new(list, value);
			json_object_set_new(meta, m->identifier, list);
		}
	}
	facts.tags = json_finish(tags);
	facts.meta = json_finish(meta);
	return facts;
}

struct scan_rules *scan_rules_create(const struct options *options, GPtrArray *problems, GError **error)
{
	g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(source_free);
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct collecting collecting = { sources, problems, names };
	struct complaint complaint = { NULL, NULL };

	if (!library_ready()) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "libyara can't be initialised");
		return NULL;
	}
	rule_files_each(options, ".yar", add_source, &collecting, problems);
	YR_RULES *yr = compile(sources, &complaint);
	if (!yr) {
		g_clear_pointer(&complaint.text, g_free);
		sort_out(sources, problems);
		yr = compile(sources, &complaint);
	}
	if (!yr) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "the YARA rules can't be compiled together: %s",
			    complaint.text ? complaint.text : "libyara does not say why");
		g_free(complaint.text);
		return NULL;
	}
	struct scan_rules *rules = g_new0(struct scan_rules, 1);
	rules->yr = yr;
	rules->facts = g_new0(struct rule_facts, yr->num_rules + 1);
	for (uint32_t i = 0; i < yr->num_rules; i++)
		rules->facts[i] = facts_of(&yr->rules_table[i]);
	g_free(complaint.text);
	return rules;
}

unsigned scan_rules_count(const struct scan_rules *rules)
{
	return rules->yr->num_rules;
}

void scan_rules_destroy(struct scan_rules *rules)
{
	if (!rules)
		return;
	for (uint32_t i = 0; i < rules->yr->num_rules; i++) {
		g_free(rules->facts[i].tags);
		g_free(rules->facts[i].meta);
	}
	g_free(rules->facts);
	yr_rules_destroy(rules->yr);
	g_free(rules);
}

/* ---- scanning */

/* Contiguous memory within the buffer. */
struct run {
	uint64_t address;
	size_t at, length;
	bool nonzero;
};

/* What is known of a rule in the region at hand. */
struct seen {
	bool matched, before, ever;	/* in the part that is scanned, in the one before, in any */
	uint32_t strings, most;		/* of it that were found in any part, and in one that has the most */
};

struct scanner {
	const struct scan_rules *rules;
	YR_SCANNER *yr;
	/* the region */
	uint64_t base;
	scan_match_fn each;
	void *user;
	enum fault fault;
	uint64_t told;		/* matches that end here or below were told with the part before, of rules that matched there */
	struct seen *seen;	/* by the rule's index; kept, as is `found`, of regions in parts alone */
	bool *found;		/* by the string's, in any part */
	bool in_parts;		/* the region is scanned in more than one */
	/* the part */
	uint8_t *buffer;
	size_t size, used;
	struct run runs[SCAN_PART_RUNS];
	unsigned n_runs;
	unsigned matches;
	/* the iterator */
	unsigned next;
	YR_MEMORY_BLOCK block;
};

static const uint8_t *block_data(YR_MEMORY_BLOCK *block)
{
	return block->context;
}

static YR_MEMORY_BLOCK *next_block(YR_MEMORY_BLOCK_ITERATOR *iterator)
{
	struct scanner *s = iterator->context;

	iterator->last_error = ERROR_SUCCESS;
	if (s->next >= s->n_runs)
		return NULL;
	const struct run *run = &s->runs[s->next++];
	s->block = (YR_MEMORY_BLOCK){
		.size = run->length, .base = run->address - s->base, .context = s->buffer + run->at, .fetch_data = block_data,
	};
	/* The parts of a string with a long jump wait here for their end. libyara 4.2 compares
	 * their offsets within blocks, so that one from the block before would seem to go on in this. */
	memset(s->yr->unconfirmed_matches, 0, s->rules->yr->num_strings * sizeof(*s->yr->unconfirmed_matches));
	return &s->block;
}

static YR_MEMORY_BLOCK *first_block(YR_MEMORY_BLOCK_ITERATOR *iterator)
{
	((struct scanner *)iterator->context)->next = 0;
	return next_block(iterator);
}

static uint64_t extent(YR_MEMORY_BLOCK_ITERATOR *iterator)
{
	const struct scanner *s = iterator->context;
	const struct run *last = &s->runs[s->n_runs - 1];

	return last->address + last->length - s->base;
}

static const struct run *run_at(const struct scanner *s, uint64_t address)
{
	unsigned low = 0, high = s->n_runs;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		if (address < s->runs[mid].address)
			high = mid;
		else if (address - s->runs[mid].address >= s->runs[mid].length)
			low = mid + 1;
		else
			return &s->runs[mid];
	}
	return NULL;
}

static void tell(struct scanner *s, struct scan_match *match)
{
	if (s->matches >= SCAN_PART_MATCHES) {
		s->fault = s->fault ? s->fault : FAULT_LIMIT;
		return;
	}
	s->matches++;
	s->each(s->user, match);
}

static struct seen *seen_of(const struct scanner *s, const YR_RULE *rule)
{
	return &s->seen[rule - s->rules->yr->rules_table];
}

/* Does it end in what the part before had, too? */
static bool in_overlap(const struct scanner *s, const YR_MATCH *m)
{
	return s->told && (uint64_t)m->base + (uint64_t)m->offset + (uint64_t)m->match_length <= s->told - s->base;
}

static void tell_rule(struct scanner *s, YR_RULE *rule)
{
	const struct rule_facts *facts = &s->rules->facts[rule - s->rules->yr->rules_table];
	const bool before = seen_of(s, rule)->before;
	struct scan_match match = { .rule = rule->identifier, .ns = rule->ns->name, .tags = facts->tags, .meta = facts->meta };
	bool any = false;
	YR_STRING *string;
	YR_MATCH *m;

	yr_rule_strings_foreach(rule, string) {
		unsigned n = 0;
		yr_string_matches_foreach(s->yr, string, m) {
			uint64_t address = s->base + (uint64_t)m->base + (uint64_t)m->offset;
			const struct run *run = run_at(s, address);
			any = true;
			if (!run || m->match_length < 0 || (before && in_overlap(s, m)))
				continue;
			if (n++ >= SCAN_STRING_MATCHES) {
				s->fault = s->fault ? s->fault : FAULT_LIMIT;
				break;
			}
			match.identifier = string->identifier;
			match.address = address;
			match.length = (uint64_t)m->match_length;
			match.data = s->buffer + run->at + (address - run->address);
			match.data_length = MIN(MIN(match.length, SCAN_DATA_MAX), run->length - (address - run->address));
			tell(s, &match);
		}
	}
	if (any)
		return;
	match.identifier = "";
	match.address = s->runs[0].address;
	tell(s, &match);
}

/* Which of the strings of a rule that doesn't match the part has. */
static void look_for_strings(struct scanner *s, YR_RULE *rule)
{
	struct seen *seen = seen_of(s, rule);
	uint32_t here = 0;
	YR_STRING *string;

	yr_rule_strings_foreach(rule, string) {
		if (!s->yr->matches[string->idx].head)
			continue;
		here++;
		seen->strings += !s->found[string->idx];
		s->found[string->idx] = true;
	}
	seen->most = MAX(seen->most, here);
}

static int on_message(YR_SCAN_CONTEXT *context, int message, void *data, void *user)
{
	struct scanner *s = user;

	(void)context;
	if (message == CALLBACK_MSG_RULE_MATCHING) {
		if (s->in_parts)
			seen_of(s, data)->matched = seen_of(s, data)->ever = true;
		tell_rule(s, data);
	} else if (message == CALLBACK_MSG_RULE_NOT_MATCHING) {
		look_for_strings(s, data);
	} else if (message == CALLBACK_MSG_TOO_MANY_MATCHES) {
		s->fault = s->fault ? s->fault : FAULT_LIMIT;
	}
	return CALLBACK_CONTINUE;
}

static void drop_zero_run(struct scanner *s)
{
	if (s->n_runs && !s->runs[s->n_runs - 1].nonzero)
		s->used = s->runs[--s->n_runs].at;
}

/* Scan what is held. */
static void scan_part(struct scanner *s)
{
	drop_zero_run(s);
	if (!s->n_runs)
		return;
	YR_MEMORY_BLOCK_ITERATOR iterator = { .context = s, .first = first_block, .next = next_block, .file_size = extent };
	s->matches = 0;
	s->yr->entry_point = YR_UNDEFINED;	/* else that of the scan before stays */
	/* The buffer is ours: no need of libyara's signal handlers, which are the whole process's. */
	yr_scanner_set_flags(s->yr, SCAN_FLAGS_REPORT_RULES_MATCHING | SCAN_FLAGS_NO_TRYCATCH | (s->in_parts ? SCAN_FLAGS_REPORT_RULES_NOT_MATCHING : 0));
	int result = yr_scanner_scan_mem_blocks(s->yr, &iterator);
	if (result != ERROR_SUCCESS)
		s->fault = result == ERROR_SCAN_TIMEOUT ? FAULT_TIMEOUT : s->fault ? s->fault : FAULT_LIMIT;
}

/* Make room by scanning; where memory goes on, the end of the last run is kept as the start of the next part. */
static void next_part(struct scanner *s, bool goes_on)
{
	struct run last = s->n_runs ? s->runs[s->n_runs - 1] : (struct run){ .length = 0 };

	s->in_parts = true;
	scan_part(s);
	for (uint32_t i = 0; i < s->rules->yr->num_rules; i++) {
		s->seen[i].before = s->seen[i].matched;
		s->seen[i].matched = false;
	}
	s->n_runs = 0;
	s->used = 0;
	if (!goes_on || !last.nonzero)
		return;
	size_t keep = MIN(last.length, SCAN_OVERLAP);
	memmove(s->buffer, s->buffer + last.at + last.length - keep, keep);
	s->told = last.address + last.length;
	s->runs[s->n_runs++] = (struct run){ s->told - keep, 0, keep, true };
	s->used = keep;
}

struct scanner *scanner_create(const struct scan_rules *rules)
{
	YR_SCANNER *yr = NULL;

	if (yr_scanner_create(rules->yr, &yr) != ERROR_SUCCESS)
		return NULL;
	struct scanner *s = g_new0(struct scanner, 1);
	s->rules = rules;
	s->yr = yr;
	s->seen = g_new0(struct seen, rules->yr->num_rules + 1);
	s->found = g_new0(bool, rules->yr->num_strings + 1);
	yr_scanner_set_callback(yr, on_message, s);
	yr_scanner_set_timeout(yr, SCAN_TIMEOUT);
	return s;
}

void scanner_destroy(struct scanner *s)
{
	if (!s)
		return;
	yr_scanner_destroy(s->yr);
	g_free(s->seen);
	g_free(s->found);
	g_free(s->buffer);
	g_free(s);
}

void scanner_begin(struct scanner *s, uint64_t base, scan_match_fn each, void *user)
{
	s->base = base;
	s->each = each;
	s->user = user;
	s->fault = FAULT_NONE;
	s->told = 0;
	if (s->in_parts) {	/* seldom: of thousands of rules it is no little */
		memset(s->seen, 0, s->rules->yr->num_rules * sizeof(*s->seen));
		memset(s->found, 0, s->rules->yr->num_strings * sizeof(*s->found));
	}
	s->in_parts = false;
	s->n_runs = 0;
	s->used = 0;
}

static bool reserve(struct scanner *s, size_t needed)
{
	if (needed <= s->size)
		return true;
	size_t size = MIN(MAX(MAX(s->size * 2, 256u << 10), needed), SCAN_PART);
	uint8_t *buffer = g_try_realloc(s->buffer, size);
	if (!buffer)
		return false;
	s->buffer = buffer;
	s->size = size;
	return true;
}

void scanner_add(struct scanner *s, uint64_t address, const void *data, size_t length)
{
	const uint8_t *from = data;

	while (length) {
		struct run *last = s->n_runs ? &s->runs[s->n_runs - 1] : NULL;
		bool goes_on = last && last->address + last->length == address;
		if (!goes_on) {
			drop_zero_run(s);
			if (s->n_runs == SCAN_PART_RUNS)
				next_part(s, false);
		}
		if (s->used >= SCAN_PART) {
			next_part(s, goes_on);
			goes_on = s->n_runs;
		}
		size_t n = MIN(length, SCAN_PART - s->used);
		if (!reserve(s, s->used + n)) {
			s->fault = s->fault ? s->fault : FAULT_LIMIT;
			return;
		}
		if (!goes_on)
			s->runs[s->n_runs++] = (struct run){ address, s->used, 0, false };
		last = &s->runs[s->n_runs - 1];
		memcpy(s->buffer + s->used, from, n);
		last->nonzero = last->nonzero || !bytes_are_zero(from, n);
		last->length += n;
		s->used += n;
		from += n;
		address += n;
		length -= n;
	}
}

enum fault scanner_end(struct scanner *s)
{
	scan_part(s);
	s->n_runs = 0;
	s->used = 0;
	return s->fault;
}

const char *scanner_undecided(const struct scanner *s)
{
	/* Strings that no part has together: where all of them were in one, the rule was asked there. */
	for (uint32_t i = 0; s->in_parts && i < s->rules->yr->num_rules; i++)
		if (!s->seen[i].ever && s->seen[i].strings > s->seen[i].most)
			return s->rules->yr->rules_table[i].identifier;
	return NULL;
}

enum fault scanner_scan(struct scanner *s, uint64_t address, const void *data, size_t length,
			scan_match_fn each, void *user)
{
	scanner_begin(s, address, each, user);
	scanner_add(s, address, data, length);
	return scanner_end(s);
}
