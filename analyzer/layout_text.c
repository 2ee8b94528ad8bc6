/* SPDX-License-Identifier: Apache-2.0 */
#include "layout_text.h"
#include <string.h>
#include "error.h"

#define LINE_LENGTH_MAX 255
#define WORDS_MAX 9

struct parser {
	const char *wanted;
	struct layout *layout;
	struct layout *sink;	/* takes the symbols of the kernels not asked for */
	struct layout *kernel;	/* layout or sink: whose symbols follow; NULL before the first kernel */
	char *family;
	bool chosen;		/* layout has met its kernel */
};

/* Writing ------------------------------------------------------------------ */

static void write_size(void *user, const char *type, uint32_t *size)
{
	if (*size)
		g_string_append_printf(user, "%s 0x%x\n", type, *size);
}

static void write_field(void *user, const char *type, const char *member, struct field *field)
{
	if (!field->size)
		return;
	g_string_append_printf(user, "%s.%s 0x%x %u", type, member, field->offset, field->size);
	if (field->bits)
		g_string_append_printf(user, " bits %u %u", field->bit, field->bits);
	if (field->derived)
		g_string_append_printf(user, " derived %u", field->derived);
	g_string_append_c(user, '\n');
}

static void write_symbol(void *user, const char *name, uint64_t *rva)
{
	if (*rva)
		g_string_append_printf(user, " %s 0x%" G_GINT64_MODIFIER "x\n", name, *rva);
}

void layout_text_write_structures(GString *out, const struct layout *layout)
{
	struct layout copy = *layout;	/* the visits could change it */

	g_string_append_printf(out, "pointer %u\n", copy.pointer_size);
	layout_visit_sizes(&copy, write_size, out);
	layout_visit_fields(&copy, write_field, out);
}

void layout_text_write_kernel(GString *out, const struct layout *layout)
{
	struct layout copy = *layout;

	g_string_append_printf(out, "kernel %s %s\n", copy.guid_age ? copy.guid_age : "-",
			       copy.version ? copy.version : "-");
	layout_visit_symbols(&copy, write_symbol, out);
}

char *layout_write_text(const struct layout *layout)
{
	GString *out = g_string_new(NULL);

	if (layout->source == LAYOUT_FAMILY && layout->origin)
		g_string_append_printf(out, "family %s\n", layout->origin);
	layout_text_write_structures(out, layout);
	if (layout->source != LAYOUT_FAMILY)
		layout_text_write_kernel(out, layout);
	return g_string_free(out, FALSE);
}

/* Parsing ------------------------------------------------------------------ */

static bool number(const char *word, uint64_t max, uint64_t *out)
{
	unsigned base = g_str_has_prefix(word, "0x") ? 16 : 10;
	guint64 value;

	if (!g_ascii_string_to_unsigned(base == 16 ? word + 2 : word, base, 0, max, &value, NULL))
		return false;
	*out = value;
	return true;
}

static bool only(const char *word, const char *characters)
{
	return *word && !word[strspn(word, characters)];
}

static const char *parse_family(struct parser *p, char *const *words, unsigned count)
{
	if (count != 2 || p->family)
		return "one family and its name expected";
	p->family = g_strdup(words[1]);
	return NULL;
}

static const char *parse_pointer(struct parser *p, char *const *words, unsigned count)
{
	uint64_t size;

	if (count != 2 || p->layout->pointer_size || !number(words[1], 8, &size) || (size != 4 && size != 8))
		return "one pointer size, 4 or 8, expected";
	p->layout->pointer_size = (unsigned)size;
	return NULL;
}

static const char *parse_kernel(struct parser *p, char *const *words, unsigned count)
{
	bool known;

	if (count != 3)
		return "GUID with age and a version expected";
	known = strcmp(words[1], "-");
	if (known && (!only(words[1], "0123456789ABCDEF") || strlen(words[1]) < 33 || strlen(words[1]) > 40))
		return "not 32 upper-case hex digits and an age";
	if (strcmp(words[2], "-") && !only(words[2], "0123456789."))
		return "not a version";
	if (p->chosen || (p->wanted && strcmp(p->wanted, words[1]))) {
		p->kernel = p->sink;
		return NULL;
	}
	p->chosen = true;
	p->kernel = p->layout;
	p->layout->guid_age = known ? g_strdup(words[1]) : NULL;
	p->layout->version = strcmp(words[2], "-") ? g_strdup(words[2]) : NULL;
	return NULL;
}

static const char *parse_symbol(struct parser *p, char *const *words, unsigned count)
{
	uint64_t rva;

	if (!p->kernel)
		return "a symbol before the first kernel";
	if (count != 2 || !number(words[1], G_MAXUINT64, &rva))
		return "symbol and its address expected";
	return layout_set_symbol(p->kernel, words[0], rva) ? NULL : "unknown symbol";
}

