/* The first page: which machines, what is wrong, what could not be seen. */

function tally(list) {
	const counts = {critical: 0, high: 0, medium: 0, low: 0, info: 0};
	for (const f of list)
		counts[f.severity]++;
	return counts;
}

function overview_tiles() {
	const counts = tally(state.findings), hit = state.machines.filter(m => m.counts.critical + m.counts.high > 0).length;
	return el('div', {class: 'tiles'},
		el('a', {class: 'tile', href: '#/machines'}, el('b', null, count(state.machines.length)), state.machines.length === 1 ? 'dump' : 'dumps'),
		el('a', {class: 'tile', href: '#/machines'}, el('b', null, count(hit)), 'with critical or high findings'),
		SEVERITIES.slice(0, 4).map(s => el('a', {class: 'tile ' + s, href: '#/findings?severity=' + s}, el('b', null, count(counts[s])), s)));
}

/* Processes, the worst first: by the rules that speak against them, not by how often each does. Those of one name with the same
 * rules on many machines are one line. */
function first_look() {
	const alike = new Map();
	for (const [id, list] of state.by_process) {
		const rules = [...new Set(list.filter(f => f.rank <= 2).map(f => f.rule))].sort();
		if (id === null || !rules.length)
			continue;
		const key = list[0].name + '\u0001' + rules.join();
		if (!alike.has(key))
			alike.set(key, {id, f: list[0], rules, list: [], dumps: new Set(), processes: 0});
		const r = alike.get(key);
		r.list.push(...list);
		r.dumps.add(list[0].dump);
		r.processes++;
	}
	const rows = [...alike.values()];
	for (const r of rows) {
		r.counts = tally(r.list);
		r.score = (r.counts.critical ? 100 : 0) + r.rules.length * 10 + r.counts.high / r.processes;
	}
	rows.sort((a, b) => b.score - a.score);
	const many = state.machines.length > 1;
	return el('section', null, el('h2', null, 'Look here first'),
		el('p', {class: 'quiet small'}, 'Processes by how many different rules speak against them.' + (many ? ' The same on several dumps is one line.' : '')),
		table([
			/* a pid is of one dump: the line of several names none */
			{label: 'Process', value: r => r.f.name, cell: r => process_link(r.f.dump, r.id, r.f.name, r.dumps.size > 1 ? null : r.f.pid), class: 'nowrap'},
			many ? {label: 'Dumps', value: r => r.dumps.size, cell: r => el('span', {title: [...r.dumps].map(d => state.machine.get(d).label).slice(0, 40).join('\n')}, r.dumps.size === 1 ? link('machine/' + r.f.dump, '1') : count(r.dumps.size)), class: 'number'} : null,
			{label: 'Findings', value: r => r.list.length, cell: r => severity_bar(r.counts)},
			{label: 'Rules', value: r => r.rules.join(', '), class: 'text'},
		].filter(Boolean), rows, {page: 12}));
}

/* One machine: each finding; several: by rule, as what is on many is one story. */
function kernel_first() {
	const list = state.findings.filter(f => f.process === null && f.rank <= 2);
	if (!list.length)
		return null;
	if (state.machines.length === 1)
		return el('section', null, el('h2', null, 'In the kernel'), findings_table(list, ['severity', 'title', 'attack'], {page: 10}));
	const rows = [...group(list, 'rule')].map(([rule, of]) => ({rule, f: of[0], n: of.length, dumps: new Set(of.map(f => f.dump)).size}));
	return el('section', null, el('h2', null, 'In the kernel'), table([
		{label: 'Worst', value: r => r.f.rank, cell: r => badge(r.f.severity)}, {label: 'Rule', value: r => r.rule, cell: r => link('findings?rule=' + encodeURIComponent(r.rule), r.rule), class: 'nowrap'},
		{label: 'Dumps', value: r => r.dumps, class: 'number'}, {label: 'For example', value: r => r.f.title, cell: r => link('finding/' + r.f.id, r.f.title), class: 'text'},
	], rows, {page: 10}));
}

function techniques_section() {
	const rows = [...group(state.findings, 'attack')].map(([id, list]) => ({id, counts: tally(list), n: list.length, dumps: new Set(list.map(f => f.dump)).size,
		rules: [...new Set(list.map(f => f.rule))].join(', ')}));
	rows.sort((a, b) => b.counts.critical - a.counts.critical || b.counts.high - a.counts.high || b.n - a.n);
	return el('section', null, el('h2', null, 'By ATT&CK technique'),
		table([
			{label: 'Technique', value: r => r.id ? technique(r.id) : 'none', cell: r => link('findings?attack=' + encodeURIComponent(r.id || '-'), r.id ? technique(r.id) : 'none')},
			{label: 'Severity', value: r => r.n, cell: r => severity_bar(r.counts)},
			{label: 'Findings', value: r => r.n, class: 'number'},
			{label: 'Dumps', value: r => r.dumps, class: 'number'},
		], rows, {page: 20}));
}

