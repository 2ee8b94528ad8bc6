/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels without symbols: the debugger's block, globals recovered, structures derived. */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "builds.h"
#include "derive.h"
#include "recover.h"
#include "../../samples/sample.h"

/* The debugger's block ------------------------------------------------------- */

#define BASE UINT64_C(0xfffff80312400000)
#define BLOCK 0x1238u

static void store(uint8_t *to, uint64_t v)
{
	v = GUINT64_TO_LE(v);
	memcpy(to, &v, 8);
}

static uint64_t rotate_right(uint64_t v, unsigned n)
{
	return n ? v >> n | v << (64 - n) : v;
}

/* As the kernel encodes it: KiWaitNever, KiWaitAlways, and the address of KdpDataBlockEncoded. */
static uint64_t encode(uint64_t v, uint64_t never, uint64_t always, uint64_t at)
{
	return rotate_right(GUINT64_SWAP_LE_BE(v ^ always) ^ at, never & 63) ^ never;
}

static void put_block(uint8_t *image, uint64_t base, bool encoded, uint64_t never)
{
	uint64_t block[0x340 / 8] = { 0 };

	block[0] = block[1] = base + BLOCK;
	block[KDBG_TAG / 8] = UINT64_C(0x4742444b) | UINT64_C(0x340) << 32;
	block[KDBG_KERNEL_BASE / 8] = base;
	block[KDBG_ACTIVE_PROCESSES / 8] = base + 0x5678;
	block[KDBG_PROCESS_SIZE / 8] = 0x0a40 | UINT64_C(0x0550) << 16 | UINT64_C(0x0540) << 32 | UINT64_C(0x28) << 48;
	for (unsigned i = 0; i < G_N_ELEMENTS(block); i++)
		store(image + BLOCK + 8 * i, encoded ? encode(block[i], never, UINT64_C(0x123456789abcdef0), base + 0x7777) : block[i]);
}

static const uint64_t nevers[] = { 0, 1, 8, UINT64_C(0xea178f54ce15279c), UINT64_C(0xffffffffffffffff), 0x40 };

START_TEST(kdbg_found)
{
	bool encoded = (unsigned)_i < G_N_ELEMENTS(nevers);
	g_autofree uint8_t *image = g_malloc0(0x4000);
	struct range all = { 0, 0x4000 };
	struct kdbg kdbg;

	put_block(image, BASE, encoded, encoded ? nevers[_i] : 0);
	ck_assert(kdbg_find(image, 0x4000, BASE, all, &kdbg));
	ck_assert_uint_eq(kdbg.rva, BLOCK);
	ck_assert_uint_eq(kdbg.size, 0x340);
	ck_assert(kdbg.encoded == encoded);
	ck_assert_uint_eq(kdbg_value(&kdbg, KDBG_KERNEL_BASE, 8), BASE);
	ck_assert_uint_eq(kdbg_value(&kdbg, KDBG_ACTIVE_PROCESSES, 8), BASE + 0x5678);
	ck_assert_uint_eq(kdbg_value(&kdbg, KDBG_PROCESS_SIZE, 2), 0xa40);
	ck_assert_uint_eq(kdbg_value(&kdbg, KDBG_PROCESS_PARENT, 2), 0x540);
	ck_assert_uint_eq(kdbg_value(&kdbg, 0x340, 2), 0);
}
END_TEST

START_TEST(kdbg_not_found)
{
	g_autofree uint8_t *image = g_malloc(0x4000);
	struct range all = { 0, 0x4000 }, before = { 0, BLOCK };
	struct kdbg kdbg;

	for (unsigned i = 0; i < 0x4000; i++)
		image[i] = (uint8_t)(i * 197 ^ i >> 5);
	ck_assert(!kdbg_find(image, 0x4000, BASE, all, &kdbg));
	put_block(image, BASE + 0x1000, true, 0x1234567);	/* another kernel's */
	ck_assert(!kdbg_find(image, 0x4000, BASE, all, &kdbg));
	put_block(image, BASE, true, 0x1234567);
	ck_assert(!kdbg_find(image, 0x4000, BASE, before, &kdbg));
	ck_assert(!kdbg_find(image, BLOCK + 0x100, BASE, all, &kdbg));
	ck_assert_uint_eq(kdbg.rva, 0);
}
END_TEST

START_TEST(known_builds)
{
	struct build build;

	ck_assert(build_find(0x54be00cf, 0x80b000, &build));
	ck_assert_uint_eq(build.build, 9926);
	ck_assert_uint_eq(build.revision, 0);
	ck_assert_str_eq(build.architecture, "amd64");
	ck_assert(!build_find(0x54be00cf, 0x80b001, &build));
	ck_assert(!build_find(0, 0, &build));
}
END_TEST

