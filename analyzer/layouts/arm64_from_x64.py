#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The structures of an ARM64 kernel from those of the x64 kernel of the same build. See README.

    arm64_from_x64.py 10.0.19041.264.txt ... --output DIR

No public source has whole ARM64 kernels of these builds. What differs is known from ARM64 headers of the builds
around them (https://github.com/ntdiff/headers, Win10_20H2_19569/ARM64: _EPROCESS, _ETHREAD; Win10_1903_19H1_18290/ARM64:
the _MMPTE_ forms), and the places that System Informer's dynamic data has for ARM64 kernels from 19041 to 22631
(ObjectTable, SectionObject, the thread's stacks and counters) agree with them.
"""
import argparse
import os
import re

# Structures that the machine shapes and nobody has published for ARM64: left out rather than guessed.
DROPPED = {'_KPCR', '_KPRCB', '_KPROCESSOR_STATE', '_KSPECIAL_REGISTERS', '_KTRAP_FRAME', '_KIDTENTRY64', '_MI_SYSTEM_INFORMATION',
           '_MI_HARDWARE_STATE', '_MMPFN', '_EJOB', '_ETW_SILODRIVERSTATE', '_WMI_LOGGER_CONTEXT', '_KTIMER_TABLE',
           '_KTIMER_TABLE_ENTRY'}
DROPPED_FIELDS = {'_MM_SESSION_SPACE.ProcessList', '_KPROCESS.UserDirectoryTableBase', '_KPROCESS.AddressPolicy', '_MMPTE_PROTOTYPE.SwizzleBit', '_MMPTE_SOFTWARE.SwizzleBit',
                  '_MMPTE_TRANSITION.SwizzleBit', '_MMPTE_SUBSECTION.SwizzleBit'}
# A process begins with a KPROCESS of 0x3f0 bytes, not 0x438; _MMSUPPORT_FULL, at the same place in both, is 0x200 bytes, not 0x140.
KPROCESS, X64_KPROCESS = 0x3f0, 0x438
WORKING_SET, GROWN = 0x680, 0xc0
# A thread: no FirstArgument's neighbour (8 less) up to the wait block, a switch frame of 0x20 bytes before Process.
THREAD_SWITCH_FRAME, THREAD_LESS, THREAD_MORE = 0x200, 8, 0x20
EXACT = {
    '_KPROCESS.ThreadListHead': (0x38, '16'), '_EPROCESS.Pcb': (0, '1008'), 
    '_MMPTE_SOFTWARE.Protection': (0, '8 bits 1 5'), '_MMPTE_SOFTWARE.PageFileLow': (0, '8 bits 6 4'),
    '_MMPTE_SOFTWARE.PageFileReserved': (0, '8 bits 12 1'), '_MMPTE_SOFTWARE.PageFileAllocated': (0, '8 bits 13 1'),
    '_MMPTE_TRANSITION.Protection': (0, '8 bits 1 5'), '_MMPTE_PROTOTYPE.Protection': (0, '8 bits 1 5'),
    '_MMPTE_SUBSECTION.Protection': (0, '8 bits 1 5'), '_MMPTE_HARDWARE.NoExecute': (0, '8 bits 54 1'),
    '_MMPTE_HARDWARE.CopyOnWrite': (0, '8 bits 56 1'), '_MMPTE_HARDWARE.Write': (0, '8 bits 55 1'),
    '_MMPTE_HARDWARE.Dirty': (0, '8 bits 7 1'),
}
SIZES = {'_KPROCESS': KPROCESS, '_EPROCESS': None, '_KTHREAD': None, '_ETHREAD': None}


def moved(name, offset):
    structure = name.split('.')[0]
    if structure == '_EPROCESS' and offset:
        return offset + GROWN if offset > WORKING_SET else offset - (X64_KPROCESS - KPROCESS)
    if structure == '_KTHREAD' and offset > 0x58:
        return offset + THREAD_MORE if offset >= THREAD_SWITCH_FRAME else offset - THREAD_LESS
    if structure == '_ETHREAD' and offset:
        return offset + THREAD_MORE
    return offset


def main():
    p = argparse.ArgumentParser()
    p.add_argument('families', nargs='+')
    p.add_argument('--output', required=True)
    a = p.parse_args()
    for path in a.families:
        name = os.path.basename(path)[:-4] + '-arm64'
        lines = ['# Made by arm64_from_x64.py; see README.']
        for line in open(path):
            words = line.split()
            if line.startswith(('#', 'kernel', ' ')):
                continue
            if words[0] == 'family':
                lines.append('family ' + name)
            elif words[0] == 'pointer':
                lines.append(line.strip())
            elif words[0].split('.')[0] in DROPPED or words[0] in DROPPED_FIELDS:
                continue
            elif '.' in words[0]:
                offset, rest = int(words[1], 16), ' '.join(words[2:])
                offset, rest = EXACT.get(words[0], (moved(words[0], offset), rest))
                if words[0] == '_ETHREAD.Tcb':
                    rest = '%d' % (int(rest) + THREAD_MORE)
                # Behind the thread's kernel part only the builds around 19041 are published.
                if words[0].startswith('_ETHREAD.') and offset and '.19041.' not in name:
                    rest += ' derived 70'
                lines.append('%s 0x%x %s' % (words[0], offset, rest))
            else:
                size = int(words[1], 16)
                if words[0] in SIZES:
                    grown = {'_EPROCESS': GROWN, '_KTHREAD': THREAD_MORE, '_ETHREAD': THREAD_MORE}.get(words[0], 0)
                    size = SIZES[words[0]] or size + grown
                lines.append('%s 0x%x' % (words[0], size))
        open(os.path.join(a.output, name + '.txt'), 'w').write('\n'.join(lines) + '\n')


main()
