/* Across machines: what few of them have is where one looks. */

const MAX_COLUMNS = 30;

/* Rules by machine, as a heat map while there are few machines. */
function rules_by_machine() {
	const rules = [...group(state.findings, 'rule')].map(([rule, list]) => ({rule, list, rank: Math.min(...list.map(f => f.rank)), dumps: group(list, 'dump')}))
		.sort((a, b) => a.dumps.size - b.dumps.size || a.rank - b.rank || a.rule.localeCompare(b.rule));
	const machines = state.machines.filter(m => state.by_dump.has(m.id));
	if (!rules.length)
		return el('p', null, 'No findings.');
	if (machines.length > MAX_COLUMNS)
		return table([
			{label: 'Dumps', value: r => r.dumps.size, class: 'number'}, {label: 'Findings', value: r => r.list.length, class: 'number'},
			{label: 'Worst', value: r => r.rank, cell: r => badge(SEVERITIES[r.rank])}, {label: 'Rule', value: r => r.rule, cell: r => link('findings?rule=' + encodeURIComponent(r.rule), r.rule)},
			{label: 'For example', value: r => r.list[0].machine.label, cell: r => machine_link(r.list[0].machine)},
		], rules, {filter: 'Filter rules'});
	return [el('p', {class: 'quiet small'}, 'Numbers in the columns: ', machines.map((m, i) => [i ? ' · ' : '', `${i + 1} `, machine_link(m)])),
		el('div', {class: 'scroll'}, el('table', {class: 'heat'},
			el('thead', null, el('tr', null, el('th', null, 'Rule'), machines.map((m, i) => el('th', {title: m.label}, String(i + 1))), el('th', null, 'Dumps'))),
			el('tbody', null, rules.map(r => el('tr', null, el('td', {class: 'nowrap'}, link('findings?rule=' + encodeURIComponent(r.rule), r.rule)),
				machines.map(m => {
					const list = r.dumps.get(m.id);
					return el('td', null, list ? link(`findings?rule=${encodeURIComponent(r.rule)}&dump=${m.id}`, el('span', {class: 'some badge ' + SEVERITIES[Math.min(...list.map(f => f.rank))]}, String(list.length)), {title: `${r.rule} on ${m.label}`}) : '');
				}), el('td', null, String(r.dumps.size)))))))];
}

function stacking_page() {
	document.title = 'Across machines · ' + plain(state.name);
	const where = r => state.machine.has(r.dump) ? machine_link(state.machine.get(r.dump)) : '';
	const first = {label: 'Dumps', name: 'dumps', class: 'number'}, last = {label: 'For example on', value: r => state.machine.has(r.dump) ? state.machine.get(r.dump).label : '', cell: where};
	return [
		el('h1', null, 'Across machines'),
		el('p', {class: 'quiet'}, `Of ${plural(state.machines.length, 'dump')}, how many have each. The rarest come first.`),
		el('section', null, el('h2', null, 'Rules'), rules_by_machine()),
		el('section', null, el('h2', null, 'Programs that ran'), table([first, {label: 'Processes', name: 'processes', class: 'number'},
			{label: 'Program', value: r => r.program, cell: r => link(`process/${r.dump}/${r.process}`, r.program), class: 'text'},
			{label: 'First created', value: r => r.first, cell: r => when(r.first), class: 'nowrap'}, {label: 'Command line', name: 'command_line', class: 'text'}, last], state.stack_processes, {page: 25, filter: 'Filter programs'})),
		el('section', null, el('h2', null, 'Kernel modules'), table([first, {label: 'Module', name: 'driver'}, {label: 'Size', name: 'size', cell: r => bytes(r.size), class: 'number'},
			{label: 'Path', name: 'path', class: 'text'}, {label: 'In the list', value: r => r.listed, cell: r => r.listed === 0 ? el('span', {class: 'badge high'}, 'no') : 'yes'}, last], state.stack_drivers, {page: 25, filter: 'Filter modules'})),
		el('section', null, el('h2', null, 'Images by what is in them'), table([first, {label: 'Images', name: 'images', class: 'number'}, {label: 'Path', name: 'path', class: 'text'}, {label: 'Company', name: 'company'},
			{label: 'Version', name: 'version', class: 'nowrap'}, {label: 'SHA-256', value: r => r.sha256, cell: r => el('span', {title: r.sha256}, r.sha256.slice(0, 16) + '…'), class: 'mono'}, last], state.stack_images, {page: 25, filter: 'Filter images'})),
	];
}
