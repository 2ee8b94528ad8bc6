# SPDX-License-Identifier: Apache-2.0
"""What exam.py doesn't hold against the truth: every source of each object, kernel tables, and that nothing dead lives."""
import sqlite3

EPOCH = 116444736000000000


def unsigned(v):
    return v & (1 << 64) - 1 if v is not None else None


def filetime(text):
    """ISO 8601 with seven digits to 100 ns since 1601."""
    import calendar, time
    if text is None:
        return None
    return calendar.timegm(time.strptime(text[:19], '%Y-%m-%dT%H:%M:%S')) * 10000000 + int(text[20:27]) + EPOCH


def same(problems, what, truth, found):
    """Both are sets of keys."""
    for k in sorted(truth - found, key=str)[:4]:
        problems.append('%s: not found: %s' % (what, k))
    for k in sorted(found - truth, key=str)[:4]:
        problems.append('%s: the truth has none: %s' % (what, k))


def table(db, sql):
    return {tuple(r) for r in db.execute(sql)}


def processes(db, truth, problems):
    live = {p['eprocess_va'] for p in truth['processes']}
    for p in truth['processes']:
        row = db.execute('SELECT in_active_list, in_cid_table, in_pool_scan, in_thread_scan, in_session_list, state, physical_address '
                         'FROM processes WHERE eprocess = ?', (p['eprocess_va'] - (1 << 64),)).fetchone()
        if not row:
            problems.append('process %d %s: not found' % (p['pid'], p['name']))
            continue
        active, cid, pool, threads, session, state, physical = row
        if active != int(not p['hidden']):
            problems.append('process %d %s: in_active_list %s' % (p['pid'], p['name'], active))
        if not cid or not pool:
            problems.append('process %d %s: in_cid_table %s, in_pool_scan %s' % (p['pid'], p['name'], cid, pool))
        if threads != int(bool(p['threads'])):
            problems.append('process %d %s: in_thread_scan %s' % (p['pid'], p['name'], threads))
        if session == 0 and p['session'] is not None:
            problems.append('process %d %s: not in its session' % (p['pid'], p['name']))
        if state != ('exited' if p['exit_time'] else 'live') or physical != p['eprocess_pa']:
            problems.append('process %d %s: %s, at 0x%x' % (p['pid'], p['name'], state, physical or 0))
    for (va,) in db.execute('SELECT eprocess FROM processes'):
        if unsigned(va) not in live:
            problems.append('process at 0x%x: the truth has none' % unsigned(va))


def stale(db, truth, problems):
    ranges = db.execute('SELECT start, length FROM memory_ranges').fetchall()
    objects = {s['pa']: s for s in truth['stale'] if s['kind'] == 'eprocess' and any(a <= s['pa'] < a + n for a, n in ranges)}
    found = {pa: (pid, name, state) for pa, pid, name, state in
             db.execute("SELECT physical_address, pid, name, state FROM remnants WHERE type = 'process'")}
    for pa, s in objects.items():
        if found.get(pa) != (s['pid'], s['name'], 'remnant'):
            problems.append('stale %s at 0x%x: %s' % (s['name'], pa, found.get(pa)))
    same(problems, 'remnants', set(objects), set(found))
    for (pid,) in db.execute('SELECT pid FROM processes WHERE physical_address IN (%s)' % ','.join(map(str, objects))):
        problems.append('stale process %d is presented as one' % pid)


def threads(db, truth, problems):
    expected = {(p['eprocess_va'], t['ethread_va'], t['tid']) for p in truth['processes'] for t in p['threads']}
    for source in ('in_process_list', 'in_cid_table', 'in_pool_scan'):
        same(problems, 'threads ' + source, expected,
             {(unsigned(p), unsigned(e), t) for p, e, t in
              db.execute('SELECT eprocess, ethread, tid FROM threads t JOIN processes USING (process_id) WHERE t.%s' % source)})


