/* SPDX-License-Identifier: Apache-2.0 */
/* A Windows structure at an address in the dump. Passed by value. */
#ifndef MEMSIEVE_OBJECT_H
#define MEMSIEVE_OBJECT_H
#include "space.h"

struct object {
	struct space *space;
	va_t va;
};

static inline struct object object_at(struct space *space, uint64_t va)
{
	return (struct object){ space, { va } };
}

/*
 *	uint64_t pid;
 *	fault = READ(proc, eprocess.UniqueProcessId, &pid);
 *
 * Little-endian, zero-extended to the size of *out; bit fields are shifted down.
 * FAULT_NO_FIELD if this build lacks the field or the field is wider than *out.
 * *out is set only on success.
 */
#define READ(obj, field, out) object_read(&(obj), (obj).space->layout->field, (out), sizeof(*(out)))
/* The embedded structure: an object at the field's address; its va is 0 when the build lacks it. */
#define MEMBER(obj, field) object_member(&(obj), (obj).space->layout->field)
/* Does this build have it? */
#define HAS(obj, field) ((obj).space->layout->field.size != 0)

enum fault object_read(const struct object *object, struct field field, void *out, size_t size)
	G_GNUC_WARN_UNUSED_RESULT;
struct object object_member(const struct object *object, struct field field);
/* A pointer of the space's width at va. */
enum fault read_pointer(struct space *space, va_t va, uint64_t *out) G_GNUC_WARN_UNUSED_RESULT;

/*
 * A _UNICODE_STRING's text as UTF-8 (the caller frees), at most `limit` bytes of UTF-16
 * (FAULT_IMPLAUSIBLE above it). An empty one gives "" and FAULT_NONE.
 */
enum fault read_unicode_string(const struct object *unicode_string, unsigned limit, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* The same for a 32-bit structure in a WoW64 process, whatever the space's width. */
enum fault read_unicode_string32(struct space *space, va_t va, unsigned limit, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* `\Device\HarddiskVolume3\Windows\…` from a _FILE_OBJECT: its device's name, then FileName. */
enum fault read_file_name(struct space *kernel, va_t file_object, char **out) G_GNUC_WARN_UNUSED_RESULT;
/*
 * The _OBJECT_HEADER_NAME_INFO of an object; its va is 0 when it has none. Since Windows 7 a mask
 * in the object's header tells which optional headers lie below it, before that the distance does.
 */
enum fault object_name_info(struct space *kernel, va_t object, struct object *out) G_GNUC_WARN_UNUSED_RESULT;
/* The object manager's name of an object, by its header's name info; FAULT_NONE and NULL when it has none. */
enum fault read_object_name(struct space *kernel, va_t object, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* The four characters of the pool tag of the block that starts with this object; false when unreadable. */
bool read_pool_tag(struct space *kernel, va_t body, char tag[5]);

/* Strip the low bits of an _EX_FAST_REF. */
static inline uint64_t fast_ref(const struct space *space, uint64_t value)
{
	return value & ~(uint64_t)(space_pointer_size(space) == 8 ? 15 : 7);
}
#endif
