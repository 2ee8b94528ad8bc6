/* Times, drawn. */

const milliseconds = t => Date.parse(t.replace(/(\.\d{3})\d*Z$/, '$1Z'));

/* Round steps for an axis. */
function ticks(from, to, most) {
	const steps = [1e3, 5e3, 15e3, 6e4, 3e5, 9e5, 36e5, 108e5, 432e5, 864e5, 6048e5, 2592e6, 7776e6, 31536e6];
	const step = steps.find(s => (to - from) / s <= most) || 31536e6 * Math.ceil((to - from) / 31536e6 / most);
	const list = [];
	for (let t = Math.ceil(from / step) * step; t <= to && list.length < 40; t += step)
		list.push([t, new Date(t).toISOString().slice(...(step < 6e4 ? [11, 19] : step < 864e5 ? [5, 16] : [0, 10])).replace('T', ' ')]);
	return list;
}

/*
 * Lanes of dots over time. lanes: [{label, to, events: [{t (ms), text, to, class}]}]. Drag over a span to look at it closer. Dots that
 * fall on each other become one that says how many.
 */
function lanes_picture(lanes, options) {
	const holder = el('div'), reset = el('button', {click: () => { range = null; draw(); }}, 'Whole time');
	let range = null, drawn = 0;
	const all = lanes.flatMap(l => l.events.map(e => e.t));
	const low = all.reduce((a, b) => Math.min(a, b), Infinity), high = all.reduce((a, b) => Math.max(a, b), -Infinity);

	function draw() {
		const width = drawn, label = width > 640 ? 190 : 0, lane = label ? 24 : 36, top = 22, height = top + lanes.length * lane + 6;
		const [from, to] = range || [low - (high - low) * .01 - 500, high + (high - low) * .01 + 500], scale = (width - label - 16) / (to - from);
		const x = t => label + 8 + (t - from) * scale, nodes = [];
		for (const [t, text] of ticks(from, to, Math.max(2, (width - label) / 110)))
			nodes.push(el('line', {class: 'tick', x1: x(t), y1: 16, x2: x(t), y2: height}), el('text', {x: Math.min(x(t) + 3, width - 74), y: 12}, text));
		lanes.forEach((l, i) => {
			const y = top + i * lane + (label ? lane / 2 : lane - 10), max = label ? 27 : 60, name = plain(l.label), text = el('text', {x: 0, y: label ? y + 4 : y - 10}, name.length > max ? name.slice(0, max - 1) + '…' : name, el('title', null, name));
			nodes.push(el('line', {class: 'lane', x1: label, y1: y, x2: width, y2: y}), l.to ? el('a-svg', {href: '#/' + l.to}, text) : text);
			const cells = new Map();
			for (const e of l.events) {
				if (e.t < from || e.t > to)
					continue;
				const key = Math.round(x(e.t) / 4) + (e.class || '');
				if (!cells.has(key))
					cells.set(key, []);
				cells.get(key).push(e);
			}
			/* the important ones last, so that they lie on top */
			for (const list of [...cells.values()].sort((a, b) => (a[0].order || 0) - (b[0].order || 0))) {
				const e = list[0], r = Math.min(8, 3.2 + Math.log2(list.length) * .9);
				const title = list.slice(0, 12).map(o => o.text).join('\n') + (list.length > 12 ? `\n… ${list.length} in all` : '');
				const dot = el('circle', {class: 'event ' + (e.class || ''), cx: x(e.t), cy: y, r}, el('title', null, title));
				nodes.push(e.to ? el('a-svg', {href: '#/' + e.to}, dot) : dot);
			}
		});
		const select = el('rect', {class: 'select', y: 0, height, width: 0, x: 0});
		const svg = el('svg', {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': options.about}, select, nodes);
		let begun = null;
		const at = e => Math.max(label, e.clientX - svg.getBoundingClientRect().left);
		svg.addEventListener('pointerdown', e => { if (!e.target.closest('a')) begun = at(e); });
		svg.addEventListener('pointermove', e => {
			if (begun === null)
				return;
			select.setAttribute('x', Math.min(begun, at(e)));
			select.setAttribute('width', Math.abs(at(e) - begun));
		});
		const end = e => {
			if (begun !== null && Math.abs(at(e) - begun) > 8) {
				range = [Math.min(begun, at(e)), Math.max(begun, at(e))].map(px => from + (px - label - 8) / scale);
				draw();
				if (options.zoomed)
					options.zoomed(range);
			}
			begun = null;
		};
		svg.addEventListener('pointerup', end);
		holder.replaceChildren(svg);
		reset.hidden = !range;
		if (!range && options.zoomed)
			options.zoomed(null);
	}
	new ResizeObserver(() => {
		const width = Math.floor(holder.clientWidth);
		if (width && Math.abs(width - drawn) > 4) {
			drawn = width;
			draw();
		}
	}).observe(holder);
	reset.hidden = true;
	return el('div', null, el('div', {class: 'filters no-print'}, el('span', {class: 'quiet small'}, 'All times are UTC. Drag over a span to look closer.'), reset), holder);
}

const MAX_LANES = 40;

function case_timeline() {
	const timed = state.suspects.filter(s => s.time && state.machine.has(s.dump)), lanes = [];
	const by = [...group(timed, 'dump')].map(([dump, list]) => ({m: state.machine.get(dump), list})).sort((a, b) => b.list.filter(s => s.worst <= 1).length - a.list.filter(s => s.worst <= 1).length);
	for (const {m, list} of by.slice(0, MAX_LANES))
		lanes.push({label: m.label, to: 'machine/' + m.id, events: list.map(s => ({t: milliseconds(s.time), class: 'worst-' + s.worst, order: 3 - s.worst, to: `process/${m.id}/${s.process}`,
			text: `${s.time.slice(0, 19)} ${process_name(s.name, s.pid)}: ${plural(s.findings, 'finding')}`}))});
	return el('div', null, lanes_picture(lanes, {about: 'When processes with findings were created, machine by machine'}),
		by.length > MAX_LANES ? el('p', {class: 'quiet'}, `The ${MAX_LANES} machines with most; ${plural(by.length - MAX_LANES, 'other')} on their own pages.`) : null);
}

function machine_timeline(m, dump) {
	const bad = id => id !== null && (state.by_process.get(id) || []).some(f => f.rank <= 2);
	const kinds = [['Processes', /^process (created|exited)/], ['Threads', /^thread/], ['Images loaded', /^image/], ['Drivers', /^driver/], ['Machine', /^(boot|crash|dump taken)/]];
	const lanes = kinds.map(([label, pattern]) => ({label, events: dump.timeline.filter(e => pattern.test(e.event)).map(e => ({t: milliseconds(e.time),
		class: label === 'Machine' ? 'machine' : bad(e.process) ? 'flagged' : '', order: bad(e.process) ? 1 : 0, to: e.process && label === 'Processes' ? `process/${m.id}/${e.process}` : null,
		text: `${e.time.slice(0, 19)} ${e.event}: ${e.subject || ''} ${e.detail || ''}`}))})).filter(l => l.events.length);
	const columns = [
		{label: 'Time', value: e => e.time, cell: e => el('span', {class: 'mono', title: e.time}, e.time.slice(0, 23).replace('T', ' ')), class: 'nowrap'}, {label: 'Event', name: 'event', class: 'nowrap'},
		{label: 'Of', value: e => e.subject, cell: e => e.process ? link(`process/${m.id}/${e.process}`, e.subject) : e.subject}, {label: 'Detail', name: 'detail', class: 'text'},
		{label: 'Source', name: 'source', class: 'nowrap'},
	];
	const holder = el('div');
	const fill = range => holder.replaceChildren(table(columns, Object.assign(range ? dump.timeline.filter(e => { const t = milliseconds(e.time); return t >= range[0] && t <= range[1]; }) : dump.timeline, {more: dump.timeline.more}),
		{page: 50, filter: 'Filter events', class: e => bad(e.process) ? 'flagged' : null}));
	fill(null);
	return [el('p', {class: 'legend'}, el('span', null, el('svg', {width: 10, height: 10}, el('circle', {class: 'event flagged', cx: 5, cy: 5, r: 4})), 'of a process with findings of medium or above')),
		lanes_picture(lanes, {about: 'Events of the machine over time', zoomed: fill}),
		el('details', null, el('summary', null, plural(dump.timeline.length, 'event')), holder)];
}
