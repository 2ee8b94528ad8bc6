/* Tables that sort, filter and turn pages; and small pieces that all views use. */

const PAGE = 100;
const badge = severity => el('span', {class: 'badge ' + severity}, severity);

function severity_bar(counts) {
	const all = SEVERITIES.reduce((n, s) => n + counts[s], 0);
	const text = SEVERITIES.filter(s => counts[s]).map(s => counts[s] + ' ' + s).join(', ') || 'none';
	return el('div', {class: 'stack', role: 'img', 'aria-label': text, title: text},
		SEVERITIES.map(s => counts[s] ? el('span', {class: s, style: {width: 100 * counts[s] / all + '%'}}) : null));
}

/*
 * columns: [{label, value: row → to sort and search by, cell: row → what is shown, class}]. options: page (rows), sort
 * ([column, descending]), filter (an input for text), href (row → where Enter and a click on the row lead), empty, more (rows left out).
 */
function table(columns, rows, options) {
	options = options || {};
	const s = {page: 0, size: options.page || PAGE, sort: options.sort || null, text: '', chosen: -1, all: false};
	const body = el('tbody'), head = el('tr'), pager = el('div', {class: 'pager'});
	const node = el('div', {class: 'table'});
	let shown = rows;

	const value = (c, row) => c.value ? c.value(row) : row[c.name];
	const compare = (a, b) => {
		if (a === b)
			return 0;
		if (a === null || a === undefined || a === '')
			return 1;
		if (b === null || b === undefined || b === '')
			return -1;
		return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', {numeric: true});
	};
	function arrange() {
		shown = rows;
		if (s.text) {
			const words = s.text.toLowerCase().split(/\s+/).filter(Boolean);
			shown = rows.filter(row => {
				const text = columns.map(c => value(c, row)).join('\u0001').toLowerCase();
				return words.every(w => text.includes(w));
			});
		}
		if (s.sort) {
			const [c, down] = [columns[s.sort[0]], s.sort[1]];
			shown = [...shown].sort((a, b) => down ? compare(value(c, b), value(c, a)) : compare(value(c, a), value(c, b)));
		}
		s.page = Math.min(s.page, Math.max(0, Math.ceil(shown.length / s.size) - 1));
	}
	function draw() {
		const from = s.all ? 0 : s.page * s.size, part = shown.slice(from, s.all ? 5000 : from + s.size);
		head.replaceChildren(...columns.map((c, i) => el('th', {class: c.class, scope: 'col', 'aria-sort': s.sort && s.sort[0] === i ? s.sort[1] ? 'descending' : 'ascending' : null},
			options.still ? c.label : el('button', {click: () => { s.sort = [i, s.sort && s.sort[0] === i ? !s.sort[1] : c.class === 'number']; update(); }}, c.label))));
		body.replaceChildren(...part.map((row, i) => el('tr', {class: options.class ? options.class(row) : null, 'data-row': i},
			columns.map(c => el('td', {class: c.class, 'data-label': c.label}, c.cell ? c.cell(row) : value(c, row))))));
		const pages = Math.ceil(shown.length / s.size), last = Math.min(from + part.length, shown.length);
		const pieces = [];
		if (!shown.length)
			pieces.push(rows.length ? 'Nothing matches.' : options.empty || 'None.');
		else if (pages > 1 || s.text || rows.more)
			pieces.push(`${count(from + 1)}–${count(last)} of ${count(shown.length)}` + (s.text ? ` that match, of ${count(rows.length)}` : ''));
		if (rows.more)
			pieces.push(plural(rows.more, 'row') + ' more in the case are left out of this report');
		pager.replaceChildren(...pieces.map(p => el('span', null, p)));
		if (pages > 1 && !s.all)
			pager.append(el('button', {disabled: s.page === 0, click: () => turn(-1)}, '‹ Previous'), el('button', {disabled: s.page >= pages - 1, click: () => turn(1)}, 'Next ›'));
	}
	function update() { arrange(); draw(); }
	function turn(by) {
		s.page = Math.max(0, Math.min(Math.ceil(shown.length / s.size) - 1, s.page + by));
		s.chosen = -1;
		draw();
		if (node.getBoundingClientRect().top < 0)
			node.scrollIntoView();
	}
	node.choose = by => {
		const lines = [...body.children];
		if (!lines.length)
			return;
		if (lines[s.chosen])
			lines[s.chosen].classList.remove('chosen');
		s.chosen = Math.max(0, Math.min(lines.length - 1, s.chosen + by));
		lines[s.chosen].classList.add('chosen');
		lines[s.chosen].scrollIntoView({block: 'nearest'});
	};
	node.open = () => {
		const link = body.children[s.chosen] && body.children[s.chosen].querySelector('a');
		if (link)
			link.click();
	};
	node.turn = turn;
	node.filter = text => { s.text = text; s.page = 0; update(); };
	node.whole = on => { s.all = on; draw(); };
	if (options.filter && rows.length > 8)
		node.append(el('div', {class: 'filters'}, el('input', {type: 'search', placeholder: options.filter, 'aria-label': options.filter, input: e => node.filter(e.target.value)})));
	node.append(el('div', {class: 'scroll'}, el('table', {class: options.cards === false ? null : 'cards'}, el('thead', null, head), body)), pager);
	update();
	return node;
}

/* Paper has no pages to turn: up to 5,000 rows are printed. */
window.addEventListener('beforeprint', () => document.querySelectorAll('.table').forEach(t => t.whole && t.whole(true)));
window.addEventListener('afterprint', () => document.querySelectorAll('.table').forEach(t => t.whole && t.whole(false)));

const link = (to, text, attributes) => el('a', Object.assign({href: '#/' + to}, attributes), text);
const process_name = (name, pid) => (name || '?') + (pid === null || pid === undefined ? '' : ` (${pid})`);
const process_link = (dump, id, name, pid) => id === null ? '' : link(`process/${dump}/${id}`, process_name(name, pid));
const machine_link = m => link('machine/' + m.id, m.label);

const FINDING_COLUMNS = {
	severity: {label: 'Severity', value: f => f.rank, cell: f => badge(f.severity), class: 'nowrap'},
	confidence: {label: 'Conf.', name: 'confidence', class: 'number'},
	title: {label: 'Finding', value: f => f.title, cell: f => link('finding/' + f.id, f.title), class: 'text'},
	attack: {label: 'ATT&CK', value: f => technique(f.attack), cell: f => el('span', {title: technique(f.attack)}, f.attack), class: 'nowrap'},
	process: {label: 'Process', value: f => process_name(f.name, f.pid), cell: f => f.process === null ? el('span', {class: 'quiet'}, 'kernel') : process_link(f.dump, f.process, f.name, f.pid), class: 'nowrap'},
	machine: {label: 'Machine', value: f => f.machine.label, cell: f => machine_link(f.machine)},
	address: {label: 'Address', name: 'address', class: 'mono'},
	rule: {label: 'Rule', name: 'rule', class: 'nowrap'},
};
const findings_table = (list, columns, options) => table(columns.map(c => FINDING_COLUMNS[c]), list, options);