/* A run is complete, too, where a value here and there could not be read. */
const lacks_something = m => m.status !== 'complete' || m.not_read > 0;
const badge_run = m => el('span', {class: m.status === 'complete' ? 'quiet' : 'badge medium', title: m.message || m.why}, m.status);

function machine_table(list, page) {
	return table([
		{label: 'Machine', value: m => m.label, cell: m => machine_link(m)},
		{label: 'Windows', value: m => m.build, cell: m => [m.build, ' ', el('span', {class: 'quiet'}, m.arch)], class: 'nowrap'},
		{label: 'Taken', value: m => m.time, cell: m => when(m.time), class: 'nowrap'},
		{label: 'Findings', value: m => m.counts.critical * 1e6 + m.counts.high * 1e3 + m.counts.medium, cell: m => severity_bar(m.counts)},
		{label: 'Critical', value: m => m.counts.critical, class: 'number'}, {label: 'High', value: m => m.counts.high, class: 'number'},
		{label: 'Medium', value: m => m.counts.medium, class: 'number'}, {label: 'Low', value: m => m.counts.low, class: 'number'},
		{label: 'Processes', value: m => m.processes, class: 'number'},
		{label: 'Run', value: m => m.status, cell: badge_run},
		{label: 'Not read', value: m => m.not_read || 0, cell: m => count(m.not_read), class: 'number'},
	], list, {page: page || PAGE, sort: [3, true], filter: 'Filter machines'});
}

function overview() {
	document.title = 'Overview · ' + plain(state.name);
	const partial = state.machines.filter(lacks_something);
	return [
		el('h1', null, state.name),
		state.failed.length ? el('p', {class: 'notice'}, plural(state.failed.length, 'file'), ' could not be analysed at all: ', link('unread', 'which and why'), '.') : null,
		state.cut,
		overview_tiles(),
		el('div', {class: 'grid'}, first_look(), el('div', null, kernel_first(), techniques_section())),
		state.machines.length > 1 ? el('section', null, el('h2', null, 'Machines'), machine_table(state.machines, 15)) : null,
		state.suspects.length ? el('section', null, el('h2', null, 'When the processes with findings were created'), case_timeline()) : null,
		el('section', null, el('h2', null, 'What this report rests on'),
			el('p', null, partial.length ? [plural(partial.length, 'dump was', 'dumps were'), ' read with something missing. '] : 'All dumps were read completely. ',
				link('unread', 'What could not be read'), '.'),
			state.absent.length ? el('p', null, 'The case was made by an older memsieve and has no ', state.absent.join(', '), '.') : null),
	];
}

function machines_page() {
	document.title = 'Machines · ' + plain(state.name);
	return [el('h1', null, 'Machines'), el('section', null, machine_table(state.machines))];
}

function unread_columns(dumps) {
	return [
		{label: 'Times', name: 'times', cell: r => count(r.times), class: 'number'},
		dumps ? {label: 'Dumps', name: 'dumps', class: 'number'} : null,
		{label: 'Why', name: 'fault', class: 'nowrap'}, {label: 'Plugin', name: 'plugin', class: 'nowrap'},
		{label: 'Of', value: r => [r.table_name, r.column_name].filter(Boolean).join('.')}, {label: 'Example', name: 'example', class: 'text'},
	].filter(Boolean);
}

function unread_page() {
	document.title = 'Not read · ' + plain(state.name);
	const partial = state.machines.filter(lacks_something);
	return [
		el('h1', null, 'What could not be read'),
		el('p', {class: 'quiet'}, 'What is absent here was not looked at or could not be: it does not mean that nothing was there.'),
		state.failed.length ? el('section', null, el('h2', null, 'Files that could not be analysed'), table([
			{label: 'File', name: 'path', class: 'text'}, {label: 'Size', name: 'size', cell: f => bytes(f.size), class: 'number'}, {label: 'Why', name: 'message', class: 'text'},
		], state.failed, {filter: 'Filter files'})) : null,
		el('section', null, el('h2', null, 'Dumps read with something missing'), table([
			{label: 'Machine', value: m => m.label, cell: machine_link}, {label: 'Run', name: 'status', cell: m => badge_run(m)}, {label: 'What most of all', value: m => m.message || m.why, class: 'text'},
			{label: 'Values not read', name: 'not_read', cell: m => count(m.not_read), class: 'number'},
		], partial, {empty: 'None: every dump was read completely.'})),
		el('section', null, el('h2', null, 'Values, by what they are of'), table(unread_columns(true), state.not_read, {filter: 'Filter'})),
		state.absent.length ? el('section', null, el('h2', null, 'Tables this case has not'), el('p', null, state.absent.join(', '))) : null,
	];
}
