/* Which page, the head of it, keys, light and dark. */

const PAGES = [['', 'Overview'], ['findings', 'Findings'], ['machines', 'Machines'], ['stacking', 'Across machines'], ['unread', 'Not read']];

const not_found = what => [el('h1', null, 'Not here'), el('p', null, `This report has no such ${what}. `, link('', 'Overview'))];

async function route() {
	const [path, query] = location.hash.replace(/^#\/?/, '').split('?'), [page, ...parts] = path.split('/');
	const main = document.getElementById('main');
	let nodes;
	try {
		const pages = {'': overview, findings: () => findings_page(new URLSearchParams(query || '')), machines: machines_page, stacking: stacking_page, unread: unread_page,
			search: () => search_page(decodeURIComponent(parts.join('/'))), finding: () => finding_page(...parts), machine: () => machine_page(...parts), process: () => process_page(...parts)};
		nodes = pages[page] ? await pages[page]() : not_found('page');
	} catch (error) {
		console.error(error);
		nodes = [el('h1', null, 'This part of the report can’t be shown'), el('p', null, String(error.message || error))];
	}
	main.replaceChildren();
	append(main, nodes);
	for (const a of document.querySelectorAll('header nav a')) {
		const own = a.getAttribute('href').replace('#/', '');
		const here = own === page || (own === 'machines' && (page === 'machine' || page === 'process')) || (own === 'findings' && page === 'finding');
		here ? a.setAttribute('aria-current', 'page') : a.removeAttribute('aria-current');
	}
	window.scrollTo(0, 0);
	document.body.dataset.ready = page || 'overview';
}

function search_page(text) {
	document.title = 'Search · ' + plain(state.name);
	const words = text.toLowerCase().split(/\s+/).filter(Boolean), has = t => words.every(w => t.toLowerCase().includes(w));
	const machines = state.machines.filter(m => has([m.label, m.name, m.path, m.sha256, m.build].join(' ')));
	const findings = state.findings.filter(f => has([f.title, f.rule, f.attack, f.address, f.machine.label].join(' ')));
	const programs = state.stack_processes.filter(r => has([r.program, r.command_line].join(' '))), images = state.stack_images.filter(r => has([r.path, r.original_name, r.company, r.sha256].join(' ')));
	const part = (title, list, node) => list.length ? el('section', null, el('h2', null, `${title} (${count(list.length)})`), node()) : null;
	return [el('h1', null, `Search: ${text}`),
		machines.length + findings.length + programs.length + images.length ? null : el('p', null, 'Nothing in findings, machines, programs or images has these words.'),
		part('Machines', machines, () => machine_table(machines, 10)), part('Findings', findings, () => findings_table(findings, ['severity', 'title', 'attack', 'machine', 'rule'], {page: 25})),
		part('Programs', programs, () => table([{label: 'Dumps', name: 'dumps', class: 'number'}, {label: 'Program', value: r => r.program, cell: r => link(`process/${r.dump}/${r.process}`, r.program), class: 'text'}, {label: 'Command line', name: 'command_line', class: 'text'}], programs, {page: 10})),
		part('Images', images, () => table([{label: 'Dumps', name: 'dumps', class: 'number'}, {label: 'Path', name: 'path', class: 'text'}, {label: 'Company', name: 'company'}, {label: 'SHA-256', name: 'sha256', class: 'mono'}], images, {page: 10}))];
}

function set_theme(theme) {
	document.documentElement.dataset.theme = theme;
	try { localStorage.setItem('memsieve-theme', theme); } catch { /* a file may have no storage */ }
}

const toggle_theme = () => set_theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');

/* Paper is white. */
let before_print = null;
addEventListener('beforeprint', () => { before_print = document.documentElement.dataset.theme; document.documentElement.dataset.theme = 'light'; });
addEventListener('afterprint', () => { document.documentElement.dataset.theme = before_print; });

function first_theme() {
	let theme = null;
	try { theme = localStorage.getItem('memsieve-theme'); } catch { /* none */ }
	document.documentElement.dataset.theme = theme === 'dark' || theme === 'light' ? theme : matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

function help() {
	const keys = [['/', 'search'], ['j, k', 'next and previous row of the first table'], ['Enter', 'open the row'], ['[ ]', 'previous and next page of it'], ['g o, g f, g m, g a, g n', 'overview, findings, machines, across machines, not read'], ['t', 'light or dark'], ['?', 'this']];
	const dialog = el('dialog', {'aria-label': 'Keys'}, el('h2', null, 'Keys'), el('dl', {class: 'facts'}, keys.map(([k, what]) => [el('dt', null, el('kbd', null, k)), el('dd', null, what)])),
		el('p', null, el('button', {click: () => dialog.close()}, 'Close')));
	dialog.addEventListener('close', () => dialog.remove());
	document.body.append(dialog);
	dialog.showModal();
}

let prefix = false;

function on_key(e) {
	if (e.ctrlKey || e.metaKey || e.altKey || /^(input|select|textarea)$/i.test(e.target.tagName) || document.querySelector('dialog[open]'))
		return;
	const tables = [...document.querySelectorAll('main .table')], first = tables[0];
	const go = {o: '', f: 'findings', m: 'machines', a: 'stacking', n: 'unread'};
	if (prefix && e.key in go)
		location.hash = '#/' + go[e.key];
	else if (e.key === '/')
		document.getElementById('search').focus();
	else if (e.key === 't')
		toggle_theme();
	else if (e.key === '?')
		help();
	else if (first && (e.key === 'j' || e.key === 'k'))
		first.choose(e.key === 'j' ? 1 : -1);
	else if (first && e.key === 'Enter' && e.target.closest('a, button, summary') === null)
		first.open();
	else if (first && (e.key === '[' || e.key === ']'))
		first.turn(e.key === ']' ? 1 : -1);
	else if (e.key !== 'g')
		return;
	prefix = e.key === 'g';
	e.preventDefault();
}

function head() {
	const search = el('input', {id: 'search', type: 'search', placeholder: 'Search  ( / )', 'aria-label': 'Search the report',
		keydown: e => { if (e.key === 'Enter' && e.target.value.trim()) location.hash = '#/search/' + encodeURIComponent(e.target.value.trim()); if (e.key === 'Escape') e.target.blur(); }});
	document.getElementById('head').replaceChildren(el('div', {class: 'bar'}, el('a', {class: 'name', href: '#/'}, 'memsieve'),
		el('nav', {'aria-label': 'Pages'}, PAGES.filter(([to]) => to !== 'stacking' || state.machines.length > 1).map(([to, text]) => link(to, text))),
		el('div', {class: 'tools'}, search, el('button', {click: toggle_theme, 'aria-label': 'Light or dark', title: 'Light or dark ( t )'}, '◐'), el('button', {click: help, 'aria-label': 'Keys', title: 'Keys ( ? )'}, '?'))));
	document.getElementById('foot').replaceChildren(el('p', null, `${state.name} · ${plural(state.machines.length, 'dump')}, ${plural(state.findings.length, 'finding')} · written ${state.generated.replace('T', ' ')} by memsieve ${state.version}. `,
		'Text from dumps is shown as text; characters that would hide or reorder it are shown by their numbers.'));
}

async function start() {
	first_theme();
	if (typeof DecompressionStream === 'undefined') {
		document.getElementById('main').replaceChildren(el('p', null, 'This browser is too old to unpack the report: Firefox 113, Chromium 80, Safari 16.4 and later can.'));
		return;
	}
	try {
		await load_case();
	} catch (error) {
		console.error(error);
		document.getElementById('main').replaceChildren(el('p', null, 'This report is damaged: ' + (error.message || error)));
		return;
	}
	head();
	addEventListener('hashchange', route);
	addEventListener('keydown', on_key);
	await route();
}

start();
