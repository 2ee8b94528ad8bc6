/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine's firmware and processors leave in memory: the stub that starts them,
 * the page shared with user mode, their control regions, the debugger's data block. */
#include <string.h>
#include "sample.h"

uint64_t shared_data_address(const struct sample *s)
{
	return s->width == 4 ? 0xffdf0000u : UINT64_C(0xfffff78000000000);
}

uint64_t wide_address(const struct sample *s, uint64_t va)
{
	return s->width == 4 ? (uint64_t)(int32_t)va : va;
}

/* PROCESSOR_START_BLOCK of the HAL: a jump, the completion flag, LmTarget at 0x70, then the
 * special registers, of which CR3 is at 0xa0. */
static void low_stub(struct sample *s)
{
	uint64_t pa = 0x1000 + random_of(s->seed, "stub", 0) % 0x12 * PAGE_SIZE;
	uint8_t *p = s->memory->bytes + pa;
	const struct { unsigned at; uint64_t value; } words[] = {
		{ 0x00, UINT64_C(0x00000001000600e9) | (random_of(s->seed, "stub", 1) & 0x7f) << 8 },
		{ 0x08, 0x10 }, { 0x70, s->kernel_base + s->kernel->entry_point }, { 0x78, UINT64_C(0x0007010600070106) },
		{ 0x90, 0x80050033 }, { 0xa0, s->memory->system_root }, { 0xa8, s->memory->levels == 5 ? 0x16f8 : 0x6f8 },
	};

	memory_take(s->memory, pa);
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		memcpy(p + words[i].at, &words[i].value, 8);
	s->low_stub = pa;
}

static void shared_data(struct sample *s)
{
	static const char root[] = "C:\\Windows";
	uint64_t uptime = s->time - s->boot_time, shared = shared_data_address(s);
	unsigned major = s->build < 9200 ? 6 : s->build < 10240 ? 6 : 10, minor = s->build == 7600 || s->build == 7601 ? 1 : s->build == 9200 ? 2 : s->build == 9600 ? 3 : 0;
	const struct { struct field field; uint64_t value; } times[] = {
		{ s->layout->kuser_shared_data.SystemTime, s->time }, { s->layout->kuser_shared_data.InterruptTime, uptime },
		{ s->layout->kuser_shared_data.TimeZoneBias, 0 },
	};

	s->shared_data = memory_map_new(s->memory, ROOT(s), shared, PTE_KERNEL_DATA);
	for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {	/* _KSYSTEM_TIME: low, high, high again */
		if (!times[i].field.size)
			continue;
		memory_put(s->memory, ROOT(s), shared + times[i].field.offset, times[i].value & 0xffffffff, 4);
		memory_put(s->memory, ROOT(s), shared + times[i].field.offset + 4, times[i].value >> 32, 4);
		memory_put(s->memory, ROOT(s), shared + times[i].field.offset + 8, times[i].value >> 32, 4);
	}
	if (s->build < 6000) {
		major = 5;
		minor = s->build == 2600 ? 1 : 2;
	} else if (s->build < 9200) {
		minor = s->build >= 7600;
	} else if (s->build == 9200) {
		minor = 2;
	}
	/* ProcessorFeatures[PF_NX_ENABLED]: what pages without execution need PAE for. */
	if (s->memory->paging == PAGING_X86_PAE)
		memory_put(s->memory, ROOT(s), shared + 0x274 + 12, 1, 1);
	SET(s, shared, kuser_shared_data.NtMajorVersion, major);
	SET(s, shared, kuser_shared_data.NtMinorVersion, minor);
	if (s->build >= 10240)
		SET(s, shared, kuser_shared_data.NtBuildNumber, s->build);
	SET(s, shared, kuser_shared_data.NtProductType, s->build == 14393 || s->build == 20348 ? 3 : 1);
	SET(s, shared, kuser_shared_data.SuiteMask, 0x110);
	SET(s, shared, kuser_shared_data.NumberOfPhysicalPages, s->memory->size / PAGE_SIZE);
	SET(s, shared, kuser_shared_data.ActiveProcessorCount, 1);
	size_t bytes;
	g_autofree uint16_t *wide = utf16(root, &bytes);
	memory_write(s->memory, ROOT(s), shared + OFFSET(s, kuser_shared_data.NtSystemRoot), wide, bytes);
}

