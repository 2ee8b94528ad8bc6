/* SPDX-License-Identifier: Apache-2.0 */
#include "description.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keywords, and whether they belong to the process above them. */
static const struct { const char *kind; bool child; } kinds[] = {
	{ "machine", false }, { "kernel", false }, { "file", false }, { "driver", false }, { "unloaded", false },
	{ "callback", false }, { "crash", false }, { "process", false }, { "defect", false }, { "output", false },
	{ "expect", false }, { "insert", false }, { "remove", false }, { "swap", false }, { "timer", false },
	{ "descriptors", false }, { "interrupt", false }, { "etw", false }, { "minifilter", false }, { "pool", false }, { "remnant", false }, { "decoy", false },
	{ "vad", true }, { "image", true }, { "thread", true }, { "env", true }, { "handle", true }, { "apc", true },
};

static void item_destroy(void *data)
{
	struct item *item = data;

	for (guint i = 0; i < item->attributes->len; i++) {
		struct attribute *a = &g_array_index(item->attributes, struct attribute, i);
		g_free(a->key);
		g_free(a->value);
	}
	g_array_free(item->attributes, TRUE);
	g_ptr_array_free(item->children, TRUE);
	g_free(item->kind);
	g_free(item);
}

static struct item *item_create(const char *file, unsigned line)
{
	struct item *item = g_new0(struct item, 1);

	item->file = file;
	item->line = line;
	item->attributes = g_array_new(FALSE, TRUE, sizeof(struct attribute));
	item->children = g_ptr_array_new_with_free_func(item_destroy);
	return item;
}

/* The next word: blanks end it, quotes (either kind) keep blanks in and are dropped. NULL: none left, or
 * *open: a quote is not closed. */
static char *next_word(const char **at, bool *open)
{
	GString *word;
	char quote = 0;

	*at += strspn(*at, " \t\r");
	if (!**at || **at == '#')
		return NULL;
	word = g_string_new(NULL);
	for (; **at && (quote || !strchr(" \t\r", **at)); (*at)++) {
		if (quote ? **at == quote : **at == '"' || **at == '\'')
			quote = quote ? 0 : **at;
		else
			g_string_append_c(word, **at);
	}
	*open = quote != 0;
	return g_string_free(word, FALSE);
}

static bool parse_line(const char *line, struct item *item, const char **problem)
{
	bool open = false;
	char *word;

	while ((word = next_word(&line, &open))) {
		if (open) {
			g_free(word);
			*problem = "a quote is not closed";
			return false;
		}
		if (!item->kind) {
			item->kind = word;
			continue;
		}
		char *equals = strchr(word, '=');
		struct attribute a = { g_strndup(word, equals ? (gsize)(equals - word) : strlen(word)),
				       equals ? g_strdup(equals + 1) : NULL, false };
		g_free(word);
		g_array_append_val(item->attributes, a);
	}
	return true;
}

struct description *description_parse(const char *text, const char *name, GError **error)
{
	struct description *d = g_new0(struct description, 1);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	struct item *process = NULL;
	const char *problem = NULL;

	d->name = g_strdup(name);
	d->items = g_ptr_array_new_with_free_func(item_destroy);
	for (unsigned n = 0; lines[n]; n++) {
		struct item *item = item_create(d->name, n + 1);
		gsize i;
		if (!parse_line(lines[n], item, &problem) || !item->kind) {
			item_destroy(item);
			if (problem) {
				g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s:%u: %s", name, n + 1, problem);
				break;
			}
			continue;
		}
		for (i = 0; i < G_N_ELEMENTS(kinds) && strcmp(kinds[i].kind, item->kind); i++)
			;
		if (i == G_N_ELEMENTS(kinds) || (kinds[i].child && !process)) {
			g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s:%u: \"%s\" %s", name, n + 1, item->kind,
				    i == G_N_ELEMENTS(kinds) ? "is no keyword" : "belongs to a process, and there is none above it");
			problem = "";
			item_destroy(item);
			break;
		}
		g_ptr_array_add(kinds[i].child ? process->children : d->items, item);
		if (!strcmp(item->kind, "process"))
			process = item;
	}
	if (problem) {
		description_destroy(d);
		return NULL;
	}
	return d;
}

void description_destroy(struct description *d)
{
	if (!d)
		return;
	g_ptr_array_free(d->items, TRUE);
	g_free(d->name);
	g_free(d);
}

