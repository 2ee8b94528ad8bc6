/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the MITRE ATT&CK techniques that rules speak of. */
#ifndef MEMSIEVE_ATTACK_H
#define MEMSIEVE_ATTACK_H

/* "Process Hollowing" of "T1055.012"; NULL: not known. */
const char *attack_name(const char *id);
#endif
