/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiny dumps of every format, made from nothing: for the tests of the readers and as
 * seeds of their fuzz target. Page n holds the 64-bit number n over and over.
 */
#ifndef MEMSIEVE_FORMAT_SAMPLES_H
#define MEMSIEVE_FORMAT_SAMPLES_H
#include <glib.h>
#include <stdint.h>

#define SAMPLE_PAGE 4096u

struct sample { const char *name; GByteArray *(*make)(void); };
extern const struct sample samples[];	/* up to a NULL name */

/* Bytes or a little-endian number at an offset; what lies before grows zeros. */
void put(GByteArray *a, size_t at, const void *bytes, size_t n);
void put_be64(GByteArray *a, uint64_t v);	/* behind all that is there */
void put_le(GByteArray *a, size_t at, uint64_t value, unsigned width);
void put_text(GByteArray *a, size_t at, const char *text);		/* without its NUL */
void put_utf16(GByteArray *a, size_t at, const char *ascii);		/* without a NUL */
void put_page(GByteArray *a, size_t at, uint64_t pfn);

/* Crash dumps: pages 1, 2, 8 in runs {1,2},{8,1}, or in a bitmap of 64 bits. */
GByteArray *sample_full64(void);
GByteArray *sample_full32(void);
GByteArray *sample_bitmap64(void);
GByteArray *sample_summary64(void);	/* DumpType 2: 32-bit fields */
GByteArray *sample_summary32(void);
GByteArray *sample_rdmp(void);
GByteArray *sample_triage64(void);
GByteArray *sample_triage32(void);
GByteArray *sample_lime(void);
GByteArray *sample_vmrs(void);		/* 1 filled, 2 stored, 8 packed; the keys of block 1 at SAMPLE_VMRS_KEYS */
#define SAMPLE_VMRS_KEYS 0x3000u
#define SAMPLE_VMRS_BLOCK 0x4000u	/* of block 0, */
#define SAMPLE_VMRS_SIZE (SAMPLE_VMRS_KEYS + 130)	/* and where its size stands */
GByteArray *sample_avml(void);		/* 1 and 2 compressed, 8 stored */
#define SAMPLE_AVML_CHECKSUM 0xb3983cd1u	/* of pages 1 and 2, as snappy's frames have it */
GByteArray *sample_vmss(void);		/* regions {0,2} and {16,1}, CR64 */
GByteArray *sample_vmem(void);
GByteArray *sample_vmsn(void);		/* the same with its memory inline */
GByteArray *sample_elf(void);		/* QEMU's; pages 1, 2, 8 */
GByteArray *sample_kdump(void);		/* 0 stored, 1 zlib, 3 stored */
GByteArray *sample_flattened(void);	/* the same in records */
GByteArray *sample_hibernation(void);	/* 16-31 Xpress, 32-47 Huffman (zero but for one byte), 1 stored */
GByteArray *sample_minidump(void);
/* Packed by libarchive: filter "gzip", "xz", "zstd", or the format "zip". */
GByteArray *sample_packed(GByteArray *data, const char *with);
#endif