/* _PHYSICAL_MEMORY_DESCRIPTOR: NumberOfRuns, NumberOfPages at 8, then base page and page count of each. */
static void physical_memory_block(struct sample *s)
{
	const struct memory *m = s->memory;
	unsigned w = s->width;
	uint64_t pages = m->size / PAGE_SIZE, block = pool_alloc(s, 2 * w + 2 * w * 8, "MmPh", false), total = 0;
	unsigned runs = 0;

	for (uint64_t i = 0; i < pages && runs < 8; i++) {
		uint64_t start = i;
		while (i < pages && (m->frames[i] & FRAME_RAM))
			i++;
		if (i == start)
			continue;
		memory_put(s->memory, ROOT(s), block + 2 * w + 2 * w * runs, start, w);
		memory_put(s->memory, ROOT(s), block + 3 * w + 2 * w * runs++, i - start, w);
		total += i - start;
	}
	memory_put(s->memory, ROOT(s), block, runs, 4);
	memory_put(s->memory, ROOT(s), block + w, total, w);
	POINT_GLOBAL(s, MmPhysicalMemoryBlock, block);
	POINT_GLOBAL(s, MmPagedPoolStart, s->paged_start);
}

void processors_init(struct sample *s)
{
	/* On x86 Prcb is the pointer, and the block itself PrcbData. */
	struct field block = s->layout->kpcr.PrcbData.size ? s->layout->kpcr.PrcbData : s->layout->kpcr.Prcb;
	unsigned size = MAX(s->layout->kpcr.size_, block.offset + s->layout->kprcb.size_);
	if (s->width == 4)
		size = 5 * PAGE_SIZE;	/* the headers know no size of it; VendorString of Windows 10 lies near the end */
	const unsigned pages = (size + PAGE_MASK) / PAGE_SIZE;
	uint64_t pcr = kernel_pages(s, pages), prcb = pcr + (s->width == 4 ? 0x120 : block.offset);

	if (s->memory->paging == PAGING_X64 || s->memory->paging == PAGING_X64_LA57)
		low_stub(s);
	shared_data(s);
	physical_memory_block(s);
	SET(s, pcr, kpcr.Self, pcr);
	SET(s, pcr, kpcr.CurrentPrcb, prcb);
	if (s->width == 4) {
		SET(s, pcr, kpcr.SelfPcr, pcr);
		SET(s, pcr, kpcr.Prcb, prcb);
	}
	SET(s, prcb, kprcb.MajorVersion, 1);
	SET(s, prcb, kprcb.MinorVersion, 1);
	SET(s, prcb, kprcb.Number, 0);
	uint64_t state = prcb + OFFSET(s, kprcb.ProcessorState) + OFFSET(s, kprocessor_state.SpecialRegisters);
	SET(s, state, kspecial_registers.Cr0, 0x80050033);
	SET(s, state, kspecial_registers.Cr3, s->memory->system_root);
	if (HAS_FIELD(s, kprcb.VendorString))
		memory_write(s->memory, ROOT(s), prcb + OFFSET(s, kprcb.VendorString), "GenuineIntel", 13);
	SET_GLOBAL(s, KeNumberProcessors, 1, 4);
	POINT_GLOBAL(s, KiProcessorBlock, prcb);
	s->prcb = prcb;
	s->prcb_size = MIN(s->layout->kprcb.size_, pages * PAGE_SIZE - (unsigned)(prcb - pcr));
}

/*
 * KDDEBUGGER_DATA64 (wdbgexts.h). Its offsets into structures let a debugger read a
 * triage dump of a build for which it has no symbols.
 */
