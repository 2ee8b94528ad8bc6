/* All findings, filtered; and one of them with what it rests on. */

function findings_page(query) {
	document.title = 'Findings · ' + plain(state.name);
	const chosen = {severity: new Set((query.get('severity') || '').split(',').filter(Boolean)), attack: query.get('attack') || '', rule: query.get('rule') || '',
		dump: query.get('dump') || '', text: query.get('text') || ''};
	const holder = el('div');
	const options = (list, first) => [el('option', {value: ''}, first), ...list.map(([value, text]) => el('option', {value}, text))];
	const select = (key, label, list) => {
		const node = el('select', {'aria-label': label, change: e => { chosen[key] = e.target.value; apply(true); }}, options(list, label));
		node.value = chosen[key];
		return node;
	};
	const count_by = key => [...group(state.findings, key)].map(([k, list]) => [k, list.length]).sort((a, b) => b[1] - a[1]);

	function apply(remember) {
		const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
		const list = state.findings.filter(f => (!chosen.severity.size || chosen.severity.has(f.severity)) &&
			(!chosen.attack || (f.attack || '-') === chosen.attack) && (!chosen.rule || f.rule === chosen.rule) && (!chosen.dump || String(f.dump) === chosen.dump) &&
			words.every(w => (f.title + ' ' + f.rule + ' ' + f.attack + ' ' + f.machine.label + ' ' + f.address).toLowerCase().includes(w)));
		holder.replaceChildren(el('p', {class: 'quiet', 'aria-live': 'polite'}, `${count(list.length)} of ${plural(state.findings.length, 'finding')}`),
			findings_table(list, ['severity', 'confidence', 'title', 'attack', 'process', 'machine', 'rule']));
		if (remember) {
			const q = new URLSearchParams();
			for (const key of ['attack', 'rule', 'dump', 'text'])
				if (chosen[key])
					q.set(key, chosen[key]);
			if (chosen.severity.size)
				q.set('severity', [...chosen.severity].join(','));
			history.replaceState(null, '', '#/findings' + (q.toString() ? '?' + q : ''));
		}
	}
	const text = el('input', {type: 'search', placeholder: 'Words in title, rule, machine, address', 'aria-label': 'Filter findings', value: chosen.text,
		input: e => { chosen.text = e.target.value; apply(true); }});
	const bar = el('div', {class: 'filters', role: 'search'},
		SEVERITIES.map(s => el('button', {'aria-pressed': String(chosen.severity.has(s)), click: e => {
			chosen.severity.has(s) ? chosen.severity.delete(s) : chosen.severity.add(s);
			e.currentTarget.setAttribute('aria-pressed', String(chosen.severity.has(s)));
			apply(true);
		}}, s)),
		select('attack', 'Any technique', count_by('attack').map(([k, n]) => [k || '-', `${k ? technique(k) : 'none'} (${n})`])),
		select('rule', 'Any rule', count_by('rule').map(([k, n]) => [k, `${k} (${n})`])),
		state.machines.length > 1 ? select('dump', 'Any machine', state.machines.filter(m => state.by_dump.has(m.id)).map(m => [String(m.id), m.label])) : null,
		text, el('button', {click: () => { location.hash = '#/findings'; route(); }}, 'Reset'));
	apply(false);
	return [el('h1', null, 'Findings'), el('section', null, bar, holder)];
}

/* IMAGE_FILE_MACHINE_… */
const MACHINES = {332: 'x86', 34404: 'x64', 43620: 'ARM64', 452: 'ARM'};

/* The detail's JSON as a list; lists and objects within as text. */
function detail_pairs(detail) {
	let data;
	try {
		data = JSON.parse(detail);
	} catch {
		return [['detail', detail]];
	}
	if (typeof data !== 'object' || data === null || Array.isArray(data))
		return [['detail', JSON.stringify(data)]];
	const flat = [];
	for (const [k, v] of Object.entries(data))
		if (v !== null && typeof v === 'object' && !Array.isArray(v))
			for (const [k2, v2] of Object.entries(v))
				flat.push([k + '.' + k2, v2]);
		else
			flat.push([k, v]);
	return flat.filter(([, v]) => v !== null && !(Array.isArray(v) && !v.length))
		.map(([k, v]) => [k.replace(/_/g, ' '), k === 'machine' && MACHINES[v] ? `${MACHINES[v]} (0x${Number(v).toString(16)})` : Array.isArray(v) ? v.map(x => typeof x === 'object' ? JSON.stringify(x) : x).join(', ') : String(v), /^0x|^[0-9a-f]{16,}$/.test(String(v))]);
}

