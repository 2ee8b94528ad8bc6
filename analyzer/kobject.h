/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the object manager: the header before each, its type, its name.
 *
 * Addresses of objects are those of their bodies (what a handle means to WinDbg and
 * to the `handles` table). The types are read once and are read-only after: threads
 * share them.
 */
#ifndef MEMSIEVE_KOBJECT_H
#define MEMSIEVE_KOBJECT_H
#include "kernel.h"

/* _OBJECT_HEADER.TypeIndex is one byte. */
#define OBJECT_TYPES 256

struct object_types {
	char *name[OBJECT_TYPES];	/* "Process" …, NULL where there is no such type */
	va_t at[OBJECT_TYPES];		/* the _OBJECT_TYPE */
	unsigned count;			/* how many have names */
	uint8_t cookie;
	bool obfuscated;		/* TypeIndex is xored with the cookie and the header's address: since Windows 10 */
	bool by_address;		/* a header has the type's address, not its index: before Windows 7 */
};

/* Never NULL; count is 0 when ObTypeIndexTable is not known or can't be read. */
struct object_types *object_types_load(const struct kernel *kernel, struct space *space);
bool object_types_have(const struct object_types *types, const char *type);
void object_types_destroy(struct object_types *types);
DEFINE_AUTO(object_types, object_types_destroy)

/* The header of an object; its va is 0 when the layout doesn't tell. */
struct object object_header_of(struct space *space, va_t body);
/* The index of the type that a header at `header` names by `raw` (TypeIndex or Type); 0: of none. */
uint8_t object_type_index(const struct object_types *types, va_t header, uint64_t raw);
/* The name of an object's type, owned by `types`; NULL and *fault when it can't be had. */
const char *object_type_of(const struct object_types *types, struct space *space, va_t body, enum fault *fault);
/* Is it an object of that type? Unreadable ones are not. */
bool object_is(const struct object_types *types, struct space *space, va_t body, const char *type);

/*
 * What an object is called, as the kernel's own tools would print it; the caller frees.
 * A path for files and registry keys, "name Pid 4" and "Tid 8 Pid 4" for processes and
 * threads, the file behind a section without a name, else the object manager's name
 * (NULL when it has none).
 */
enum fault object_describe(struct space *space, va_t body, const char *type, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* The directory an object's name stands in, e.g. "\BaseNamedObjects"; NULL when it has none. */
enum fault object_directory(struct space *space, va_t body, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* The objects (their bodies, uint64_t) that a directory holds; never NULL, cut short where it can't be read. `more`, which may be
 * NULL: it has more of them than are taken. */
GArray *object_directory_list(struct space *space, va_t directory, bool *more);
/* The object of that name in a directory; 0: there is none. Directory 0: the object manager's root. */
va_t object_lookup(const struct kernel *kernel, struct space *space, va_t directory, const char *name);
/* `\REGISTRY\MACHINE\…` of a _CM_KEY_BODY. */
enum fault read_key_path(struct space *space, va_t key_body, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* The process a thread belongs to; when it was made (FILETIME). */
enum fault read_thread_process(const struct object *thread, uint64_t *out) G_GNUC_WARN_UNUSED_RESULT;
enum fault read_thread_create_time(const struct object *thread, uint64_t *out) G_GNUC_WARN_UNUSED_RESULT;
/* ETHREAD.CreateTime as it stands there, as a FILETIME: XP and 2003 keep flags in its three low bits. */
static inline uint64_t thread_create_time(const struct layout *layout, uint64_t raw)
{
	return layout->ethread.NestedFaultCount.size ? raw >> 3 : raw;
}
/* EPROCESS.ImageFileName. */
enum fault read_image_file_name(struct space *space, va_t eprocess, char **out) G_GNUC_WARN_UNUSED_RESULT;
#endif
