/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's debugger data block (KDDEBUGGER_DATA64, wdbgexts.h), plain or encoded.
 *
 * Since Windows 8 the block is encoded while no debugger is attached: each quadword v
 * becomes ror(bswap(v ^ KiWaitAlways) ^ &KdpDataBlockEncoded, KiWaitNever) ^ KiWaitNever.
 * All of that but the byte swap and the rotation is one constant, so two quadwords
 * whose values are known (the tag "KDBG", the kernel's base) give both away; the
 * globals KiWaitNever and KiWaitAlways aren't needed.
 *
 * 32-bit kernels keep their addresses in it sign-extended to 64 bits, but for the two
 * links at its start, which are 32-bit pointers side by side.
 */
#ifndef MEMSIEVE_KDBG_H
#define MEMSIEVE_KDBG_H
#include "image.h"

/* Offsets within the block. */
enum kdbg_offset {
	KDBG_TAG = 0x10, KDBG_SIZE = 0x14, KDBG_KERNEL_BASE = 0x18, KDBG_LOADED_MODULES = 0x48, KDBG_ACTIVE_PROCESSES = 0x50,
	KDBG_CID_TABLE = 0x58, KDBG_BUGCHECK_CALLBACKS = 0x80, KDBG_BUGCHECK_DATA = 0x88, KDBG_ROOT_DIRECTORY = 0x98,
	KDBG_PFN_DATABASE = 0xc0, KDBG_PAGED_POOL_START = 0x120, KDBG_PAGED_POOL_SIZE = 0x140, KDBG_NONPAGED_POOL = 0x1c0,
	KDBG_HIGHEST_USER_ADDRESS = 0x1c8, KDBG_SYSTEM_RANGE = 0x1d0, KDBG_BUILD_LAB = 0x208, KDBG_PROCESSORS = 0x218,
	KDBG_UNLOADED_DRIVERS = 0x220, KDBG_LAST_UNLOADED = 0x228, KDBG_CSD_VERSION = 0x268, KDBG_PHYSICAL_MEMORY = 0x270,
	KDBG_THREAD_TEB = 0x29a, KDBG_THREAD_KERNEL_STACK = 0x29c, KDBG_THREAD_INITIAL_STACK = 0x29e,
	KDBG_THREAD_PROCESS = 0x2a0, KDBG_THREAD_STATE = 0x2a2, KDBG_PROCESS_SIZE = 0x2a8, KDBG_PROCESS_PEB = 0x2aa,
	KDBG_PROCESS_PARENT = 0x2ac, KDBG_PROCESS_DTB = 0x2ae, KDBG_PRCB_SIZE = 0x2b0, KDBG_PRCB_THREAD = 0x2b4,
	KDBG_PRCB_NUMBER = 0x2be, KDBG_THREAD_SIZE = 0x2c0,
};

#define KDBG_MAX 0x400u

struct kdbg {
	uint32_t rva;			/* in the kernel's image, 0: not found */
	bool encoded;
	uint32_t size;
	uint8_t bytes[KDBG_MAX];	/* decoded */
};

/* Look for it in a part of the kernel's image (offsets from its base, which is sign-extended); false: not there. */
bool kdbg_find(const uint8_t *image, size_t size, uint64_t base, struct range part, struct kdbg *out);
/* A value of the block; 0 past its end. */
uint64_t kdbg_value(const struct kdbg *kdbg, unsigned offset, unsigned width);
#endif