function evidence_one(e) {
	return [el('h3', null, {code: 'Code', match: 'Match', before: 'Before', after: 'After'}[e.kind] || e.kind, ' at ', el('span', {class: 'mono'}, e.address), e.label ? ': ' + e.label : ''),
		hexdump(e.bytes || '', e.address), e.disassemble ? listing(e.disassemble) : null];
}

/* Before and after of one place side by side. */
function evidence_section(list) {
	const nodes = [];
	for (let i = 0; i < list.length; i++) {
		const [a, b] = [list[i], list[i + 1]];
		if (a.kind === 'before' && b && b.kind === 'after' && a.address === b.address) {
			const side = (e, other, name) => el('div', null, el('h3', null, name), hexdump(e.bytes || '', e.address, other.bytes || ''),
				e.disassemble ? listing(e.disassemble) : null, e.bytes ? null : el('p', {class: 'quiet'}, 'The original page is not in the dump.'));
			nodes.push(el('h3', null, a.label, ' at ', el('span', {class: 'mono'}, a.address), ': ', b.label), el('div', {class: 'sides'}, side(a, b, 'Before'), side(b, a, 'Now')));
			i++;
		} else {
			nodes.push(evidence_one(a));
		}
	}
	return nodes.length ? el('section', null, el('h2', null, 'Evidence'), nodes) : null;
}

async function finding_page(id) {
	const f = state.finding.get(Number(id));
	if (!f)
		return not_found('finding');
	const dump = await load_dump(f.dump), p = dump.process.get(f.process), at = state.findings.indexOf(f);
	document.title = plain(f.title);
	const vad = p && f.address && (dump.vads_of.get(p.id) || []).find(v => BigInt(f.address) >= BigInt(v.start) && BigInt(f.address) <= BigInt(v.end));
	const others = (f.process === null ? (state.by_dump.get(f.dump) || []).filter(o => o.process === null) : state.by_process.get(f.process) || []).filter(o => o !== f);
	const neighbour = (by, text) => state.findings[at + by] ? link('finding/' + state.findings[at + by].id, text, {class: 'no-print'}) : null;
	return [
		el('p', {class: 'crumbs'}, machine_link(f.machine), p ? [' › ', process_link(f.dump, p.id, p.name, p.pid)] : ' › kernel', '\u2003', neighbour(-1, '‹ previous'), ' ', neighbour(1, 'next ›')),
		el('h1', null, badge(f.severity), ' ', f.title),
		cut_short(dump, ['processes', 'vads', 'threads', 'yara', 'details', 'evidence']),
		el('div', {class: 'grid'},
			el('section', null, el('h2', null, 'The finding'), facts([
				['Confidence', f.confidence + ' of 100'], ['ATT&CK', technique(f.attack)], ['Rule', link('findings?rule=' + encodeURIComponent(f.rule), f.rule)],
				['Address', f.address, true], ['Length', f.length ? bytes(f.length) : ''],
				vad ? ['Memory there', `${hex(BigInt(vad.start))}–${hex(BigInt(vad.end))}, ${vad.type}, made as ${vad.protection}${vad.file ? ', ' + vad.file : ''}`] : null,
				['Machine', machine_link(f.machine)],
				p ? ['Process', process_link(f.dump, p.id, p.name, p.pid)] : null, p ? ['Command line', p.command_line] : null, p ? ['Created', p.create_time] : null])),
			el('section', null, el('h2', null, 'What it rests on'), facts(detail_pairs(dump.detail.get(f.id) || '{}')))),
		evidence_section(dump.evidence_of.get(f.id) || []),
		p && (dump.vads_of.get(p.id) || []).length ? el('section', null, el('h2', null, 'Where it lies in the process'), memory_map(dump, p, f)) : null,
		others.length ? el('section', null, el('h2', null, p ? 'Other findings of this process' : 'Other findings in this kernel'),
			findings_table(others, ['severity', 'confidence', 'title', 'attack', 'rule'], {page: 20})) : null,
	];
}
