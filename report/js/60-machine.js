/* One dump: its processes as a tree, what its kernel holds, what could not be read. */

const SOURCES = [['in_active_list', 'A', 'list of active processes'], ['in_cid_table', 'C', 'table of process ids'], ['in_pool_scan', 'P', 'pool scan'],
	['in_thread_scan', 'T', 'threads'], ['in_session_list', 'S', 'session list']];

function sources(p) {
	const words = SOURCES.map(([key, , name]) => (p[key] === 1 ? 'seen by the ' : p[key] === 0 ? 'NOT seen by the ' : 'not known: ') + name).join('\n');
	return el('span', {class: 'sources', role: 'img', 'aria-label': words, title: words},
		SOURCES.map(([key, letter]) => el('i', {class: p[key] === 1 ? 'yes' : p[key] === 0 && !p.exit_time ? 'no' : null}, p[key] === null ? '·' : p[key] ? letter : '–')));
}

function tree_name(m, p) {
	const list = state.by_process.get(p.id) || [], worst = list.length ? list[0].severity : null;
	return el('span', {class: 'tree-name', style: {'padding-left': Math.min(p.depth, 24) * 1.1 + 'rem'}}, p.depth ? el('span', {class: 'quiet', 'aria-hidden': 'true'}, '└') : null,
		process_link(m.id, p.id, p.name, p.pid), worst ? link(`findings?dump=${m.id}&text=${encodeURIComponent('(' + p.pid + ')')}`, badge_count(worst, list.length)) : null);
}

const badge_count = (severity, n) => el('span', {class: 'badge ' + severity, title: `${n} findings, the worst ${severity}`}, String(n));

function process_tree(m, dump) {
	const columns = [
		{label: 'Process', value: p => p.name, cell: p => tree_name(m, p), class: 'nowrap'},
		{label: 'Seen by', value: p => SOURCES.map(([k]) => p[k] === 0 ? 0 : 1).join(''), cell: sources, class: 'nowrap'},
		{label: 'Created', value: p => p.create_time, cell: p => when(p.create_time), class: 'nowrap'},
		{label: 'Exited', value: p => p.exit_time, cell: p => when(p.exit_time), class: 'nowrap'},
		{label: 'Session', name: 'session', class: 'number'},
		{label: 'User', value: p => USERS[p.user] || dump.accounts.get(p.user) || p.user, cell: p => user_name(p.user, dump.accounts)},
		{label: 'Command line or path', value: p => p.command_line || p.image_path, class: 'text'},
	];
	const holder = el('div');
	const fill = bad => holder.replaceChildren(table(columns, bad ? Object.assign(dump.processes.filter(p => state.by_process.has(p.id)), {more: 0}) : dump.processes,
		{page: 500, filter: 'Filter processes', class: p => p.exit_time ? 'gone' : null}));
	fill(false);
	return el('section', null, el('h2', null, 'Processes'),
		el('div', {class: 'filters'}, el('button', {'aria-pressed': 'false', click: e => {
			const on = e.currentTarget.getAttribute('aria-pressed') !== 'true';
			e.currentTarget.setAttribute('aria-pressed', String(on));
			fill(on);
		}}, 'Only those with findings')),
		el('p', {class: 'legend'}, 'Seen by: ', SOURCES.map(([, letter, name]) => el('span', null, el('span', {class: 'sources'}, el('i', {class: 'yes'}, letter)), ' ', name)),
			el('span', null, el('span', {class: 'sources'}, el('i', {class: 'no'}, '–')), ' a source that should know a living process does not')),
		holder);
}

const USERS = {'S-1-5-18': 'SYSTEM', 'S-1-5-19': 'LOCAL SERVICE', 'S-1-5-20': 'NETWORK SERVICE'};
/* An account's name is what most of its processes have in their environment. */
function account_names(processes) {
	const names = new Map();
	for (const [sid, list] of group(processes.filter(p => p.user && p.username), 'user')) {
		const by = [...group(list, 'username')].sort((a, b) => b[1].length - a[1].length);
		names.set(sid, by[0][0]);
	}
	return names;
}

function user_name(sid, names) {
	if (!sid)
		return '';
	const name = USERS[sid] || names.get(sid);
	return el('span', {title: sid + (name && !USERS[sid] ? '\nnamed as in its processes\u2019 environment' : '')}, name || (sid.length > 16 ? 'S-…' + sid.slice(-5) : sid));
}