/* A build that is another's kernel but for its number. */
START_TEST(builds_alike)
{
	static const struct { unsigned build; const char *family; bool same; } pairs[] = {
		{ 19041, "10.0.19041.1466", true }, { 19045, "10.0.19041.1466", true }, { 6001, "6.0.6001.18000", true }, { 6002, "6.0.6001.18000", true },
		{ 6003, "6.0.6001.18000-x86", true }, { 6003, "6.0.6000.16386", false }, { 19041, "10.0.18362.30", false }, { 6003, NULL, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		const struct evidence e = { .build = pairs[i].build };
		ck_assert_msg(derive_same_build(&e, pairs[i].family) == pairs[i].same, "%u: %s", e.build, pairs[i].family);
	}
}
END_TEST

/* Machines -------------------------------------------------------------------- */

#define MACHINE \
	"kernel guid=11112222333344445555666677778888\n" \
	"driver name=a.sys\ndriver name=b.sys\n" \
	"process name=System pid=4\n thread tid=8\n thread tid=12 start=ntoskrnl.exe+0x1000\n" \
	"process name=smss.exe pid=300 ppid=4 path=C:\\Windows\\System32\\smss.exe\n thread tid=304\n" \
	"process name=csrss.exe pid=400 ppid=300 session=1 path=C:\\Windows\\System32\\csrss.exe\n thread tid=404\n thread tid=408\n" \
	"process name=services.exe pid=500 ppid=300 session=1 path=C:\\Windows\\System32\\services.exe\n handle type=Event name=One\n" \
	"process name=svchost.exe pid=600 ppid=500 session=1 path=C:\\Windows\\System32\\svchost.exe user=S-1-5-20\n" \
	" thread tid=604\n handle type=Event name=Two\n handle type=Process pid=500\n" \
	" vad start=0x10000000 pages=4 content=text:hello\n" \
	"process name=explorer.exe pid=700 ppid=300 session=1 path=C:\\Windows\\explorer.exe\n thread tid=704\n thread tid=708\n" \
	" handle type=Event name=Three\n vad start=0x10000000 pages=4 content=text:hello\n" \
	"process name=tool.exe pid=800 ppid=700 session=1 path=C:\\tool.exe wow64\n handle type=Event name=Four\n" \
	"process name=gone.exe pid=900 ppid=700 session=1 path=C:\\gone.exe exited\n"

static const char *const versions[] = {
	"6.1.7601.24540", "6.3.9600.20302", "10.0.14393.5006", "10.0.17763.2928", "10.0.18362.30", "10.0.19041.1466", "10.0.20348.469",
	"10.0.22000.434",
};

struct machine {
	struct description *description;
	struct sample *sample;
	struct image *image;
	struct layout *truth;
	char *path;
};

static void machine_init(struct machine *m, const char *version)
{
	g_autofree char *text = g_strdup_printf("machine build=%s ram=16M\n" MACHINE, version);
	GError *error = NULL;
	int fd = g_file_open_tmp("derive-XXXXXX", &m->path, NULL);

	ck_assert_int_ge(fd, 0);
	close(fd);
	m->description = description_parse(text, "test", &error);
	ck_assert_msg(m->description != NULL, "%s", error ? error->message : "");
	m->sample = sample_create(m->description);
	ck_assert(sample_write(m->sample, m->path, &error));
	m->image = image_open(m->path, false, &error);
	ck_assert_ptr_nonnull(m->image);
	m->truth = layout_copy(m->sample->layout);
}

static void machine_deinit(struct machine *m)
{
	image_close(m->image);
	layout_destroy(m->truth);
	sample_destroy(m->sample);
	description_destroy(m->description);
	g_unlink(m->path);
	g_free(m->path);
}

#define ck_symbol(m, k, s) ck_assert_msg((k)->layout->symbol.s == (m)->truth->symbol.s, "%s: " #s " at 0x%" G_GINT64_MODIFIER \
	"x, should be 0x%" G_GINT64_MODIFIER "x", (m)->truth->version, (k)->layout->symbol.s, (m)->truth->symbol.s)

/* The same build with another GUID: its structures are right, its globals are found. */
START_TEST(family)
{
	struct machine m;
	GError *error = NULL;

	machine_init(&m, versions[_i]);
	AUTO(kernel) k = kernel_find(m.image, NULL, &error);
	ck_assert_ptr_nonnull(k);
	ck_assert_ptr_nonnull(k->layout);
	ck_assert_int_eq(k->layout->source, LAYOUT_FAMILY);
	ck_symbol(&m, k, PsActiveProcessHead);
	ck_symbol(&m, k, PsLoadedModuleList);
	ck_symbol(&m, k, PsInitialSystemProcess);
	ck_symbol(&m, k, PspCidTable);
	ck_symbol(&m, k, ObTypeIndexTable);
	ck_symbol(&m, k, KdDebuggerDataBlock);
	ck_symbol(&m, k, NtBuildLab);
	ck_assert_uint_eq(k->object_header_cookie, m.sample->cookie);
	ck_assert_uint_eq(k->build, m.sample->build);
	ck_assert_uint_eq(k->dtb.v, m.sample->memory->system_root);
	machine_deinit(&m);
}
END_TEST

