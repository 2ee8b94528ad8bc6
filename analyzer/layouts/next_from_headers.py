#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The structures of build 26100 (Windows 11 24H2, Server 2025; 26200 shares its kernel) from those of 22631. See README.

    next_from_headers.py 10.0.22631.2428.txt --output DIR

What differs is in the headers of https://github.com/ntdiff/headers, Win11_2409_24H2/x64/System32/ntoskrnl.exe/Standalone:
_EPROCESS, _KPROCESS, _ETHREAD, _KTHREAD, _MMVAD. Structures that these headers list as changed too, but of which we
read little (_KPRCB behind its first fields, _WMI_LOGGER_CONTEXT, MiState), and the session's space, whose name and content changed,
are left out rather than guessed.
"""
import argparse
import os

DROPPED = {'_MM_SESSION_SPACE', '_MI_SYSTEM_INFORMATION', '_MI_HARDWARE_STATE', '_WMI_LOGGER_CONTEXT', '_ETW_SILODRIVERSTATE'}
SIZES = {'_KPROCESS': 0x1c8, '_EPROCESS': 0x840, '_KTHREAD': 0x4c0, '_ETHREAD': 0x788}
PLACES = {
    '_KPROCESS': {'UserDirectoryTableBase': 0x158, 'AddressPolicy': 0x160},
    '_EPROCESS': {
        'UniqueProcessId': 0x1d0, 'ActiveProcessLinks': 0x1d8, 'Flags2': 0x1f0, 'PicoCreated': 0x1f0, 'Flags': 0x1f4, 'ProcessExiting': 0x1f4,
        'ProcessDelete': 0x1f4, 'CreateTime': 0x1f8, 'SessionProcessLinks': 0x230, 'Token': 0x248, 'Win32Process': 0x298, 'Job': 0x2a0,
        'SectionObject': 0x2a8, 'SectionBaseAddress': 0x2b0, 'Cookie': 0x2b8, 'InheritedFromUniqueProcessId': 0x2d0, 'OwnerProcessId': 0x2d8,
        'Peb': 0x2e0, 'Session': 0x2e8, 'ObjectTable': 0x300, 'DebugPort': 0x308, 'WoW64Process': 0x310, 'ImageFilePointer': 0x330,
        'ImageFileName': 0x338, 'SeAuditProcessCreationInfo': 0x350, 'HighestUserAddress': 0x368, 'ThreadListHead': 0x370,
        'ActiveThreads': 0x380, 'MmProcessLinks': 0x540, 'ExitStatus': 0x554, 'VadRoot': 0x558, 'VadCount': 0x568, 'ExitTime': 0x5c0,
        'SignatureLevel': 0x5f8, 'SectionSignatureLevel': 0x5f9, 'Protection': 0x5fa, 'Flags3': 0x5fc, 'Minimal': 0x5fc,
        'SequenceNumber': 0x678, 'MitigationFlags': 0x750, 'MitigationFlags2': 0x754, 'ParentSecurityDomain': 0x768,
    },
    '_ETHREAD': {
        'CreateTime': 0x4c0, 'ExitTime': 0x4c8, 'StartAddress': 0x4e0, 'Cid': 0x508, 'ClientSecurity': 0x538, 'Win32StartAddress': 0x560,
        'ThreadListEntry': 0x578, 'CrossThreadFlags': 0x5a0, 'ActiveImpersonationInfo': 0x5a0, 'Terminated': 0x5a0, 'ExitStatus': 0x5d8,
        'ThreadName': 0x6a0,
    },
}
# A node's flags are one of several forms, by what it describes; its commit charge has all 32 bits of the word behind them.
LINES = {
    '_EPROCESS.Pcb': '0x0 456', '_ETHREAD.Tcb': '0x0 1216', '_MMVAD_FLAGS1.CommitCharge': '0x0 4 bits 0 32', '_MMVAD_FLAGS1.MemCommit': None,
    '_MMVAD_FLAGS.PrivateMemory': '0x0 4 bits 21 1',
}
ADDED = {'_MMVAD_FLAGS.PrivateMemory': ['_MMVAD_FLAGS.MemCommit 0x0 4 bits 25 1'], '_MMVAD_SHORT.u1': ['_MMVAD_SHORT.EventList 0x38 8']}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('family')
    p.add_argument('--output', required=True)
    a = p.parse_args()
    lines = ['# Made by next_from_headers.py; see README.', 'family 10.0.26100.1']
    for line in open(a.family):
        words = line.split()
        if line.startswith(('#', 'family')):
            continue
        if line.startswith('kernel'):
            break
        name = words[0]
        structure, _, member = name.partition('.')
        if structure in DROPPED:
            continue
        if name in SIZES:
            line = '%s 0x%x' % (name, SIZES[name])
        elif name in LINES:
            if not LINES[name]:
                continue
            line = '%s %s' % (name, LINES[name])
        elif member and structure in PLACES:
            if member in PLACES[structure]:
                words[1] = '0x%x' % PLACES[structure][member]
            elif structure != '_KPROCESS':
                raise ValueError('where is %s?' % name)
            line = ' '.join(words)
        lines.append(line.strip())
        lines += ADDED.get(name, [])
    open(os.path.join(a.output, '10.0.26100.1.txt'), 'w').write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
