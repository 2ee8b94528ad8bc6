/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include "limit.h"
#include "progress.h"

#define CHUNK (UINT64_C(1) << 20)

struct hasher {
	const struct file *file;
	GThread *thread;
	volatile int cancelled;
	GMutex lock;
	GCond moved;
	uint64_t at;		/* bytes done; UINT64_MAX at the end */
	uint64_t memory;	/* of this machine, a quarter of it */
};

static void move(struct hasher *h, uint64_t at)
{
	g_mutex_lock(&h->lock);
	h->at = at;
	g_cond_broadcast(&h->moved);
	g_mutex_unlock(&h->lock);
}

static void *hash_thread(void *data)
{
	struct hasher *h = data;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_length = 0;
	g_autofree uint8_t *zeros = h->file->parts ? g_malloc0(CHUNK) : NULL;
	struct range filled = { 0, 0 };
	uint64_t length;
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

	for (uint64_t at = 0; ok && at < h->file->size && !h->cancelled; at += length) {
		/* What is read through the mapping takes up the page cache, holes too. */
		if (at >= filled.start + filled.length && !file_next_filled(h->file, at, &filled))
			filled = (struct range){ h->file->size, 0 };
		bool hole = at < filled.start;
		length = MIN(CHUNK, (hole ? filled.start : filled.start + filled.length) - at);
		ok = EVP_DigestUpdate(ctx, hole ? zeros : h->file->map + at, length);
		progress_bytes(at);
		move(h, at + length);
	}
	move(h, UINT64_MAX);	/* nobody waits for what failed */
	ok = ok && !h->cancelled && EVP_DigestFinal_ex(ctx, digest, &digest_length);
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return NULL;
	GString *hex = g_string_sized_new(2 * digest_length);
	for (unsigned i = 0; i < digest_length; i++)
		g_string_append_printf(hex, "%02x", digest[i]);
	return g_string_free(hex, FALSE);
}

bool hash_bounded(const struct file *file)
{
	return file->size - file_filled(file) <= limit(hash_holes);
}

struct hasher *hasher_start(const struct file *file)
{
	if (!hash_bounded(file))
		return NULL;
	struct hasher *h = g_new0(struct hasher, 1);

	h->file = file;
	g_mutex_init(&h->lock);
	g_cond_init(&h->moved);
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	h->memory = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 : UINT64_C(1) << 30;
	h->thread = g_thread_try_new("sha256", hash_thread, h, NULL);
	if (!h->thread)		/* it is done by who finishes: nobody waits for it before */
		h->at = UINT64_MAX;
	return h;
}

char *hasher_finish(struct hasher *h)
{
	char *hex = !h ? NULL : h->thread ? g_thread_join(h->thread) : hash_thread(h);

	if (!h)
		return NULL;

	g_mutex_clear(&h->lock);
	g_cond_clear(&h->moved);
	g_free(h);
	return hex;
}

void hasher_wait(struct hasher *h, uint64_t at, uint64_t window, const volatile int *cancel)
{
	if (!window)
		window = h->memory;
	g_mutex_lock(&h->lock);
	while (at > window && h->at < at - window && !h->cancelled && !(cancel && *cancel))
		/* An interrupt wakes nobody: look again now and then. */
		g_cond_wait_until(&h->moved, &h->lock, g_get_monotonic_time() + G_TIME_SPAN_SECOND / 10);
	g_mutex_unlock(&h->lock);
}

void hasher_cancel(struct hasher *h)
{
	h->cancelled = 1;
}

void hash_prepare(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

const char *hash_library_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