def privileges(db, truth, problems):
    expected = {(p['pid'], n, int(n in v['enabled']), int(n in v['default']))
                for p in truth['processes'] if not p['exit_time'] for v in [p.get('privileges') or {}] for n in v.get('present', [])}
    same(problems, 'privileges', expected, table(db, 'SELECT pid, luid, enabled, enabled_by_default FROM privileges '
                                                     'JOIN processes USING (process_id) WHERE present'))
    for (n,) in db.execute('SELECT DISTINCT luid FROM privileges WHERE name IS NULL AND luid BETWEEN 2 AND 36'):
        problems.append('privilege %d has no name' % n)


def kernel(db, truth, problems):
    expected = {(m['name'].lower(), m['base'], int(m['in_list'])) for m in truth['kernel_modules']}
    same(problems, 'drivers', expected, {(n.lower(), unsigned(b), i) for n, b, i in
                                         db.execute('SELECT name, base, in_loaded_list FROM drivers')})
    same(problems, 'driver objects', {(d['va'], d['name'], d['service'], d['start'], d['size']) for d in truth['drivers']},
         {(unsigned(a), n, s.split('\\')[-1] if s else s, unsigned(b), z) for a, n, s, b, z in
          db.execute('SELECT address, name, service, start, size FROM driver_objects')})
    expected = {(u['name'], u['start'], u['end'], u['time']) for u in truth['unloaded_drivers']}
    same(problems, 'unloaded drivers', expected, {(n, unsigned(s), unsigned(e), filetime(t)) for n, s, e, t in
                                                  db.execute('SELECT name, start, "end", unload_time FROM unloaded_drivers')})
    kinds = {'PspCreateProcessNotifyRoutine': 'process', 'PspCreateThreadNotifyRoutine': 'thread', 'PspLoadImageNotifyRoutine': 'image'}
    same(problems, 'callbacks', {(kinds[c['type']], c['function'], (c['module'] or '').lower()) for c in truth['callbacks']},
         {(t, unsigned(a), (m or '').lower()) for t, a, m in db.execute('SELECT type, address, module FROM callbacks')})
    same(problems, 'ssdt', set(enumerate(truth['ssdt'])),
         {(n, unsigned(a)) for n, a in db.execute("SELECT number, address FROM ssdt WHERE table_name = 'KiServiceTable'")})


def objects(db, truth, problems):
    same(problems, 'files', {(f['va'], '\\Device\\' + f['device'] + f['name'], int(f['delete_pending'])) for f in truth['files']},
         {(unsigned(a), p, d) for a, p, d in db.execute('SELECT address, path, delete_pending FROM files')})
    same(problems, 'mutants', {(m['va'], m['name']) for m in truth['mutants']},
         {(unsigned(a), n) for a, n in db.execute('SELECT address, name FROM mutants')})
    same(problems, 'symbolic links', {(s['va'], s['name'], s['target']) for s in truth['symbolic_links']},
         {(unsigned(a), n, t) for a, n, t in db.execute('SELECT address, name, target FROM symbolic_links')})


def unlinked(db, truth, problems):
    """DLLs that are out of the loader's lists are there, with that said."""
    for p in truth['processes']:
        for m in p['modules'] + p['modules32']:
            if m['in_load'] or m['in_memory'] or p['exit_time'] or p.get('unreadable_user'):
                continue
            row = db.execute('SELECT in_load_order, in_memory_order, in_init_order FROM modules JOIN processes USING (process_id) '
                             'WHERE eprocess = ? AND base = ?', (p['eprocess_va'] - (1 << 64), m['base'])).fetchone()
            image = db.execute('SELECT 1 FROM images JOIN processes USING (process_id) WHERE eprocess = ? AND base = ?',
                               (p['eprocess_va'] - (1 << 64), m['base'])).fetchone()
            if (row and any(row)) or not (row or image):
                problems.append('unlinked %s in %d: %s' % (m['name'], p['pid'], row))


CHECKS = [processes, stale, threads, privileges, kernel, objects, unlinked]


def check(path, truth, without=()):
    """Problems as text. `without`: names of checks that this image can't pass, as bars.json explains."""
    db, problems = sqlite3.connect('file:%s?mode=ro' % path, uri=True), []
    for one in CHECKS:
        if one.__name__ not in without:
            one(db, truth, problems)
    db.close()
    return problems
