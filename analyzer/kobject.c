/* SPDX-License-Identifier: Apache-2.0 */
#include "kobject.h"
#include <string.h>
#include "limit.h"
#include "text.h"

#define MAX_KEY_PATH 32767	/* MSDN, "Registry Element Size Limits" */
#define DIRECTORY_BUCKETS 37	/* _OBJECT_DIRECTORY.HashBuckets */

static void add_type(struct object_types *types, struct space *space, va_t at)
{
	struct object type = object_at(space, at.v), name = MEMBER(type, object_type.Name);
	unsigned i = types->count + 2;

	if (i >= OBJECT_TYPES || read_unicode_string(&name, 256, &types->name[i]))
		return;
	types->at[i] = at;
	types->count++;
}

/* Before Windows 7 no table has them: they are what the object manager's directory \ObjectTypes holds. */
static void load_directory(struct object_types *types, const struct kernel *kernel, struct space *space)
{
	va_t directory = object_lookup(kernel, space, (va_t){ 0 }, "ObjectTypes");
	g_autoptr(GArray) list = directory.v ? object_directory_list(space, directory, NULL) : NULL;

	types->by_address = true;
	for (guint i = 0; list && i < list->len; i++)
		add_type(types, space, (va_t){ g_array_index(list, uint64_t, i) });
}

struct object_types *object_types_load(const struct kernel *kernel, struct space *space)
{
	struct object_types *types = g_new0(struct object_types, 1);
	va_t table = kernel_symbol(kernel, ObTypeIndexTable);
	unsigned width = space_pointer_size(space);

	if (space->layout->object_header.Type.size && !space->layout->object_header.TypeIndex.size) {
		load_directory(types, kernel, space);
		return types;
	}
	types->cookie = kernel->object_header_cookie;
	types->obfuscated = kernel_symbol(kernel, ObHeaderCookie).v != 0;
	/* The first two slots are no types: zero and a poison. */
	for (unsigned i = 2; table.v && i < OBJECT_TYPES; i++) {
		uint64_t at = 0;
		uint8_t index = 0;
		if (read_pointer(space, (va_t){ table.v + i * width }, &at) || !at)
			break;
		struct object type = object_at(space, at), name = MEMBER(type, object_type.Name);
		/* The table's memory goes on past its end: a type knows its own index. */
		if (READ(type, object_type.Index, &index) || index != i)
			continue;
		if (read_unicode_string(&name, 256, &types->name[i]))
			continue;
		types->at[i] = type.va;
		types->count++;
	}
	return types;
}

bool object_types_have(const struct object_types *types, const char *type)
{
	for (unsigned i = 0; types->count && i < OBJECT_TYPES; i++)
		if (types->name[i] && !strcmp(types->name[i], type))
			return true;
	return false;
}

void object_types_destroy(struct object_types *types)
{
	if (!types)
		return;
	for (unsigned i = 0; i < OBJECT_TYPES; i++)
		g_free(types->name[i]);
	g_free(types);
}

struct object object_header_of(struct space *space, va_t body)
{
	const struct field field = space->layout->object_header.Body;

	return object_at(space, field.size && body.v > field.offset ? body.v - field.offset : 0);
}

/*
 * Since Windows 10 the byte is xored with the second byte of the header's address and
 * with ObHeaderCookie (nt!ObGetObjectType, as public write-ups describe it).
 */
uint8_t object_type_index(const struct object_types *types, va_t header, uint64_t raw)
{
	for (unsigned i = 2; types->by_address && i < types->count + 2; i++)
		if (types->at[i].v == raw)
			return (uint8_t)i;
	if (types->by_address)
		return 0;
	return types->obfuscated ? (uint8_t)(raw ^ types->cookie ^ (uint8_t)(header.v >> 8)) : (uint8_t)raw;
}

const char *object_type_of(const struct object_types *types, struct space *space, va_t body, enum fault *fault)
{
	struct object header = object_header_of(space, body);
	uint64_t raw = 0;
	enum fault f = types->by_address ? READ(header, object_header.Type, &raw) : READ(header, object_header.TypeIndex, &raw);
	const char *name = f ? NULL : types->name[object_type_index(types, header.va, raw)];

	if (fault)
		*fault = f ? f : name ? FAULT_NONE : types->count ? FAULT_IMPLAUSIBLE : FAULT_NO_FIELD;
	return name;
}

bool object_is(const struct object_types *types, struct space *space, va_t body, const char *type)
{
	const char *name = object_type_of(types, space, body, NULL);

	return name && !strcmp(name, type);
}

