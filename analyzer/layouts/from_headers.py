#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Structure offsets of layout.def's fields from C headers whose comments tell each member's offset, as those of
https://github.com/novafacing/vergilius-rs (headers/bindings-VERSION-ARCH.h). See README.

    from_headers.py layout.def bindings-10.0.22621.382-x64.h ... --output DIR
"""
import argparse
import os
import re
import sys

SIZES = {'CHAR': 1, 'UCHAR': 1, 'BOOLEAN': 1, 'SCHAR': 1, 'UINT8': 1, 'SHORT': 2, 'USHORT': 2, 'WCHAR': 2, 'LONG': 4,
         'ULONG': 4, 'INT': 4, 'UINT': 4, 'HRESULT': 4, 'FLOAT': 4, 'LONGLONG': 8, 'ULONGLONG': 8, 'DOUBLE': 8, 'INT64': 8,
         'UINT64': 8, 'VOID': 0, 'char': 1, 'int': 4, 'long': 4, 'unsigned char': 1, 'unsigned int': 4}


def wanted(path):
    """layout.def: type name -> fields, in its order."""
    text = re.sub(r'/\*.*?\*/', '', open(path).read(), flags=re.S)
    out = {}
    for name, fields in re.findall(r'STRUCT\(\w+, "(\w+)",(.*?)\)\s*(?=STRUCT|SYMBOL|\Z)', text, re.S):
        out[name] = re.findall(r'FIELD\((\w+)\)', fields)
    return out


# The headers have these cut short, as drivers see them.
PARTIAL = {'_KPCR', '_KPRCB', '_DRIVER_EXTENSION'}


class Header:
    def __init__(self, text, pointer):
        self.pointer, self.bodies, self.sizes = pointer, {}, {}
        for m in re.finditer(r'^// (0x[0-9a-f]+) \(\d+\) bytes\n(?:struct|union) (\w+) \{(.*?)^\};', text, re.S | re.M):
            self.sizes.setdefault(m[2], int(m[1], 16))
            self.bodies.setdefault(m[2], m[3])
        for m in re.finditer(r'^// 0x[0-9a-f]+ \(\d+\) bytes\nenum (\w+) ', text, re.M):
            self.sizes.setdefault(m[1], 4)

    def size_of(self, kind, name):
        name = re.sub(r'\b(const|volatile)\b', '', name).strip()
        if kind == 'enum':
            return 4
        if kind:
            return self.sizes.get(name)
        return SIZES.get(name)

    def members(self, body):
        """Of one body: (name, offset, size, bit, bits); those of unnamed members included, so far as they are unnamed."""
        out, stack = [], [[None, 0, []]]
        # A statement and the comment behind it; braces stand alone.
        tokens = re.findall(r'(?:struct|union)\s*\{|\}[^;]*;(?:\s*// offset: 0x[0-9a-f]+)?|[^{};]+;(?:\s*// offset: 0x[0-9a-f]+)?', body)
        bit_at, bit = None, 0
        for t in tokens:
            t = t.strip()
            offset = re.search(r'// offset: (0x[0-9a-f]+)$', t)
            offset = int(offset[1], 16) if offset else None
            statement = re.sub(r'//.*', '', t).strip()
            statement = re.sub(r'^\(\d+\)\s*', '', statement)
            if statement.endswith('{'):
                stack.append([None, 0, []])
                continue
            if statement.startswith('}'):
                name = re.match(r'\}\s*(\w*)\s*((?:\[\d+\])*)', statement)
                inner = stack.pop()[2]
                bit_at = None
                if name[1]:
                    if not inner:
                        continue
                    start = min(o for _, o, _, _, _ in inner)
                    size = max(o + s for _, o, s, _, _ in inner) - start
                    for n in re.findall(r'\[(\d+)\]', name[2]):
                        size *= int(n)
                    stack[-1][2].append((name[1], offset if offset is not None else start, size, 0, 0))
                else:
                    stack[-1][2].extend(inner)
                continue
            if offset is None:
                continue
            if '(*' in statement:
                name = re.search(r'\(\*\s*(?:volatile )?(\w+)(?:\[(\d+)\])?\)', statement)
                bit_at = None
                if name:
                    stack[-1][2].append((name[1], offset, self.pointer * int(name[2] or 1), 0, 0))
                continue
            m = re.match(r'(?:(?:const|volatile)\s+)*(?:(struct|union|enum)\s+)?([\w ]*?)\s*((?:\*\s*(?:(?:const|volatile)\s*)*)*)(\w+)\s*((?:\s*\[\d*\])*)\s*(?::\s*(\d+))?;$',
                         re.sub(r'\s+', ' ', statement))
            if not m:
                raise ValueError(statement)
            kind, base, stars, name, dims, bits = m.groups()
            size = self.pointer if stars else self.size_of(kind, base)
            if size is None:
                size = 0
            for n in re.findall(r'\[(\d*)\]', dims):
                size *= max(int(n or 1), 1)
            if bits:
                if bit_at != (offset, size):
                    bit_at, bit = (offset, size), 0
                stack[-1][2].append((name, offset, size, bit, int(bits)))
                bit += int(bits)
            else:
                bit_at = None
                stack[-1][2].append((name, offset, size, 0, 0))
        return stack[0][2]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('definition')
    p.add_argument('headers', nargs='+')
    p.add_argument('--output', required=True)
    a = p.parse_args()
    want = wanted(a.definition)
    for path in a.headers:
        version, arch = re.match(r'bindings-([\d.]+)-(x64|x86)\.h$', os.path.basename(path)).groups()
        h = Header(open(path).read(), 8 if arch == 'x64' else 4)
        family = version + ('-x86' if arch == 'x86' else '')
        lines = ['# Made by from_headers.py; see README.', 'family ' + family, 'pointer %d' % h.pointer]
        fields = []
        for t, names in want.items():
            if t not in h.bodies:
                continue
            if h.sizes[t] and t not in PARTIAL:
                lines.append('%s 0x%x' % (t, h.sizes[t]))
            found = {}
            for name, offset, size, bit, bits in h.members(h.bodies[t]):
                found.setdefault(name, (offset, size, bit, bits))
            for name in names:
                if name not in found or found[name][0] > 0xffff:
                    continue
                offset, size, bit, bits = found[name]
                if not size and name == 'Body':    # _QUAD, in headers that lack it
                    size = 8
                if not size:
                    print('%s: %s.%s: size unknown' % (family, t, name), file=sys.stderr)
                    continue
                fields.append('%s.%s 0x%x %u%s' % (t, name, offset, min(size, 0xffff), ' bits %u %u' % (bit, bits) if bits else ''))
        open(os.path.join(a.output, family + '.txt'), 'w').write('\n'.join(lines + fields) + '\n')


if __name__ == "__main__":
    main()
