#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fill what from_headers.py found no member for, where the families before and after agree. See README.

    complete.py layout.def DIR

Headers lack some structures and members of builds whose neighbours' symbols have them. A structure that is wholly missing,
or a member of a structure of the same size, is taken when the nearest older and the nearest newer family that has it have
it alike. Only families without kernels (those made of headers) and of 64 bits are touched.
"""
import os, re, sys
from from_headers import wanted

# What came and went with updates of a build says nothing of the revisions in between.
NEVER = re.compile(r'_MMPTE_|_MI_|_KPROCESS$|_MMVAD_FLAGS$')


def read(path):
    head, sizes, fields, kernels = [], {}, {}, False
    for line in open(path):
        words = line.split()
        kernels |= words[:1] == ['kernel']
        if not line.startswith('_'):
            head.append(line)
        elif '.' in words[0]:
            fields[tuple(words[0].split('.'))] = ' '.join(words[1:])
        else:
            sizes[words[0]] = words[1]
    return head, sizes, fields, kernels


def main():
    order, folder = wanted(sys.argv[1]), sys.argv[2]
    names = sorted((n for n in os.listdir(folder) if re.match(r'[\d.]+\.txt$', n)), key=lambda n: [int(x) for x in n[:-4].split('.')])
    all_of = [read(os.path.join(folder, n)) for n in names]
    before = [(dict(s), dict(f)) for _, s, f, _ in all_of]
    for i, (head, sizes, fields, kernels) in enumerate(all_of):
        if kernels or 'pointer 8\n' not in head:
            continue
        for t, members in order.items():
            if NEVER.match(t):
                continue
            around = [next((b for b in side if t in b[0]), None) for side in (before[:i][::-1], before[i + 1:])]
            if None in around or around[0][0][t] != around[1][0][t] or sizes.get(t, around[0][0][t]) != around[0][0][t]:
                continue
            whole = t not in sizes
            alike = [m for m in members if around[0][1].get((t, m)) == around[1][1].get((t, m))]
            if whole and len(alike) < len(members):
                continue
            for m in alike:
                if around[0][1].get((t, m)) and (t, m) not in fields:
                    fields[t, m] = around[0][1][t, m]
                    print(names[i], t, m)
            sizes[t] = around[0][0][t]
        with open(os.path.join(folder, names[i]), 'w') as out:
            out.writelines(head)
            out.writelines('%s %s\n' % (t, sizes[t]) for t in order if t in sizes)
            out.writelines('%s.%s %s\n' % (t, m, fields[t, m]) for t in order for m in order[t] if (t, m) in fields)


main()
