/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Give up what an analysis doesn't need, before the first byte of a dump is read: who wrote the dump may have written it
 * to take over its reader.
 *
 *	AUTO(sandbox) sandbox = sandbox_create();
 *	sandbox_read(sandbox, …) … sandbox_write(sandbox, …) …
 *	options->sandbox = sandbox_enter(sandbox, verbose);
 *
 * Landlock (Linux 5.13) allows the files named and those of the system's /usr; seccomp allows the calls that reading,
 * writing and computing need: no network, no exec, no new processes, no ptrace. Without the kernel's help less is given
 * up, and runs.sandbox says so. It is for ever: threads inherit it.
 */
#ifndef MEMSIEVE_SANDBOX_H
#define MEMSIEVE_SANDBOX_H
#include <glib.h>
#include <stdbool.h>
#include "error.h"

struct sandbox;

struct sandbox *sandbox_create(void);
void sandbox_destroy(struct sandbox *sandbox);
DEFINE_AUTO(sandbox, sandbox_destroy)

/* A file, or a folder and all below it. What isn't there is no error: who opens it will say so. NULL is allowed. */
void sandbox_read(struct sandbox *sandbox, const char *path);
/* A dump, and the files beside it that may be parts of it: the same name up to its number or its extension; links only where it is one,
 * too, and they lead to beside what it leads to. */
void sandbox_read_dump(struct sandbox *sandbox, const char *path);
/* A folder in which files may be made, written and removed. */
void sandbox_write(struct sandbox *sandbox, const char *folder);

/* What a command works on. Lists end with NULL; each may be NULL. */
struct sandbox_files {
	char *const *dumps;
	char *const *cases;	/* to read; a transaction that its writer was killed in can be undone */
	char *const *read[5];
	const char *layout;
	const char *write;	/* a folder that is there */
	const char *owned;	/* a file: what root makes belongs to its owner */
	bool renames;		/* files in it get another name */
	uint64_t file_bytes;	/* one file that is written; 0: the limit of that name */
};
/* All of the above in one: these files, the imported layouts to read, and $TMPDIR to write, where packed dumps are unpacked. */
const char *sandbox_confine(const struct sandbox_files *files, bool tell);

/* Close what whoever started us left open beside the standard streams, but for what an argument names ("/dev/fd/5",
 * "/proc/self/fd/5", "--progress-fd=5"): it leads out of the sandbox. Before anything is opened; Linux 5.9 or later. */
void sandbox_close_inherited(char *const *arguments);

/* Before any thread is started. What holds from now on, as runs.sandbox says it: "landlock+seccomp", "landlock", "seccomp" or
 * "none". What could not be had is said on stderr with `tell`. */
const char *sandbox_enter(struct sandbox *sandbox, bool tell);
#endif
