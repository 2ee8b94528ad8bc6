/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* O_PATH */
#endif
#include "sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "hash.h"
#include "layout_store.h"
#include "limit.h"
#include "store.h"

/* Sanitizers need memory beyond any bound, and ptrace to look for leaks. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

/*
 * The kernel's interface (Documentation/userspace-api/landlock.rst); headers of build machines
 * are often older than the kernel a program runs on, so its parts are named here.
 */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_FILE_RIGHTS (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | UINT64_C(1) << 15)

struct ruleset { uint64_t fs, net, scoped; };
struct path_beneath { uint64_t allowed; int32_t fd; } __attribute__((packed));

/* What each version of the interface can forbid, and how much of struct ruleset it knows. */
static const struct abi { struct ruleset handled; size_t size; } abis[] = {
	{ { 0, 0, 0 }, 0 },
	{ { 0x1fff, 0, 0 }, 8 },	/* 5.13 */
	{ { 0x3fff, 0, 0 }, 8 },	/* 5.19: files moved to other folders */
	{ { 0x7fff, 0, 0 }, 8 },	/* 6.2: truncate */
	{ { 0x7fff, 3, 0 }, 16 },	/* 6.7: TCP bind and connect */
	{ { 0xffff, 3, 0 }, 16 },	/* 6.10: ioctl of devices */
	{ { 0xffff, 3, 3 }, 24 },	/* 6.12: abstract sockets and signals to the outside */
};

struct grant { char *path; uint64_t rights; bool nofollow; };

struct sandbox {
	GArray *grants;
	bool renames;
	uint64_t file_bytes;
};

static void grant_clear(void *data)
{
	g_free(((struct grant *)data)->path);
}

static void grant(struct sandbox *s, const char *path, uint64_t rights)
{
	struct grant g = { g_strdup(path), rights, false };

	if (path)
		g_array_append_val(s->grants, g);
}

/* Itself: a link may lead anywhere. */
static void grant_file(struct sandbox *s, const char *path)
{
	grant(s, path, FS_READ_FILE);
	g_array_index(s->grants, struct grant, s->grants->len - 1).nofollow = true;
}

/* The least descriptor from `from` on that an argument names; UINT_MAX: none. */
static unsigned next_named(char *const *arguments, unsigned from)
{
	unsigned least = UINT_MAX;

	for (; *arguments; arguments++)
		for (const char *at = *arguments; (at = strstr(at, "fd")); at += 2) {
			guint64 fd = (at[2] == '/' || at[2] == '=') && g_ascii_isdigit(at[3]) ? g_ascii_strtoull(at + 3, NULL, 10) : UINT_MAX;
			if (fd >= from && fd < least)
				least = (unsigned)fd;
		}
	return least;
}

void sandbox_close_inherited(char *const *arguments)
{
	unsigned from = 3, named;

	do {
		named = next_named(arguments, from);
		if (named > from)
			(void)syscall(SYS_close_range, from, named == UINT_MAX ? UINT_MAX : named - 1, 0);
		from = named + 1;
	} while (named != UINT_MAX);
}

struct sandbox *sandbox_create(void)
{
	/* Libraries read their data lazily. Nothing in these is anyone's secret. */
	static const char *const system[] = {
		"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/magic", "/dev/urandom", "/sys/devices/system/cpu",
	};
	struct sandbox *s = g_new0(struct sandbox, 1);

	s->grants = g_array_new(FALSE, FALSE, sizeof(struct grant));
	g_array_set_clear_func(s->grants, grant_clear);
	for (size_t i = 0; i < G_N_ELEMENTS(system); i++)
		sandbox_read(s, system[i]);
	grant(s, "/dev/null", FS_READ_FILE | FS_WRITE_FILE);
	return s;
}

void sandbox_destroy(struct sandbox *s)
{
	if (!s)
		return;
	g_array_free(s->grants, TRUE);
	g_free(s);
}

void sandbox_read(struct sandbox *s, const char *path)
{
	grant(s, path, FS_READ_FILE | FS_READ_DIR);
}

void sandbox_write(struct sandbox *s, const char *folder)
{
	grant(s, folder, FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_MAKE_REG | FS_REMOVE_FILE | FS_TRUNCATE);
}

/* How much of a name the parts of one dump have in common: what comes before its last number, else before its extension. */
static size_t common_length(const char *name)
{
	size_t end = strlen(name);
	const char *dot = strrchr(name, '.');
	size_t stem = dot ? (size_t)(dot - name) : end;

	while (end && !g_ascii_isdigit(name[end - 1]))
		end--;
	while (end && g_ascii_isdigit(name[end - 1]))
		end--;
	return end && end < stem ? end : stem;
}

/*
 * A link beside a dump may lead anywhere, and whoever unpacked evidence has those that were in it. Where the dump is itself one, as in a
 * folder of links to what lies elsewhere together, those count that lead to beside it.
 */
