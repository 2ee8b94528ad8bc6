/* One process: its facts, and its address space drawn. */

/*
 * The address space as blocks in address order, line after line: a block's width grows with the logarithm of its size, gaps are
 * a fixed space, so that a page and a gigabyte can both be seen. Markers stand where things are; what lies in no VAD gets an
 * empty block of its own.
 */
function map_blocks(dump, p, findings) {
	const blocks = (dump.vads_of.get(p.id) || []).map(v => ({start: BigInt(v.start), end: BigInt(v.end), v, marks: []})).filter(b => b.end >= b.start);
	const place = (address, mark) => {
		if (!address)
			return;
		const at = BigInt(address);
		if (at <= 0xffffn || at >= 1n << 63n)
			return;
		let b = blocks.find(x => at >= x.start && at <= x.end);
		if (!b) {
			b = {start: at & ~0xfffn, end: at | 0xfffn, v: null, marks: []};
			blocks.push(b);
		}
		b.marks.push(Object.assign({at: Number(at - b.start) / Number(b.end - b.start + 1n), address}, mark));
	};
	for (const f of findings)
		place(f.address, {kind: 'finding', text: f.title, to: 'finding/' + f.id});
	for (const y of dump.yara_of.get(p.id) || [])
		place(y.address, {kind: 'yara', text: `YARA ${y.rule} ${y.string}`});
	for (const t of dump.threads_of.get(p.id) || [])
		if (!t.exit_time)
			place(t.win32_start, {kind: 'thread', text: `thread ${t.tid} starts here`});
	return blocks.sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
}

function block_text(b) {
	const size = bytes(Number(b.end - b.start + 1n));
	if (!b.v)
		return `${hex(b.start)}: no VAD describes this memory`;
	const v = b.v, pages = [[v.executable, 'executable'], [v.writable_executable, 'writable and executable'], [v.private_code, 'private copies of executable image'], [v.zero, 'zero']]
		.filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(', ');
	return `${hex(b.start)}–${hex(b.end)}, ${size}, ${v.type}, made as ${v.protection}` + (v.file ? `, ${v.file}` : '') + (v.present === null ? '' : `; ${plural(v.present, 'page')} present`) + (pages ? `, ${pages}` : '');
}

const FAR = 1n << 39n;
const TYPES = new Set(['private', 'mapped', 'image']);