/* Members taken out of the prior: to it, they were put into the dump's structures. */
static const char *const changed_types[] = {
	"_EPROCESS", "_KPROCESS", "_ETHREAD", "_KTHREAD", "_TOKEN", "_HANDLE_TABLE", "_CONTROL_AREA", "_MMVAD_SHORT",
};

struct change { const char *type; unsigned at; int by; };

static void shift(void *user, const char *type, const char *member, struct field *f)
{
	const struct change *c = user;

	if (!strcmp(type, c->type) && f->size && f->offset >= c->at && strcmp(member, "Pcb") && strcmp(member, "Tcb"))
		f->offset = (uint16_t)(f->offset + c->by);
}

static void change(struct layout *l, const char *type, unsigned at, int by)
{
	struct change c = { type, at, by };

	layout_visit_fields(l, shift, &c);
}

struct comparison { struct layout *truth; unsigned same, lost; };
struct lookup { const char *type, *member; struct field *found; };

static void look(void *user, const char *type, const char *member, struct field *field)
{
	struct lookup *l = user;

	if (!strcmp(type, l->type) && !strcmp(member, l->member))
		l->found = field;
}

static void compare(void *user, const char *type, const char *member, struct field *field)
{
	struct comparison *c = user;
	struct lookup l = { type, member, NULL };
	bool ours = false;

	for (size_t i = 0; i < G_N_ELEMENTS(changed_types); i++)
		ours |= !strcmp(type, changed_types[i]);
	if (!ours)
		return;
	layout_visit_fields(c->truth, look, &l);
	if (!l.found->size)
		return;
	c->lost += !field->size;
	c->same += field->size && field->offset == l.found->offset;
	ck_assert_msg(!field->size || field->offset == l.found->offset, "%s: %s.%s at 0x%x, should be 0x%x", c->truth->version, type,
		      member, field->offset, l.found->offset);
}

#define ck_field(l, t, f) ck_assert_msg((l)->f.size && (l)->f.offset == (t)->f.offset, "%s: " #f " at 0x%x, should be 0x%x", \
	(t)->version, (l)->f.size ? (l)->f.offset : 0, (t)->f.offset)

static struct layout *derive_with(struct machine *m, struct layout *prior)
{
	GError *error = NULL;
	AUTO(kernel) k = kernel_find(m->image, NULL, &error);

	ck_assert_ptr_nonnull(k);
	AUTO(evidence) e = evidence_create(k);
	ck_assert_uint_eq(e->processes->len, 8);
	return derive_layout(e, &prior, 1);
}

START_TEST(changed_structures)
{
	struct machine m;

	machine_init(&m, versions[_i]);
	g_autofree char *origin = g_strdup(m.truth->version);
	AUTO(layout) prior = layout_copy(m.truth);
	g_free(prior->origin);
	prior->origin = g_strdup(origin);
	change(prior, "_KPROCESS", 0x28, 16);
	change(prior, "_EPROCESS", 0x100, 16);
	change(prior, "_EPROCESS", prior->eprocess.Token.offset, 24);
	change(prior, "_EPROCESS", prior->eprocess.Peb.offset + 1u, -8);
	change(prior, "_EPROCESS", prior->eprocess.ThreadListHead.offset, 40);
	change(prior, "_KTHREAD", prior->kthread.Teb.offset, 16);
	change(prior, "_ETHREAD", prior->ethread.Cid.offset, -8);
	change(prior, "_TOKEN", prior->token.UserAndGroupCount.offset, 8);
	change(prior, "_HANDLE_TABLE", prior->handle_table.QuotaProcess.offset, 8);
	change(prior, "_CONTROL_AREA", 0x30, 8);

	AUTO(layout) l = derive_with(&m, prior);
	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(l->source, LAYOUT_DERIVED);
	ck_field(l, m.truth, kprocess.DirectoryTableBase);
	ck_field(l, m.truth, kprocess.ThreadListHead);
	ck_field(l, m.truth, eprocess.UniqueProcessId);
	ck_field(l, m.truth, eprocess.ActiveProcessLinks);
	ck_field(l, m.truth, eprocess.ImageFileName);
	ck_field(l, m.truth, eprocess.InheritedFromUniqueProcessId);
	ck_field(l, m.truth, eprocess.CreateTime);
	ck_field(l, m.truth, eprocess.Peb);
	ck_field(l, m.truth, eprocess.VadRoot);
	ck_field(l, m.truth, eprocess.ThreadListHead);
	ck_field(l, m.truth, eprocess.Token);
	ck_field(l, m.truth, eprocess.ObjectTable);
	ck_field(l, m.truth, eprocess.SectionBaseAddress);
	ck_field(l, m.truth, kthread.Teb);
	ck_field(l, m.truth, kthread.StackBase);
	ck_field(l, m.truth, ethread.Cid);
	ck_field(l, m.truth, ethread.ThreadListEntry);
	ck_field(l, m.truth, ethread.Win32StartAddress);
	ck_field(l, m.truth, control_area.FilePointer);
	ck_field(l, m.truth, token.UserAndGroups);
	ck_field(l, m.truth, handle_table.QuotaProcess);
	ck_assert_uint_gt(l->eprocess.Peb.derived, 0);
	ck_assert_uint_gt(l->confidence, 0);
	/* What is not known is said to be so: nothing is wrong. */
	struct comparison c = { m.truth, 0, 0 };
	layout_visit_fields(l, compare, &c);
	ck_assert_uint_gt(c.same, 60);
	ck_assert_uint_lt(c.lost, c.same / 2);
	machine_deinit(&m);
}
END_TEST