/* The component of a key's path that a _CM_KEY_CONTROL_BLOCK stands for. */
static enum fault key_component(const struct object *kcb, char **out)
{
	uint64_t block = 0;
	uint16_t length = 0;
	uint32_t compressed = 0;
	uint8_t text[512];
	enum fault fault = READ(*kcb, cm_key_control_block.NameBlock, &block);

	if (fault)
		return fault;
	struct object ncb = object_at(kcb->space, block);
	struct object name = MEMBER(ncb, cm_name_control_block.Name);
	if ((fault = READ(ncb, cm_name_control_block.NameLength, &length)) ||
	    (fault = READ(ncb, cm_name_control_block.Compressed, &compressed)))
		return fault;
	if (!length || length > sizeof(text))	/* a key's name has at most 255 characters */
		return FAULT_IMPLAUSIBLE;
	if ((fault = space_read(kcb->space, name.va, text, length, NULL)))
		return fault;
	*out = compressed ? g_convert((const char *)text, length, "UTF-8", "ISO-8859-1", NULL, NULL, NULL) :
		text_from_utf16(text, length, FALSE);
	return *out ? FAULT_NONE : FAULT_IMPLAUSIBLE;
}

enum fault read_key_path(struct space *space, va_t key_body, char **out)
{
	struct object body = object_at(space, key_body.v);
	g_autoptr(GString) path = g_string_new(NULL);
	uint64_t at = 0;
	enum fault fault = READ(body, cm_key_body.KeyControlBlock, &at);

	for (unsigned depth = 0; !fault && at; depth++) {
		struct object kcb = object_at(space, at);
		g_autofree char *component = NULL;
		if (depth >= limit(key_depth) || path->len > MAX_KEY_PATH)
			return FAULT_LIMIT;
		if ((fault = key_component(&kcb, &component)))
			return fault;
		g_string_prepend(path, component);
		g_string_prepend_c(path, '\\');
		fault = READ(kcb, cm_key_control_block.ParentKcb, &at);
	}
	if (!fault && !path->len)
		fault = FAULT_IMPLAUSIBLE;
	if (!fault)
		*out = g_string_free(g_steal_pointer(&path), FALSE);
	return fault;
}

enum fault read_thread_process(const struct object *thread, uint64_t *out)
{
	struct object tcb = MEMBER(*thread, ethread.Tcb);

	if (HAS(tcb, kthread.Process))
		return READ(tcb, kthread.Process, out);
	return READ(*thread, ethread.ThreadsProcess, out);	/* Windows XP */
}

enum fault read_thread_create_time(const struct object *thread, uint64_t *out)
{
	enum fault fault = READ(*thread, ethread.CreateTime, out);

	if (!fault)
		*out = thread_create_time(thread->space->layout, *out);
	return fault;
}

enum fault read_image_file_name(struct space *space, va_t eprocess, char **out)
{
	struct field field = space->layout->eprocess.ImageFileName;
	char text[16];

	if (!field.size || field.size > sizeof(text))
		return FAULT_NO_FIELD;
	enum fault fault = space_read(space, (va_t){ eprocess.v + field.offset }, text, field.size, NULL);
	if (!fault)
		*out = text_from_bytes(text, field.size);
	return fault;
}

static enum fault describe_process(struct space *space, va_t body, char **out)
{
	struct object process = object_at(space, body.v);
	g_autofree char *name = NULL;
	uint64_t pid = 0;
	enum fault fault = READ(process, eprocess.UniqueProcessId, &pid);

	if (!fault && !(fault = read_image_file_name(space, body, &name)))
		*out = g_strdup_printf("%s Pid %" G_GUINT64_FORMAT, name, pid);
	return fault;
}

static enum fault describe_thread(struct space *space, va_t body, char **out)
{
	struct object thread = object_at(space, body.v), cid = MEMBER(thread, ethread.Cid);
	uint64_t pid = 0, tid = 0;
	enum fault fault = READ(cid, client_id.UniqueProcess, &pid);

	if (!fault && !(fault = READ(cid, client_id.UniqueThread, &tid)))
		*out = g_strdup_printf("Tid %" G_GUINT64_FORMAT " Pid %" G_GUINT64_FORMAT, tid, pid);
	return fault;
}

/* The file a section is of; FAULT_NONE and NULL when it is of none (the page file). */
static enum fault describe_section(struct space *space, va_t body, char **out)
{
	uint64_t area = 0, file = 0;
	enum fault fault;

