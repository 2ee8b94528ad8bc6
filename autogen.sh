#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make the build system from a checkout: configure and Makefile.in.
cd "$(dirname "$0")" && exec autoreconf --force --install --warnings=all,no-portability
