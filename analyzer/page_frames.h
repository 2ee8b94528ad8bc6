/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page-table roots, and who owns them by the memory manager's own book: MmPfnDatabase has one _MMPFN for each frame of
 * physical memory, and no address space can be without a root that it knows of.
 *
 * Sources: the kernel's public symbols for _MMPFN, _MMPFNENTRY and _MI_ACTIVE_PFN. The entry of a root is its own parent
 * (u4.PteFrame names the frame itself, as the root maps itself), and u1 leads to the _EPROCESS: since Windows NT 5 as a
 * pointer (u1.Event), and where _MI_ACTIVE_PFN has come (Windows 10) in the 43 bits of PageTable.NonPagedBuddy, without its lowest
 * four and its highest ones, as public write-ups on finding processes through this database have it.
 */
#ifndef MEMSIEVE_PAGE_FRAMES_H
#define MEMSIEVE_PAGE_FRAMES_H
#include "plugin.h"

/* Pages that map themselves by an entry of their upper half, as roots of x64 and ARM64 do. For a plugin's sweeps. */
extern const struct sweep_pattern page_roots;

/* MMLISTS of the debugger's extensions: the only state of a frame that belongs to somebody. */
#define FRAME_ACTIVE_AND_VALID 6

/* What the database says of one frame. */
struct page_frame {
	uint64_t number;
	uint64_t u1;
	bool is_root;		/* its parent is itself */
	bool active;
};

struct page_frames;

/* NULL: where the database is can't be told, or it can't be read; *fault and *at say why. 64-bit kernels only. */
struct page_frames *page_frames_open(const struct context *context, enum fault *fault, va_t *at);
void page_frames_close(struct page_frames *frames);
DEFINE_AUTO(page_frames, page_frames_close)

/* The entry of the frame that a physical address lies in; a fault where that part of the database isn't there. */
enum fault page_frames_at(struct page_frames *frames, pa_t pa, struct page_frame *out) G_GNUC_WARN_UNUSED_RESULT;
/* All roots in use (struct page_frame, by number). *cut: the database leads on and on, or has more (list_entries), and the rest was left
 * out. */
GArray *page_frames_roots(struct page_frames *frames, bool *cut);

/* How u1 names the process. */
enum page_owner_form { OWNER_POINTER, OWNER_BUDDY, OWNER_FORMS };
/* The _EPROCESS that u1 would name in that form; it may be anything. */
va_t page_owner(uint64_t u1, enum page_owner_form form);
/* Which form the database has, by what it says of processes and roots that are known: a vote for each; OWNER_FORMS: none names one. */
void page_frames_vote(struct page_frames *frames, pa_t root, va_t process, unsigned votes[OWNER_FORMS]);
enum page_owner_form page_owner_elected(const unsigned votes[OWNER_FORMS]);
#endif