static void read_link(struct sandbox *s, const char *dump, const char *path)
{
	g_autofree char *there = realpath(dump, NULL), *real = realpath(path, NULL);

	if (!there || !real || !g_file_test(dump, G_FILE_TEST_IS_SYMLINK))
		return;
	g_autofree char *folder = g_path_get_dirname(there), *its = g_path_get_dirname(real);
	if (!strcmp(folder, its))
		grant_file(s, real);
}

void sandbox_read_dump(struct sandbox *s, const char *path)
{
	g_autofree char *folder = g_path_get_dirname(path), *base = g_path_get_basename(path);
	size_t common = common_length(base);
	GDir *dir = common ? g_dir_open(folder, 0, NULL) : NULL;
	const char *name;

	sandbox_read(s, path);
	grant(s, folder, FS_READ_DIR);
	for (unsigned n = 0; dir && n < 4096 && (name = g_dir_read_name(dir)); ) {
		if (strncmp(name, base, common))
			continue;
		g_autofree char *full = g_build_filename(folder, name, NULL);
		if (g_file_test(full, G_FILE_TEST_IS_SYMLINK))
			read_link(s, path, full);
		else
			grant_file(s, full);
		n++;
	}
	if (dir)
		g_dir_close(dir);
}

/* ---- what of it the kernel can enforce */

static bool enter_landlock(const struct sandbox *s)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);

	if (abi < 1)
		return false;
	const struct abi *a = &abis[MIN((size_t)abi, G_N_ELEMENTS(abis) - 1)];
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &a->handled, a->size, 0);
	if (ruleset < 0)
		return false;
	for (guint i = 0; i < s->grants->len; i++) {
		const struct grant *g = &g_array_index(s->grants, struct grant, i);
		struct path_beneath rule = { g->rights & a->handled.fs, open(g->path, O_PATH | O_CLOEXEC | (g->nofollow ? O_NOFOLLOW : 0)) };
		struct stat st = { 0 };
		if (rule.fd < 0)
			continue;
		if (!fstat(rule.fd, &st) && !S_ISDIR(st.st_mode))
			rule.allowed &= FS_FILE_RIGHTS;
		if (g->nofollow && !S_ISREG(st.st_mode))
			rule.allowed = 0;
		if (rule.allowed)
			(void)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
		close(rule.fd);
	}
	bool ok = !syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
	return ok;
}

/* With any arguments. */
static const int calls[] = {
	/* files */
	SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(pwrite64), SCMP_SYS(writev), SCMP_SYS(pwritev),
	SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(close), SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat),
	SCMP_SYS(stat64), SCMP_SYS(fstat64), SCMP_SYS(lstat64), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(statfs64), SCMP_SYS(fstatfs64), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(ftruncate64), SCMP_SYS(fallocate),
	SCMP_SYS(fadvise64), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(dup), SCMP_SYS(flock), SCMP_SYS(readahead),
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(msync), SCMP_SYS(mincore),
	/* threads of this process */
	SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getattr),
	SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler), SCMP_SYS(getcpu), SCMP_SYS(membarrier),
	/* signals to itself, and time */
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(pause), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
	/* who and where it is */
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
	SCMP_SYS(getrlimit), SCMP_SYS(ugetrlimit), SCMP_SYS(times),
};

static bool allow(scmp_filter_ctx ctx, int call, unsigned n, const struct scmp_arg_cmp *args)
{
	int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, n, args);

	/* A call that this architecture doesn't have needs no permission. */
	return !rc || call < 0 || rc == -EDOM;
}

