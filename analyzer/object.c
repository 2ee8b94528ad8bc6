/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"
#include <string.h>
#include "limit.h"
#include "text.h"

enum fault object_read(const struct object *object, struct field field, void *out, size_t size)
{
	uint64_t value = 0;

	if (!field.size || field.size > sizeof(value) || (!field.bits && field.size > size))
		return FAULT_NO_FIELD;
	if (!object->va.v)
		return FAULT_UNMAPPED;
	enum fault fault = space_read(object->space, (va_t){ object->va.v + field.offset }, &value, field.size, NULL);
	if (fault)
		return fault;
	if (field.bits) {
		value >>= field.bit;
		if (field.bits < 64)
			value &= (UINT64_C(1) << field.bits) - 1;
	}
	memset(out, 0, size);
	memcpy(out, &value, MIN(size, sizeof(value)));
	return FAULT_NONE;
}

struct object object_member(const struct object *object, struct field field)
{
	return object_at(object->space, field.size && object->va.v ? object->va.v + field.offset : 0);
}

enum fault read_pointer(struct space *space, va_t va, uint64_t *out)
{
	uint64_t value = 0;
	enum fault fault = space_read(space, va, &value, space_pointer_size(space), NULL);

	if (!fault)
		*out = value;
	return fault;
}

static enum fault read_utf16(struct space *space, uint64_t buffer, unsigned length, unsigned limit, char **out)
{
	if (length > limit)
		return FAULT_IMPLAUSIBLE;
	if (length > limit(text_bytes))
		return FAULT_LIMIT;
	if (!length) {
		*out = g_strdup("");
		return FAULT_NONE;
	}
	if (!buffer)
		return FAULT_IMPLAUSIBLE;
	g_autofree uint8_t *text = g_malloc(length);
	enum fault fault = space_read(space, (va_t){ buffer }, text, length, NULL);
	if (fault)
		return fault;
	/* Counted text has letters: a page of zeros stands for one that was lost. */
	if (bytes_are_zero(text, length))
		return FAULT_IMPLAUSIBLE;
	*out = text_from_utf16(text, length, FALSE);
	return FAULT_NONE;
}

enum fault read_unicode_string(const struct object *string, unsigned limit, char **out)
{
	uint16_t length;
	uint64_t buffer;
	enum fault fault;

	if ((fault = READ(*string, unicode_string.Length, &length)) ||
	    (fault = READ(*string, unicode_string.Buffer, &buffer)))
		return fault;
	return read_utf16(string->space, buffer, length, limit, out);
}

enum fault read_unicode_string32(struct space *space, va_t va, unsigned limit, char **out)
{
	uint8_t raw[8];
	enum fault fault = space_read(space, va, raw, sizeof(raw), NULL);
	struct bytes b = { raw, sizeof(raw), false };

	if (fault)
		return fault;
	return read_utf16(space, (uint64_t)bytes_at(&b, 4, 4), (unsigned)bytes_at(&b, 0, 2), limit, out);
}

/*
 * The optional headers before an object: their bits in InfoMask, in the order in
 * which they lie going down from the object header (nearest first). Each is present
 * when its bit is set, so an offset is the sum of those up to and including it.
 */
enum fault object_name_info(struct space *kernel, va_t va, struct object *out)
{
	const struct layout *l = kernel->layout;
	uint8_t mask = 0, distance = 0;
	enum fault fault;

	*out = object_at(kernel, 0);
	if (!l->object_header.Body.size)
		return FAULT_NO_FIELD;
	struct object header = object_at(kernel, va.v - l->object_header.Body.offset);
	if (HAS(header, object_header.NameInfoOffset)) {
		fault = READ(header, object_header.NameInfoOffset, &distance);
	} else if (!(fault = READ(header, object_header.InfoMask, &mask)) && (mask & 2)) {
		uint32_t creator = mask & 1 ? l->object_header_creator_info.size_ : 0;
		out->va.v = header.va.v - l->object_header_name_info.size_ - creator;
	}
	if (!fault && distance)
		out->va.v = header.va.v - distance;
	return fault;
}

enum fault read_object_name(struct space *kernel, va_t va, char **out)
{
	struct object info;
	enum fault fault = object_name_info(kernel, va, &info);

	*out = NULL;
	if (fault || !info.va.v)
		return fault;
	struct object name = MEMBER(info, object_header_name_info.Name);
	return read_unicode_string(&name, 4096, out);
}

enum fault read_file_name(struct space *kernel, va_t va, char **out)
{
	struct object file = object_at(kernel, va.v);
	struct object name = MEMBER(file, file_object.FileName);
	g_autofree char *path = NULL, *device_name = NULL;
	uint64_t device = 0;
	int16_t type;
	enum fault fault;

	/* IO_TYPE_FILE: without it the pointer leads to something else. */
	if ((fault = READ(file, file_object.Type, &type)))
		return fault;
	if (type != 5)
		return FAULT_IMPLAUSIBLE;
	if ((fault = read_unicode_string(&name, 0xfffe, &path)))
		return fault;
	if (!READ(file, file_object.DeviceObject, &device) && device &&
	    !read_object_name(kernel, (va_t){ device }, &device_name) && device_name && *device_name)
		*out = g_strdup_printf("\\Device\\%s%s", device_name, path);
	else
		*out = g_steal_pointer(&path);
	return FAULT_NONE;
}

bool read_pool_tag(struct space *kernel, va_t body, char tag[5])
{
	const struct layout *l = kernel->layout;
	struct object header = object_at(kernel, body.v - l->pool_header.size_);
	uint32_t value;

	tag[0] = '\0';
	if (!l->pool_header.size_ || READ(header, pool_header.PoolTag, &value))
		return false;
	for (int i = 0; i < 4; i++) {
		char c = (char)(value >> (8 * i) & 0x7f);
		tag[i] = g_ascii_isprint(c) ? c : '?';
	}
	tag[4] = '\0';
	return true;
}