	if (space->layout->section.u1.size) {
		/* _SECTION: u1 is the control area; its low bits say that it is a remote file object instead. */
		struct object section = object_at(space, body.v);
		if ((fault = READ(section, section.u1, &area)))
			return fault;
		if (area & 3)
			return read_file_name(space, (va_t){ area & ~UINT64_C(3) }, out);
	} else {
		struct object section = object_at(space, body.v);
		uint64_t segment_at = 0;
		if ((fault = READ(section, section_object.Segment, &segment_at)))
			return fault;
		struct object segment = object_at(space, segment_at);
		if ((fault = READ(segment, segment.ControlArea, &area)))
			return fault;
	}
	struct object control_area = object_at(space, area);
	if ((fault = READ(control_area, control_area.FilePointer, &file)))
		return fault;
	file = fast_ref(space, file);
	return file ? read_file_name(space, (va_t){ file }, out) : FAULT_NONE;
}

enum fault object_describe(struct space *space, va_t body, const char *type, char **out)
{
	*out = NULL;
	if (!type)
		type = "";
	if (!strcmp(type, "File"))
		return read_file_name(space, body, out);
	if (!strcmp(type, "Key"))
		return read_key_path(space, body, out);
	if (!strcmp(type, "Process"))
		return describe_process(space, body, out);
	if (!strcmp(type, "Thread"))
		return describe_thread(space, body, out);
	enum fault fault = read_object_name(space, body, out);
	/* A section need not be of a file, and that can't always be told from a fault. */
	if (!fault && !*out && !strcmp(type, "Section") && describe_section(space, body, out))
		*out = NULL;
	return fault;
}

enum fault object_directory(struct space *space, va_t body, char **out)
{
	g_autoptr(GString) path = g_string_new(NULL);
	struct object info;
	enum fault fault = object_name_info(space, body, &info);
	bool any = false;

	*out = NULL;
	for (unsigned depth = 0; !fault && info.va.v; depth++) {
		uint64_t directory = 0;
		g_autofree char *name = NULL;
		if (depth >= limit(directory_depth))
			return FAULT_LIMIT;
		if ((fault = READ(info, object_header_name_info.Directory, &directory)))
			return fault;
		if (!directory)
			break;
		any = true;
		if ((fault = read_object_name(space, (va_t){ directory }, &name)) ||
		    (fault = object_name_info(space, (va_t){ directory }, &info)))
			return fault;
		/* The root is called "\" and stands in no directory. */
		if (name && *name && strcmp(name, "\\")) {
			g_string_prepend(path, name);
			g_string_prepend_c(path, '\\');
		}
	}
	if (!fault && any)
		*out = path->len ? g_string_free(g_steal_pointer(&path), FALSE) : g_strdup("\\");
	return fault;
}

GArray *object_directory_list(struct space *space, va_t at, bool *more)
{
	bool cut = false;
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct object directory = object_at(space, at.v), buckets = MEMBER(directory, object_directory.HashBuckets);

	for (unsigned i = 0; buckets.va.v && i < DIRECTORY_BUCKETS; i++) {
		uint64_t link = 0, body = 0;
		if (read_pointer(space, (va_t){ buckets.va.v + i * space_pointer_size(space) }, &link))
			break;
		for (unsigned n = 0; link; n++) {
			struct object entry = object_at(space, link);
			if (n >= limit(bucket_entries) || out->len >= limit(directory_entries)) {
				cut = true;
				break;
			}
			if (READ(entry, object_directory_entry.Object, &body) || READ(entry, object_directory_entry.ChainLink, &link))
				break;
			if (body)
				g_array_append_val(out, body);
		}
	}
	if (more)
		*more = cut;
	return out;
}

va_t object_lookup(const struct kernel *kernel, struct space *space, va_t directory, const char *name)
{
	va_t root = kernel_symbol(kernel, ObpRootDirectoryObject);

	if (!directory.v && (!root.v || read_pointer(space, root, &directory.v)))
		return (va_t){ 0 };
	g_autoptr(GArray) list = object_directory_list(space, directory, NULL);
	for (guint i = 0; i < list->len; i++) {
		va_t body = { g_array_index(list, uint64_t, i) };
		g_autofree char *text = NULL;
		if (!read_object_name(space, body, &text) && text && !g_ascii_strcasecmp(text, name))
			return body;
	}
	return (va_t){ 0 };
}