static bool allow_some(scmp_filter_ctx ctx)
{
	static const unsigned fcntls[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_DUPFD_CLOEXEC, F_OFD_GETLK, F_OFD_SETLK };
	static const unsigned ioctls[] = { 0x5401 /* TCGETS */, 0x5413 /* TIOCGWINSZ */ };
	static const unsigned prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE };
	bool ok = true;

	for (size_t i = 0; i < G_N_ELEMENTS(fcntls) && ok; i++)
		ok = allow(ctx, SCMP_SYS(fcntl), 1, &SCMP_A1(SCMP_CMP_EQ, fcntls[i])) &&
		     allow(ctx, SCMP_SYS(fcntl64), 1, &SCMP_A1(SCMP_CMP_EQ, fcntls[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(ioctls) && ok; i++)
		ok = allow(ctx, SCMP_SYS(ioctl), 1, &SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(prctls) && ok; i++)
		ok = allow(ctx, SCMP_SYS(prctl), 1, &SCMP_A0(SCMP_CMP_EQ, prctls[i]));
	/* No files that run as their owner. The mode of what isn't made is 0 in C libraries. */
	ok = ok && allow(ctx, SCMP_SYS(open), 1, &SCMP_A2(SCMP_CMP_MASKED_EQ, S_ISUID | S_ISGID, 0)) &&
	     allow(ctx, SCMP_SYS(openat), 1, &SCMP_A3(SCMP_CMP_MASKED_EQ, S_ISUID | S_ISGID, 0));
	/* GLib's threads take over their maker's priority; those of other processes are none of ours. */
	ok = ok && allow(ctx, SCMP_SYS(sched_setattr), 1, &SCMP_A0(SCMP_CMP_EQ, 0));
	/* Threads, but no processes. clone3's flags lie in memory, out of a filter's sight: with ENOSYS the C library takes clone. */
	ok = ok && allow(ctx, SCMP_SYS(clone), 1, &SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD));
	if (ok && seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
		ok = false;
	/* abort() and raise() */
	ok = ok && allow(ctx, SCMP_SYS(tgkill), 1, &SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* Limits may be asked for, not set. */
	return ok && allow(ctx, SCMP_SYS(prlimit64), 1, &SCMP_A2(SCMP_CMP_EQ, 0));
}

static bool enter_seccomp(const struct sandbox *s)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool ok = ctx != NULL;

	for (size_t i = 0; ok && i < G_N_ELEMENTS(calls); i++)
		ok = allow(ctx, calls[i], 0, NULL);
	if (s->renames)
		ok = ok && allow(ctx, SCMP_SYS(rename), 0, NULL);
	if (ok) {	/* whatever threads libraries have started; no slower memory for it on older kernels */
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	}
	ok = ok && allow_some(ctx) && !seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return ok;
}

/* Root keeps what lets it read evidence that belongs to others, and nothing else. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint32_t keep = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (i >= 32 || !(keep >> i & 1))
			(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	if (syscall(SYS_capget, &header, data))
		return;
	data[0].permitted &= keep;
	data[0].effective = data[0].permitted;	/* belong_to() took them from the effective ones */
	data[1].permitted = data[1].effective = 0;
	data[0].inheritable = data[1].inheritable = 0;
	(void)syscall(SYS_capset, &header, data);
}

/*
 * Root writes into somebody else's case: SQLite would give its journal to the case's owner, who must be able to roll it back.
 * Changing owners and modes can't be allowed, since Landlock doesn't know them: whatever can be read could be given away.
 * So what is made belongs to the owner from the beginning.
 */
static void belong_to(const char *file)
{
	struct stat st;

	if (!file || geteuid() || stat(file, &st) || !st.st_uid)
		return;
	(void)setfsgid(st.st_gid);
	(void)setfsuid(st.st_uid);
}

static void lower(int resource, uint64_t soft, uint64_t more)
{
	struct rlimit now;

	if (getrlimit(resource, &now))
		return;
	now.rlim_max = MIN(now.rlim_max, (rlim_t)(soft + more));
	now.rlim_cur = MIN(now.rlim_cur, (rlim_t)soft);
	(void)setrlimit(resource, &now);
}

static void bound_resources(uint64_t file_bytes)
{
	lower(RLIMIT_CORE, 0, 0);
	lower(RLIMIT_FSIZE, file_bytes ? MIN(file_bytes, limit(file_bytes)) : limit(file_bytes), 0);
	lower(RLIMIT_CPU, limit(cpu_seconds), 60);
	lower(RLIMIT_DATA, limit(memory_bytes), 0);
}

const char *sandbox_enter(struct sandbox *s, bool tell)
{
	bool landlock = false, seccomp = false;

	if (sanitized)
		return "none";
	bound_resources(s->file_bytes);
	drop_capabilities();
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		landlock = enter_landlock(s);
		seccomp = enter_seccomp(s);
	}
	if (tell && !landlock)
		g_printerr("memsieve: this kernel has no Landlock: files are not confined\n");
	if (tell && !seccomp)
		g_printerr("memsieve: seccomp can't be used here: system calls are not confined\n");
	return landlock ? seccomp ? "landlock+seccomp" : "landlock" : seccomp ? "seccomp" : "none";
}

static void read_case(struct sandbox *s, const char *path)
{
	g_autofree char *folder = store_writes_to(path), *journal = store_journal(path);

	sandbox_read(s, path);
	grant_file(s, journal);		/* to say what is wrong with it */
	if (folder)
		sandbox_write(s, folder);
}

const char *sandbox_confine(const struct sandbox_files *files, bool tell)
{
	AUTO(sandbox) s = sandbox_create();
	g_autofree char *layouts = layout_store_directory();
	const char *temporary = g_getenv("TMPDIR");

	for (char *const *dump = files->dumps; dump && *dump; dump++)
		sandbox_read_dump(s, *dump);
	for (char *const *path = files->cases; path && *path; path++)
		read_case(s, *path);
	for (size_t i = 0; i < G_N_ELEMENTS(files->read); i++)
		for (char *const *path = files->read[i]; path && *path; path++)
			sandbox_read(s, *path);
	sandbox_read(s, files->layout);
	sandbox_read(s, layouts);
	if (files->write)
		sandbox_write(s, files->write);
	s->renames = files->renames;
	s->file_bytes = files->file_bytes;
	sandbox_write(s, temporary && *temporary ? temporary : "/var/tmp");
	hash_prepare();
	belong_to(files->owned);
	return sandbox_enter(s, tell);
}
