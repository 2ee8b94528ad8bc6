# SPDX-License-Identifier: Apache-2.0
"""The rows of two cases, compared: for tests that analyse one memory in several forms."""
import sqlite3
from collections import Counter

# What tells of the run, or of the file and its headers, and not of the memory.
NOT_COMPARED = {'runs', 'plugin_runs', 'diagnostics', 'dumps', 'memory_ranges', 'crash', 'sqlite_sequence'}


def contents(case):
    """Every row of the tables that tell of memory, ids of rows replaced by what they stand for."""
    db = sqlite3.connect('file:%s?mode=ro' % case, uri=True)
    out = {}
    for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        if table in NOT_COMPARED or table.startswith('sqlite_'):
            continue
        columns = [c[1] for c in db.execute('PRAGMA table_info("%s")' % table)]
        ids = [i for i, c in enumerate(columns) if c.endswith('_id')]
        rows = []
        processes = dict(db.execute('SELECT process_id, eprocess FROM processes')) if 'process_id' in columns else {}
        for row in db.execute('SELECT * FROM "%s"' % table):
            row = list(row)
            for i in ids:
                row[i] = processes.get(row[i]) if columns[i] == 'process_id' else None
            rows.append(tuple(row))
        out[table] = rows
    notes = [r[0] or '' for r in db.execute('SELECT message FROM diagnostics')]
    status = db.execute('SELECT status FROM runs').fetchone()[0]
    db.close()
    return out, notes, status


def difference(sound, forged):
    """Words on what differs, '' when nothing does."""
    out = []
    for table in sorted(sound):
        a, b = sound[table], forged.get(table, [])
        if a == b:
            continue
        lost, more = Counter(map(repr, a)) - Counter(map(repr, b)), Counter(map(repr, b)) - Counter(map(repr, a))
        out.append('%s: %d rows lost, %d others' % (table, sum(lost.values()), sum(more.values())) if lost or more else
                   '%s: in another order' % table)
    return '; '.join(out)
