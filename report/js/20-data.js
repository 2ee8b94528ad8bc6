/* Blocks of data: compressed JSON, unpacked when they are looked at. */

const SEVERITIES = ['critical', 'high', 'medium', 'low', 'info'];
const state = {};	/* the case: what block "case" holds, with rows as objects, and lookups */
const unpacked = new Map();
const KEEP = 12;

async function unpack(id) {
	const node = document.getElementById(id);
	if (!node)
		throw new Error('This report has no part ' + id + '.');
	const packed = Uint8Array.from(atob(node.textContent), c => c.charCodeAt(0));
	const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
	return new Response(stream).json();
}

/* {columns, rows, more, cut} → objects; `more` and `cut` stay with them. */
function objects(part) {
	if (!part)
		return Object.assign([], {more: 0, missing: true});
	const list = part.rows.map(row => {
		const o = {};
		part.columns.forEach((name, i) => o[name] = row[i]);
		return o;
	});
	list.more = part.more;
	list.cut = part.cut;
	return list;
}

/*
 * Which of these parts took too much to be read whole, and why; null: none. Named ones are shown by process or finding: no table of theirs says how
 * many rows of the dump's are left out, so that is said, too.
 */
function cut_short(data, names = null) {
	const why = part => part && (part.cut || (names && part.more ? plural(part.more, 'row') + ' of the dump left out' : null));
	const short = (names || Object.keys(data)).filter(name => why(data[name]));
	return short.length ? el('p', {class: 'notice'}, 'Not whole here: ', short.map(name => `${name} (${why(data[name])})`).join(', '), '. The case has more.') : null;
}

function group(list, key) {
	const groups = new Map();
	for (const item of list) {
		const k = item[key];
		if (!groups.has(k))
			groups.set(k, []);
		groups.get(k).push(item);
	}
	return groups;
}

/* What tells a machine from the others: its name, or as much of the path's end as is needed. */
function label_machines(machines) {
	const parts = m => m.path.split(/[\\/]/).filter(Boolean);
	const suffix = (m, n) => parts(m).slice(-n).join('/');
	for (const m of machines) {
		const same = machines.filter(o => o.name === m.name);
		if (m.name && same.length === 1) {
			m.label = m.name;
			continue;
		}
		let n = 1;
		while (n < parts(m).length && machines.some(o => o !== m && suffix(o, n) === suffix(m, n)))
			n++;
		m.label = (m.name ? m.name + ', ' : '') + suffix(m, n);
	}
}

async function load_case() {
	const data = await unpack('case');
	Object.assign(state, {name: data.case, generated: data.generated, version: data.version, whole: data.whole, absent: data.absent, techniques: data.techniques});
	for (const key of ['machines', 'findings', 'failed', 'not_read', 'suspects', 'stack_images', 'stack_processes', 'stack_drivers'])
		state[key] = objects(data[key]);
	if (state.machines.length <= 2000)
		label_machines(state.machines);
	state.machine = new Map(state.machines.map(m => [m.id, m]));
	for (const m of state.machines) {
		m.label = m.label || m.name || m.path;
		m.counts = {critical: 0, high: 0, medium: 0, low: 0, info: 0};
	}
	state.cut = cut_short(data);
	state.findings = Object.assign(state.findings.filter(f => state.machine.has(f.dump)), {more: state.findings.more, cut: state.findings.cut});
	state.finding = new Map();
	for (const f of state.findings) {
		f.rank = SEVERITIES.indexOf(f.severity);
		f.machine = state.machine.get(f.dump);
		f.machine.counts[f.severity]++;
		state.finding.set(f.id, f);
	}
	state.by_process = group(state.findings, 'process');
	state.by_dump = group(state.findings, 'dump');
}

async function load_dump(id) {
	if (unpacked.has(id))
		return unpacked.get(id);
	const data = await unpack('dump-' + id), dump = {};
	for (const key of Object.keys(data))
		dump[key] = objects(data[key]);
	for (const key of ['vads', 'threads', 'modules', 'yara', 'patches'])
		dump[key + '_of'] = group(dump[key], 'process');
	dump.accounts = account_names(dump.processes);
	dump.process = new Map(dump.processes.map(p => [p.id, p]));
	dump.detail = new Map(dump.details.map(d => [d.finding, d.detail]));
	dump.evidence_of = group(dump.evidence, 'finding');
	unpacked.set(id, dump);
	if (unpacked.size > KEEP)
		unpacked.delete(unpacked.keys().next().value);
	return dump;
}

const technique = id => id ? id + (state.techniques[id] ? ' ' + state.techniques[id] : '') : '';