/* A prior that fits is left alone. */
START_TEST(unchanged_structures)
{
	struct machine m;

	machine_init(&m, versions[_i]);
	AUTO(layout) prior = layout_copy(m.truth);
	g_free(prior->origin);
	prior->origin = g_strdup(m.truth->version);
	AUTO(layout) l = derive_with(&m, prior);
	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(l->source, LAYOUT_FAMILY);
	ck_assert_uint_eq(l->eprocess.Peb.derived, 0);
	struct comparison c = { m.truth, 0, 0 };
	layout_visit_fields(l, compare, &c);
	ck_assert_uint_eq(c.lost, 0);
	machine_deinit(&m);
}
END_TEST

/* A build nobody has: another's structures are the prior. */
START_TEST(hidden_build)
{
	struct machine m;
	GError *error = NULL;
	unsigned major, minor, build;

	machine_init(&m, versions[_i]);
	ck_assert_int_eq(sscanf(versions[_i], "%u.%u.%u", &major, &minor, &build), 3);
	g_autofree char *hide = g_strdup_printf("%u.%u.%u", major, minor, build);
	g_setenv("MEMSIEVE_HIDE_LAYOUTS", hide, TRUE);
	AUTO(kernel) k = kernel_find(m.image, NULL, &error);
	ck_assert_ptr_nonnull(k);
	ck_assert_ptr_nonnull(k->layout);
	ck_assert_int_eq(k->layout->source, LAYOUT_DERIVED);
	ck_symbol(&m, k, PsActiveProcessHead);
	ck_symbol(&m, k, PspCidTable);
	ck_field(k->layout, m.truth, eprocess.UniqueProcessId);
	ck_field(k->layout, m.truth, eprocess.ImageFileName);
	ck_field(k->layout, m.truth, eprocess.InheritedFromUniqueProcessId);
	ck_field(k->layout, m.truth, eprocess.CreateTime);
	ck_field(k->layout, m.truth, eprocess.VadRoot);
	ck_field(k->layout, m.truth, eprocess.Peb);
	ck_field(k->layout, m.truth, kprocess.DirectoryTableBase);
	ck_field(k->layout, m.truth, mmvad_short.StartingVpn);
	ck_field(k->layout, m.truth, mmvad_short.EndingVpn);
	ck_field(k->layout, m.truth, ethread.Cid);
	ck_assert_uint_gt(k->layout->eprocess.UniqueProcessId.derived, 0);
	g_unsetenv("MEMSIEVE_HIDE_LAYOUTS");
	machine_deinit(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("derive");
	TCase *small = tcase_create("block"), *machines = tcase_create("machines");
	SRunner *runner = srunner_create(suite);
	int failed, n = (int)G_N_ELEMENTS(versions);

	tcase_add_loop_test(small, kdbg_found, 0, (int)G_N_ELEMENTS(nevers) + 1);
	tcase_add_test(small, kdbg_not_found);
	tcase_add_test(small, known_builds);
	tcase_add_test(small, builds_alike);
	suite_add_tcase(suite, small);
	tcase_set_timeout(machines, 120);
	tcase_add_loop_test(machines, family, 0, n);
	tcase_add_loop_test(machines, changed_structures, 0, n);
	tcase_add_loop_test(machines, unchanged_structures, 0, n);
	tcase_add_loop_test(machines, hidden_build, 0, n);
	suite_add_tcase(suite, machines);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