static const char *parse_field(struct parser *p, char *const *words, unsigned count)
{
	uint64_t offset, size, bit = 0, bits = 0, derived = 0;
	char *dot = strchr(words[0], '.');
	unsigned next = 3;
	struct field field;

	if (!dot || count < 3 || !number(words[1], 0xffff, &offset) || !number(words[2], 0xffff, &size) || !size)
		return "field, offset and size expected";
	if (count >= next + 3 && !strcmp(words[next], "bits")) {
		if (!number(words[next + 1], 63, &bit) || !number(words[next + 2], 64, &bits) || !bits || size > 8 ||
		    bit + bits > size * 8)
			return "impossible bits";
		next += 3;
	}
	if (count >= next + 2 && !strcmp(words[next], "derived")) {
		if (!number(words[next + 1], 100, &derived) || !derived)
			return "confidence of 1 to 100 expected";
		next += 2;
	}
	if (count != next)
		return "more than a field";
	*dot = 0;
	field = (struct field){ .offset = (uint16_t)offset, .size = (uint16_t)size, .bit = (uint8_t)bit,
				.bits = (uint8_t)bits, .derived = (uint8_t)derived };
	return layout_set_field(p->layout, words[0], dot + 1, field) ? NULL : "unknown field";
}

static const char *parse_size(struct parser *p, char *const *words, unsigned count)
{
	uint64_t size;

	if (count != 2 || !number(words[1], UINT32_MAX, &size) || !size)
		return "structure and size expected";
	return layout_set_size(p->layout, words[0], (uint32_t)size) ? NULL : "unknown structure";
}

/* One line, which is cut into words in place. Returns what is wrong with it, or NULL. */
static const char *parse_line(struct parser *p, char *line)
{
	bool indented = *line == ' ';
	char *words[WORDS_MAX], *rest = line, *word;
	unsigned count = 0;

	if (*line == '#')
		return NULL;
	while ((word = strsep(&rest, " "))) {
		if (!*word)
			continue;
		if (count == WORDS_MAX)
			return "too many words";
		words[count++] = word;
	}
	if (!count)
		return NULL;
	if (indented)
		return parse_symbol(p, words, count);
	if (!strcmp(words[0], "kernel"))
		return parse_kernel(p, words, count);
	if (p->kernel)
		return "structures belong before the first kernel";
	if (!strcmp(words[0], "family"))
		return parse_family(p, words, count);
	if (!strcmp(words[0], "pointer"))
		return parse_pointer(p, words, count);
	return strchr(words[0], '.') ? parse_field(p, words, count) : parse_size(p, words, count);
}

/* What is wrong with the text, NULL: nothing. *number is of the line it's wrong in, 0: none of them. */
static const char *parse(struct parser *p, const char *text, gsize length, unsigned *line_number)
{
	const char *end = text + length, *reason;
	char line[LINE_LENGTH_MAX + 1];

	for (*line_number = 1; text < end; ++*line_number) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text);

		if (n > LINE_LENGTH_MAX)
			return "line too long";
		if (memchr(text, 0, n))
			return "not text";
		memcpy(line, text, n);
		line[n] = 0;
		reason = parse_line(p, line);
		if (reason)
			return reason;
		text += n + (stop != NULL);
	}
	*line_number = 0;
	if (!p->layout->pointer_size)
		return "no pointer size";
	return p->wanted && *p->wanted && !p->chosen ? "no such kernel" : NULL;
}

struct layout *layout_text_parse(const char *text, gsize length, const char *name, const char *guid_age,
				 GError **error)
{
	AUTO(layout) layout = layout_create();
	AUTO(layout) sink = layout_create();
	struct parser p = { .wanted = guid_age, .layout = layout, .sink = sink };
	g_autofree char *where = NULL;
	const char *reason;
	unsigned line;

	reason = parse(&p, text, length, &line);
	if (reason) {
		where = line ? g_strdup_printf(" line %u", line) : g_strdup("");
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "layout %s%s: %s", name, where, reason);
		g_free(p.family);
		return NULL;
	}
	layout_finish(layout);
	layout->source = layout->guid_age ? LAYOUT_BUILTIN : LAYOUT_FAMILY;
	layout->origin = g_strdup(layout->guid_age ? layout->guid_age : p.family ? p.family : name);
	g_free(p.family);
	return g_steal_pointer(&layout);
}

struct layout *layout_parse_text(const char *text, gsize length, const char *name, GError **error)
{
	return layout_text_parse(text, length, name, NULL, error);
}