function draw_map(blocks, width, focus, tell) {
	const label = width > 560 ? 124 : 0, bar = 24, above = 15, below = 13, line = above + bar + below + (label ? 0 : 14);
	const nodes = [], marks = [];
	const file_of = b => b.v && b.v.file ? plain(b.v.file.split('\\').pop().replace(/\.(dll|exe)$/i, '')) : '';
	/* wide enough for a file's name to be read */
	const natural = b => Math.max(3 + 3.2 * Math.log2(Number((b.end - b.start + 1n) >> 12n) + 1), file_of(b) ? Math.min(64, 7 + 5.8 * file_of(b).length) : 0);
	/* few blocks are drawn larger */
	const scale = Math.max(1, Math.min(2.6, 1.6 * (width - label) / blocks.reduce((n, b) => n + natural(b) + 4, 1)));
	let x = label, y = 0, last = null, n = 0;
	const start_line = b => {
		nodes.push(el('text', label ? {x: 0, y: y + above + 16} : {x: 0, y: y + 11}, hex(b.start)));
	};
	for (const b of blocks) {
		const w = Math.max(8, Math.min(110, natural(b) * scale)), distance = last === null ? 0n : b.start - last - 1n;
		const gap = distance > 1n << 32n ? 16 : distance > 0n ? 5 : 1;
		/* a line ends at its end, and where the next region is far away */
		if (last === null || x + gap + w > width || distance > FAR) {
			if (last !== null)
				y += line;
			x = label;
			start_line(b);
		} else {
			if (gap === 16)
				nodes.push(el('text', {x: x + 2, y: y + above + (label ? 0 : 14) + 16, 'aria-hidden': 'true'}, '··', el('title', null, bytes(Number(distance)) + ' of nothing')));
			x += gap;
		}
		const top = y + above + (label ? 0 : 14), type = b.v ? TYPES.has(b.v.type) ? b.v.type : 'other' : 'none';
		const rect = el('rect', {class: 'block ' + type, x, y: top, width: w, height: bar, rx: 2, click: e => tell(b, e.currentTarget)}, el('title', null, block_text(b)));
		nodes.push(rect);
		if (b.v && b.v.executable)
			nodes.push(el('rect', {class: 'hatch', x, y: top, width: w, height: bar, fill: 'url(#hatch)'}));
		const file = file_of(b), room = Math.floor((w - 6) / 5.6);
		if (file && room >= 6)
			nodes.push(el('text', {class: 'in-block', x: x + 3, y: top + 15}, file.length > room ? file.slice(0, room - 1) + '…' : file));
		if (b.v && b.v.writable_executable)
			nodes.push(el('rect', {class: 'wx', x: x + 1.2, y: top + 1.2, width: w - 2.4, height: bar - 2.4}));
		for (const m of b.marks) {
			const mx = x + Math.max(3, Math.min(w - 3, m.at * w)), title = el('title', null, `${m.text}\n${m.address}`);
			if (m.kind === 'thread')
				marks.push(el('polygon', {class: b.v && b.v.type === 'image' ? 'thread' : 'bad-thread', points: `${mx},${top + bar + 1} ${mx - 4.5},${top + bar + 9} ${mx + 4.5},${top + bar + 9}`}, title));
			else if (m.kind === 'yara')
				marks.push(el('polygon', {class: 'yara', points: `${mx},${top - 12} ${mx + 4.5},${top - 7} ${mx},${top - 2} ${mx - 4.5},${top - 7}`}, title));
			else
				marks.push(el('a-svg', {href: '#/' + m.to}, el('polygon', {class: 'finding', points: `${mx},${top - 1} ${mx - 5.5},${top - 12} ${mx + 5.5},${top - 12}`}, title)));
		}
		if (focus && b.marks.some(m => m.to === 'finding/' + focus.id)) {
			rect.classList.add('chosen');
			tell(b, rect);
		}
		x += w;
		last = b.end;
		n++;
	}
	const height = y + line;
	return el('svg', {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Memory map of ${n} regions; the table below lists them`},
		el('defs', null, el('pattern', {id: 'hatch', width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)'}, el('line', {x1: 0, y1: 0, x2: 0, y2: 5, class: 'hatch-line'}))),
		nodes, marks);
}

function map_legend() {
	const box = (cls, more) => el('svg', {width: 18, height: 13}, el('rect', {class: cls, x: 0, y: 0, width: 18, height: 13}), more || null);
	const key = (picture, text) => el('span', null, picture, text);
	return el('p', {class: 'legend'}, key(box('private'), 'private'), key(box('mapped'), 'mapped'), key(box('image'), 'image'), key(box('other'), 'other'), key(box('none'), 'in no VAD'),
		key(el('svg', {width: 18, height: 13}, el('rect', {class: 'private', width: 18, height: 13}), el('rect', {width: 18, height: 13, fill: 'url(#hatch)'})), 'has executable pages'),
		key(el('svg', {width: 18, height: 13}, el('rect', {class: 'private', width: 18, height: 13}), el('rect', {class: 'wx', x: 1, y: 1, width: 16, height: 11})), 'writable and executable'),
		key(el('svg', {width: 12, height: 12}, el('polygon', {class: 'finding', points: '6,11 0,1 12,1'})), 'finding'),
		key(el('svg', {width: 12, height: 12}, el('polygon', {class: 'yara', points: '6,0 12,6 6,12 0,6'})), 'YARA match'),
		key(el('svg', {width: 12, height: 12}, el('polygon', {class: 'thread', points: '6,1 0,11 12,11'})), 'thread start (red: in no image)'));
}

function memory_map(dump, p, focus) {
	const blocks = map_blocks(dump, p, state.by_process.get(p.id) || []);
	const told = el('p', {class: 'small mono', 'aria-live': 'polite'}, 'Choose a block to see what it is.'), holder = el('div');
	let chosen = null, drawn = 0;
	const tell = (b, node) => {
		if (chosen)
			chosen.classList.remove('chosen');
		chosen = node;
		node.classList.add('chosen');
		told.replaceChildren(plain(block_text(b)), b.marks.filter(m => m.to).length ? el('span', null, b.marks.filter(m => m.to).map(m => [el('br'), link(m.to, m.text)])) : '');
	};
	new ResizeObserver(() => {
		const width = Math.floor(holder.clientWidth);
		if (width && Math.abs(width - drawn) > 4) {
			drawn = width;
			holder.replaceChildren(draw_map(blocks, width, focus, tell));
		}
	}).observe(holder);
	return el('div', null, map_legend(), holder, told);
}

async function process_page(dump_id, id) {
	const m = state.machine.get(Number(dump_id)), dump = m && await load_dump(m.id), p = dump && dump.process.get(Number(id));
	if (!p)
		return not_found('process');
	document.title = plain(process_name(p.name, p.pid));
	const list = state.by_process.get(p.id) || [], vads = Object.assign(dump.vads_of.get(p.id) || [], {more: 0});
	const parent = dump.processes.slice(0, dump.processes.indexOf(p)).reverse().find(o => o.depth === p.depth - 1);
	const patches = dump.patches_of.get(p.id) || [], left_out = !vads.length && p.vads > 0 && !dump.vads.more && !dump.vads.cut;
	return [
		el('p', {class: 'crumbs'}, machine_link(m), p.depth && parent ? [' › ', process_link(m.id, parent.id, parent.name, parent.pid)] : ''),
		el('h1', null, process_name(p.name, p.pid), ' ', sources(p)),
		cut_short(dump, ['vads', 'threads', 'modules', 'yara', 'patches']),
		el('div', {class: 'grid'},
			el('section', null, el('h2', null, 'The process'), facts([
				['Image (kernel)', p.image_path], ['Image (PEB)', p.peb_image_path], ['Command line', p.command_line], ['Directory', p.current_directory],
				['Created', p.create_time], ['Exited', p.exit_time ? `${p.exit_time}, status ${p.exit_status}` : ''], ['User', p.user ? [dump.accounts.has(p.user) || USERS[p.user] ? [user_name(p.user, dump.accounts), ' · '] : '', p.user] : ''], ['Integrity', p.integrity], ['Protection', p.protection],
				['Session', p.session]])),
			el('section', null, el('h2', null, 'In the kernel'), facts([
				['Parent', parent && p.depth ? process_link(m.id, parent.id, parent.name, parent.pid) : p.ppid ? `pid ${p.ppid}, not in the dump` : ''],
				['EPROCESS', p.eprocess, true], ['PEB', p.peb, true], ['DTB', p.dtb, true], ['Section base', p.section_base, true], ['Image base', p.image_base, true],
				['32-bit', p.wow64 ? 'yes' : ''], ['Threads', p.threads], ['Handles', p.handle_count], ['Modules', p.modules], ['Regions', p.vads],
				['Not seen by', SOURCES.filter(([k]) => p[k] === 0).map(s => s[2]).join(', ')]]))),
		list.length ? el('section', null, el('h2', null, plural(list.length, 'finding')), findings_table(list, ['severity', 'confidence', 'title', 'attack', 'address', 'rule'], {page: 25})) : null,
		left_out ? el('p', {class: 'notice'}, `Its ${plural(p.vads, 'region')} and threads are left out of this report, as it has no findings and the case is large: `, el('code', null, `memsieve report --dump ${m.id}`), ' has them.') : null,
		vads.length ? el('section', null, el('h2', null, 'Memory'), memory_map(dump, p, null)) : null,
		patches.length ? el('section', null, el('h2', null, 'Changed code'), patches.slice(0, 50).map(x => [
			el('h3', null, x.function || x.section || '', ' in ', (x.path || '?').split('\\').pop(), ' at ', el('span', {class: 'mono'}, x.address), `: ${x.kind}`,
				x.target ? [' to ', el('span', {class: 'mono'}, x.target), x.target_module ? ` in ${x.target_module}` : ', in no module'] : ''),
			el('div', {class: 'sides'}, el('div', null, x.original ? hexdump(x.original, x.address, x.current || '') : el('p', {class: 'quiet'}, 'The original page is not in the dump.')),
				el('div', null, hexdump(x.current || '', x.address, x.original || ''), x.disassembly ? el('p', {class: 'mono'}, x.disassembly) : null)),
		]), patches.length > 50 ? el('p', {class: 'quiet'}, `${count(patches.length - 50)} more are in the case, table image_patches.`) : null) : null,
		vads.length ? el('section', null, el('details', null, el('summary', null, plural(vads.length, 'region')), table([
			{label: 'Start', value: v => Number(v.start), cell: v => hex(BigInt(v.start)), class: 'mono'}, {label: 'End', value: v => Number(v.end), cell: v => hex(BigInt(v.end)), class: 'mono'},
			{label: 'Type', name: 'type'}, {label: 'Made as', name: 'protection', class: 'nowrap'}, {label: 'Present', name: 'present', class: 'number'},
			{label: 'Exec.', name: 'executable', class: 'number'}, {label: 'W+X', name: 'writable_executable', class: 'number'}, {label: 'File', name: 'file', class: 'text'},
		], vads, {filter: 'Filter regions'}))) : null,
		(dump.threads_of.get(p.id) || []).length ? el('section', null, el('details', null, el('summary', null, plural(dump.threads_of.get(p.id).length, 'thread')), table([
			{label: 'TID', name: 'tid', class: 'number'}, {label: 'Starts at', name: 'win32_start', class: 'mono'}, {label: 'Started by the kernel at', name: 'start', class: 'mono'},
			{label: 'Created', value: t => t.create_time, cell: t => when(t.create_time), class: 'nowrap'}, {label: 'Exited', value: t => t.exit_time, cell: t => when(t.exit_time), class: 'nowrap'},
			{label: 'State', value: t => [t.state, t.wait_reason].filter(Boolean).join(', ')},
		], dump.threads_of.get(p.id), {filter: 'Filter threads'}))) : null,
		(dump.modules_of.get(p.id) || []).length ? el('section', null, el('details', null, el('summary', null, plural(dump.modules_of.get(p.id).length, 'module')), table([
			{label: 'Base', name: 'base', class: 'mono'}, {label: 'Size', name: 'size', cell: x => bytes(x.size), class: 'number'}, {label: 'Name', name: 'name'},
			{label: 'Path', value: x => x.path, class: 'text'}, {label: 'Mapped file', name: 'mapped_path', class: 'text'},
			{label: 'Lists', value: x => [x.in_load_order, x.in_memory_order, x.in_init_order].join(''), cell: x => [['L', x.in_load_order], ['M', x.in_memory_order], ['I', x.in_init_order]].map(([l, on]) => on ? l : '–').join(''), class: 'mono'},
		], dump.modules_of.get(p.id), {filter: 'Filter modules'}))) : null,
	];
}
