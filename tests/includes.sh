#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The direction of dependency: formats and plugins know the analyzer, never each other, the analyzer neither; and
# one file knows each of the libraries that could be exchanged. libkdumpfile is for tests alone (formats/kdump.c says why).
cd "${srcdir:-.}" || exit 99
! grep -nE '#include "(.*/)?(formats|plugins)/' analyzer/*.[ch] &&
! grep -nE '#include "(.*/)?(formats|plugins)/' formats/*.[ch] plugins/*.[ch] &&
! grep -lE '#include <sqlite3' analyzer/*.[ch] formats/*.[ch] plugins/*.[ch] | grep -v '^analyzer/store[_a-z]*\.[ch]$' &&
! grep -lE '#include <yara' analyzer/*.[ch] formats/*.[ch] plugins/*.[ch] | grep -v '^analyzer/scan.c$' &&
! grep -lE '#include <libkdumpfile' analyzer/*.[ch] formats/*.[ch] plugins/*.[ch]
