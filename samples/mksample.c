/* SPDX-License-Identifier: Apache-2.0 */
/* mksample DESCRIPTION DUMP [TRUTH]: build the dump that a description tells of, and write
 * down what an analysis of it should find.
 * mksample --loadable FILE…: which PE files can be mapped as images: a line each, "mapped SIZE" or why not. */
#include <stdio.h>
#include <string.h>
#include "sample.h"

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (argc > 1 && !strcmp(argv[1], "--loadable")) {
		for (int i = 2; i < argc; i++) {
			const char *why;
			struct executable *x = executable_load(argv[i], 0x10000000, &why);
			if (x)
				printf("mapped %u\n", x->size);
			else
				printf("%s\n", why);
			executable_destroy(x);
		}
		return 0;
	}
	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: mksample DESCRIPTION DUMP [TRUTH]\n");
		return 2;
	}
	if (!g_file_get_contents(argv[1], &text, NULL, &error)) {
		fprintf(stderr, "mksample: %s\n", error->message);
		return 1;
	}
	struct description *description = description_parse(text, argv[1], &error);
	if (!description) {
		fprintf(stderr, "mksample: %s\n", error->message);
		return 1;
	}
	struct sample *sample = sample_create(description);
	g_autofree char *truth = sample_truth(sample);
	bool ok = sample_write(sample, argv[2], &error) && (argc == 3 || g_file_set_contents(argv[3], truth, -1, &error));
	if (ok)
		description_check(description);
	else
		fprintf(stderr, "mksample: %s\n", error->message);
	sample_destroy(sample);
	description_destroy(description);
	return ok ? 0 : 1;
}
