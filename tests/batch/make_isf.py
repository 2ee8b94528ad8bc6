#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Volatility-3 symbol file with what a layout in our text form says: make_isf.py LAYOUT.txt FOLDER

The layout is one of a dump, `memsieve symbols show DUMP`. Members of the size of a pointer are pointers, larger ones arrays,
structures they begin with structures; bit fields are bit fields. Written as FOLDER/GUID-AGE.json.xz; prints that name.
"""
import json, lzma, os, re, sys

text = open(sys.argv[1]).read()
pointer = int(re.search(r'^pointer (\d)$', text, re.M)[1])
types = {m[1]: {'kind': 'struct', 'size': int(m[2], 16), 'fields': {}} for m in re.finditer(r'^(_\w+) (0x[0-9a-f]+)$', text, re.M)}
INTEGERS = {1: 'unsigned char', 2: 'unsigned short', 4: 'unsigned long', 8: 'unsigned long long'}


def type_of(size):
    if size == pointer:
        return {'kind': 'pointer', 'subtype': {'kind': 'base', 'name': 'void'}}
    if size in INTEGERS:
        return {'kind': 'base', 'name': INTEGERS[size]}
    return {'kind': 'array', 'count': size, 'subtype': {'kind': 'base', 'name': 'unsigned char'}}


for m in re.finditer(r'^(_\w+)\.(\w+) (0x[0-9a-f]+) (\d+)(?: bits (\d+) (\d+))?(?: derived \d+)?$', text, re.M):
    t = type_of(int(m[4]))
    if m[5]:
        t = {'kind': 'bitfield', 'bit_position': int(m[5]), 'bit_length': int(m[6]), 'type': {'kind': 'base', 'name': INTEGERS[int(m[4])]}}
    # The headers that some are made from lack sizes of structures that are read of.
    own = types.setdefault(m[1], {'kind': 'struct', 'size': 0x1000, 'fields': {}})
    own['fields'][m[2]] = {'offset': int(m[3], 16), 'type': t}
kernel = re.search(r'^kernel (\w{32})(\w+)(?: \S+)?$', text, re.M)
symbols = {m[1]: {'address': int(m[2], 16)} for m in re.finditer(r'^ (\w+) (0x[0-9a-f]+)$', text, re.M)}
base = {n: {'kind': 'int', 'size': s, 'signed': False, 'endian': 'little'} for s, n in INTEGERS.items()}
base['void'] = {'kind': 'void', 'size': 0, 'signed': False, 'endian': 'little'}
base['pointer'] = {'kind': 'int', 'size': pointer, 'signed': False, 'endian': 'little'}
isf = {'metadata': {'format': '6.2.0', 'producer': {'name': 'make_isf.py', 'version': '1'},
                    'windows': {'pdb': {'GUID': kernel[1], 'age': int(kernel[2], 16), 'database': 'ntkrnlmp.pdb', 'machine_type': 0x8664}}},
       'base_types': base, 'enums': {}, 'symbols': symbols, 'user_types': types}
name = '%s-%d.json.xz' % (kernel[1], int(kernel[2], 16))
with lzma.open(os.path.join(sys.argv[2], name), 'wt') as f:
    json.dump(isf, f)
print(name)