struct item *description_item(const struct description *d, const char *kind)
{
	for (guint i = 0; i < d->items->len; i++)
		if (item_is(d->items->pdata[i], kind))
			return d->items->pdata[i];
	return NULL;
}

struct item *description_next(const struct description *description, guint *i, const char *kind)
{
	while (*i < description->items->len) {
		struct item *item = description->items->pdata[(*i)++];
		if (item_is(item, kind))
			return item;
	}
	return NULL;
}

static void check_items(const GPtrArray *items)
{
	for (guint i = 0; i < items->len; i++) {
		const struct item *item = items->pdata[i];
		for (guint j = 0; j < item->attributes->len; j++) {
			const struct attribute *a = &g_array_index(item->attributes, struct attribute, j);
			if (!a->used)
				item_fail(item, "\"%s\" says nothing here: %s has no attribute %s", a->key, item->kind, a->key);
		}
		check_items(item->children);
	}
}

void description_check(const struct description *d)
{
	check_items(d->items);
}

void item_fail(const struct item *item, const char *format, ...)
{
	va_list arguments;

	if (item)
		fprintf(stderr, "%s:%u: ", item->file, item->line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

bool item_is(const struct item *item, const char *kind)
{
	return !strcmp(item->kind, kind);
}

static struct attribute *find(const struct item *item, const char *key)
{
	for (guint i = 0; item && i < item->attributes->len; i++) {
		struct attribute *a = &g_array_index(item->attributes, struct attribute, i);
		if (!strcmp(a->key, key))
			return a;
	}
	return NULL;
}

bool item_has(const struct item *item, const char *key)
{
	return find(item, key) != NULL;
}

bool item_flag(struct item *item, const char *key)
{
	struct attribute *a = find(item, key);

	if (a && a->value)
		item_fail(item, "%s takes no value", key);
	if (a)
		a->used = true;
	return a != NULL;
}

const char *item_text(struct item *item, const char *key, const char *otherwise)
{
	struct attribute *a = find(item, key);

	if (!a)
		return otherwise;
	if (!a->value)
		item_fail(item, "%s needs a value", key);
	a->used = true;
	return a->value;
}

const char *item_required(struct item *item, const char *key)
{
	const char *text = item_text(item, key, NULL);

	if (!text)
		item_fail(item, "%s: %s= is missing", item->kind, key);
	return text;
}

uint64_t item_number(struct item *item, const char *key, uint64_t otherwise)
{
	const char *text = item_text(item, key, NULL);
	char *end;

	if (!text)
		return otherwise;
	uint64_t value = g_ascii_strtoull(text, &end, 0);
	const char *unit = *end ? strchr("KMG", *end) : NULL;
	if (end == text || (*end && (!unit || end[1])))
		item_fail(item, "%s: \"%s\" is no number", key, text);
	return unit ? value << (*unit == 'K' ? 10 : *unit == 'M' ? 20 : 30) : value;
}

/* Days of the proleptic Gregorian calendar since 1601-01-01, where FILETIME begins. */
static uint64_t days_since_1601(unsigned year, unsigned month, unsigned day)
{
	static const uint16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	uint64_t y = year - 1601;
	bool leap = !(year % 4) && (year % 100 || !(year % 400));

	return y * 365 + y / 4 - y / 100 + y / 400 + before[month - 1] + (leap && month > 2) + day - 1;
}

uint64_t item_time(struct item *item, const char *key, uint64_t otherwise)
{
	const char *text = item_text(item, key, NULL);
	unsigned year, month, day, hour, minute, second, fraction = 0;
	char zone = 0;

	if (!text)
		return otherwise;
	if ((sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u%c", &year, &month, &day, &hour, &minute, &second, &zone) != 7 || zone != 'Z') &&
	    (sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%7u%c", &year, &month, &day, &hour, &minute, &second, &fraction, &zone) != 8 ||
	     zone != 'Z'))
		item_fail(item, "%s: \"%s\" is no time like 2024-03-01T09:15:27.0000000Z", key, text);
	if (year < 1601 || month < 1 || month > 12 || day < 1 || day > 31)
		item_fail(item, "%s: \"%s\" is no date", key, text);
	return ((days_since_1601(year, month, day) * 24 + hour) * 60 + minute) * 600000000u + second * UINT64_C(10000000) + fraction;
}