static void debugger_data(struct sample *s)
{
	const struct layout *l = s->layout;
	const unsigned size = s->build < 3790 ? 0x290 : s->build < 9600 ? 0x340 : 0x380;
	const struct { unsigned at; uint64_t rva; } globals[] = {
		{ 0x48, l->symbol.PsLoadedModuleList }, { 0x50, l->symbol.PsActiveProcessHead }, { 0x58, l->symbol.PspCidTable },
		{ 0x80, l->symbol.KeBugCheckCallbackListHead }, { 0x88, l->symbol.KiBugCheckData },
		{ 0x98, l->symbol.ObpRootDirectoryObject }, { 0xc0, l->symbol.MmPfnDatabase }, { 0x120, l->symbol.MmPagedPoolStart },
		{ 0x140, l->symbol.MmSizeOfPagedPoolInBytes }, { 0x1c8, l->symbol.MmHighestUserAddress },
		{ 0x1d0, l->symbol.MmSystemRangeStart }, { 0x208, l->symbol.NtBuildLab }, { 0x218, l->symbol.KiProcessorBlock },
		{ 0x220, l->symbol.MmUnloadedDrivers }, { 0x228, l->symbol.MmLastUnloadedDriver }, { 0x268, l->symbol.CmNtCSDVersion },
		{ 0x270, l->symbol.MmPhysicalMemoryBlock },
	};
	const struct { unsigned at; unsigned value; } offsets[] = {
		{ 0x29a, l->kthread.Teb.offset }, { 0x29c, l->kthread.KernelStack.offset }, { 0x29e, l->kthread.InitialStack.offset },
		{ 0x2a0, l->kthread.ApcState.offset + l->kapc_state.Process.offset }, { 0x2a2, l->kthread.State.offset },
		{ 0x2a8, l->eprocess.size_ }, { 0x2aa, l->eprocess.Peb.offset },
		{ 0x2ac, l->eprocess.InheritedFromUniqueProcessId.offset }, { 0x2ae, l->kprocess.DirectoryTableBase.offset },
		{ 0x2b0, s->prcb_size }, { 0x2b4, l->kprcb.CurrentThread.offset },
		{ 0x2bc, l->kprcb.ProcessorState.offset + l->kprocessor_state.ContextFrame.offset },
		{ 0x2be, l->kprcb.Number.offset }, { 0x2c0, l->ethread.size_ },
	};
	uint64_t kdbg = GLOBAL(s, KdDebuggerDataBlock);

	if (!kdbg)
		return;
	s->kdbg = kdbg;
	kernel_global(s, l->symbol.KdDebuggerDataBlock + size);
	list_init(s, ROOT(s), kdbg);
	memory_write(s->memory, ROOT(s), kdbg + 0x10, "KDBG", 4);
	memory_put(s->memory, ROOT(s), kdbg + 0x14, size, 4);
	memory_put(s->memory, ROOT(s), kdbg + 0x18, wide_address(s, s->kernel_base), 8);
	memory_put(s->memory, ROOT(s), kdbg + 0x138, PAGE_SIZE, 8);
	memory_put(s->memory, ROOT(s), kdbg + 0xf8, s->memory->size / PAGE_SIZE, 8);
	for (size_t i = 0; i < G_N_ELEMENTS(globals); i++)
		if (globals[i].rva)
			memory_put(s->memory, ROOT(s), kdbg + globals[i].at, wide_address(s, s->kernel_base + globals[i].rva), 8);
	for (size_t i = 0; i < G_N_ELEMENTS(offsets) && size > 0x2c0; i++)
		memory_put(s->memory, ROOT(s), kdbg + offsets[i].at, offsets[i].value, 2);
}

void processors_finish(struct sample *s)
{
	uint64_t version = GLOBAL(s, KdVersionBlock);

	SET(s, s->prcb, kprcb.CurrentThread, s->current_thread);
	SET(s, s->prcb, kprcb.IdleThread, s->current_thread);
	debugger_data(s);
	if (version) {		/* DBGKD_GET_VERSION64 */
		memory_put(s->memory, ROOT(s), version, 0xf, 2);
		memory_put(s->memory, ROOT(s), version + 2, s->build, 2);
		memory_put(s->memory, ROOT(s), version + 8, s->width == 4 ? 0x14c : s->memory->paging == PAGING_ARM64 ? 0xaa64 : 0x8664, 2);
		memory_put(s->memory, ROOT(s), version + 0x10, wide_address(s, s->kernel_base), 8);
		memory_put(s->memory, ROOT(s), version + 0x18, wide_address(s, GLOBAL(s, PsLoadedModuleList)), 8);
	}
}