/* Why it stopped, or a live dump was taken of it, and the way there: without unwind information each value on the stack that lies in a module, with what speaks for it. */
function crash_section(m, dump) {
	const c = dump.crash[0];
	if (!c)
		return null;
	const p = dump.process.get(c.process), registers = c.registers ? JSON.parse(c.registers) : {};
	const file = path => (path || '').split('\\').pop();
	return el('section', null, el('h2', null, c.live ? 'The live dump' : 'The crash'), facts([
		[c.live ? 'Reason' : 'Bugcheck', c.code === '0x0' ? null : (c.name ? c.name + ', ' : '') + c.code], ['Parameters', [c.parameter1, c.parameter2, c.parameter3, c.parameter4].join(', '), true],
		['Exception', c.exception === '0x0' ? null : c.exception, true], ['Process', p ? process_link(m.id, p.id, p.name, p.pid) : null],
		['Thread', c.thread === '0x0' ? null : c.thread, true], ['Uptime', c.uptime ? Math.floor(c.uptime / 3600) + ' h ' + Math.floor(c.uptime / 60 % 60) + ' min' : null], ['Comment', c.comment]]),
		dump.crash_stack.length ? el('details', {open: true}, el('summary', null, 'Where it was, and what its stack holds'), table([
			{label: 'At', value: r => r.position, cell: r => r.position ? el('span', {class: 'mono'}, r.address) : 'instruction', class: 'nowrap'},
			{label: 'Value', name: 'value', class: 'mono'},
			{label: 'Module', value: r => file(r.module), cell: r => el('span', {title: r.module}, file(r.module) + (r.module ? '+' + r.offset : ''))},
			{label: 'Near', name: 'symbol', class: 'text'},
			{label: 'Behind a call', value: r => r.after_call, cell: r => r.after_call === null ? '' : r.after_call ? 'yes' : 'no'},
		], dump.crash_stack, {page: 12, filter: 'Filter the stack', class: r => r.after_call === 0 ? 'gone' : null})) : null,
		Object.keys(registers).length ? el('details', null, el('summary', null, 'Registers'), facts(Object.entries(registers).map(([name, value]) => [name, value, true]))) : null);
}

async function machine_page(id) {
	const m = state.machine.get(Number(id));
	if (!m)
		return not_found('machine');
	const dump = await load_dump(m.id), found = state.by_dump.get(m.id) || [], kernel = found.filter(f => f.process === null), other = found.filter(f => f.process !== null);
	document.title = plain(m.label);
	return [
		el('p', {class: 'crumbs'}, link('machines', 'Machines')),
		el('h1', null, m.label),
		m.status !== 'complete' ? el('p', {class: 'notice'}, `This run is ${m.status}`, m.message || m.why ? ': ' + (m.message || m.why) : '', '. What could not be read is listed below.') : null,
		cut_short(dump),
		el('div', {class: 'grid'},
			el('section', null, el('h2', null, 'The machine'), facts([
				['Computer', m.name], ['Windows', [m.build, ' ', m.arch, m.lab ? ' · ' + m.lab : '']], ['Taken', m.time], ['Stopped by', m.bugcheck],
				['Memory', m.memory ? bytes(m.memory) : null], ['System root', m.system_root], ['Structures from', m.layout]])),
			el('section', null, el('h2', null, 'The dump'), facts([
				['File', m.path], ['Size', bytes(m.size)], ['Format', m.format + (m.format_detail ? ', ' + m.format_detail : '')], ['SHA-256', m.sha256, true],
				['Findings', el('span', null, link('findings?dump=' + m.id, plural((state.by_dump.get(m.id) || []).length, 'finding')), severity_bar(m.counts))]]))),
		crash_section(m, dump),
		kernel.length ? el('section', null, el('h2', null, 'In the kernel'), findings_table(kernel, ['severity', 'confidence', 'title', 'attack', 'address'], {page: 20})) : null,
		other.length ? el('section', null, el('h2', null, 'In processes'), findings_table(other, ['severity', 'confidence', 'title', 'attack', 'process', 'address'], {page: 10, filter: 'Filter findings'})) : null,
		process_tree(m, dump),
		dump.timeline.length ? el('section', null, el('h2', null, 'Timeline'), machine_timeline(m, dump)) : null,
		el('section', null, el('details', null, el('summary', null, plural(dump.drivers.length, 'kernel module')), table([
			{label: 'Base', name: 'base', class: 'mono'}, {label: 'Size', name: 'size', cell: d => bytes(d.size), class: 'number'}, {label: 'Name', name: 'name'},
			{label: 'Path', name: 'path', class: 'text'},
			{label: 'In the list', value: d => d.in_loaded_list, cell: d => d.in_loaded_list === 0 ? el('span', {class: 'badge high'}, 'no') : d.in_loaded_list ? 'yes' : ''},
		], dump.drivers, {filter: 'Filter modules'}))),
		el('section', null, el('details', null, el('summary', null, 'What could not be read'), table(unread_columns(false), dump.not_read, {filter: 'Filter'}),
			el('h3', null, 'Plugins'), table([{label: 'Plugin', name: 'plugin'}, {label: 'Status', name: 'status'}, {label: 'Rows', name: 'row_count', class: 'number'},
				{label: 'Seconds', name: 'seconds', class: 'number'}, {label: 'Message', name: 'message', class: 'text'}], dump.plugins))),
	];
}
