/* SPDX-License-Identifier: Apache-2.0 */
'use strict';

/*
 * Everything a dump says is somebody else's text: it reaches the page through text nodes and attributes alone, and what
 * would not be seen, or would turn the line round, is shown as what it is.
 */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u{e0000}-\u{e007f}]/gu;

function plain(value) {
	if (value === null || value === undefined)
		return '';
	return String(value).replace(HIDDEN, c => '\u2039U+' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0') + '\u203a');
}

const SVG_TAGS = new Set(['svg', 'g', 'rect', 'path', 'circle', 'line', 'text', 'title', 'defs', 'pattern', 'polygon', 'a-svg']);

/* el('td', {class: 'number'}, text or nodes…). Handlers are given as functions, style as an object (set by script: the policy
 * of the page allows no style attributes). */
function el(tag, attributes, ...children) {
	const svg = SVG_TAGS.has(tag);
	const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag === 'a-svg' ? 'a' : tag) : document.createElement(tag);
	for (const [name, value] of Object.entries(attributes || {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (typeof value === 'function')
			node.addEventListener(name, value);
		else if (name === 'style')
			for (const [property, v] of Object.entries(value))
				node.style.setProperty(property, v);
		else
			node.setAttribute(name, value === true ? '' : plain(value));
	}
	append(node, children);
	return node;
}

function append(node, children) {
	for (const child of children) {
		if (Array.isArray(child))
			append(node, child);
		else if (child instanceof Node)
			node.append(child);
		else if (child !== null && child !== undefined && child !== false)
			append_text(node, plain(child));
	}
}

/* A long path is broken where a folder ends, if it must be broken. */
function append_text(node, text) {
	if (text.length < 30 || SVG_TAGS.has(node.localName)) {
		node.append(text);
		return;
	}
	text.split(/(?<=\\)(?!\\)/).forEach((part, i) => node.append(...i ? [document.createElement('wbr'), part] : [part]));
}

const count = n => Number(n || 0).toLocaleString('en');
const plural = (n, one, many) => count(n) + ' ' + (Number(n) === 1 ? one : many || one + 's');

function bytes(n) {
	if (n === null || n === undefined)
		return '';
	const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
	let i = 0;
	for (n = Number(n); n >= 1024 && i < 4; i++)
		n /= 1024;
	return n === 1 && !i ? '1 byte' : (i ? n.toFixed(n < 10 ? 1 : 0) : n) + ' ' + units[i];
}

/* A time without its last digits, the whole of it as the title. */
function when(time) {
	return time ? el('time', {datetime: time, title: time}, time.slice(0, 19).replace('T', ' ')) : '';
}

const hex = n => '0x' + n.toString(16);

/* Bytes as a hex dump; `other`: bytes to compare with, what differs is marked. */
function hexdump(data, start, other) {
	const pre = el('div', {class: 'hex mono', tabindex: 0});
	const pairs = data.match(/../g) || [], others = other ? other.match(/../g) || [] : null;
	let at = BigInt.asUintN(64, BigInt(start || 0));
	for (let i = 0; i < pairs.length; i += 16, at += 16n) {
		pre.append(el('span', {class: 'at'}, at.toString(16).padStart(8, '0') + '  '));
		let run = '', marked = false;
		const flush = () => {
			if (run)
				pre.append(marked ? el('b', null, run) : run);
			run = '';
		};
		for (let j = i; j < i + 16; j++) {
			const changed = others !== null && j < pairs.length && pairs[j] !== others[j];
			if (changed !== marked) {
				flush();
				marked = changed;
			}
			run += (j < pairs.length ? pairs[j] : '  ') + (j % 8 === 7 ? '  ' : ' ');
		}
		flush();
		const ascii = pairs.slice(i, i + 16).map(p => parseInt(p, 16)).map(c => c > 31 && c < 127 ? String.fromCharCode(c) : '.').join('');
		pre.append(el('span', {class: 'ascii'}, ascii), '\n');
	}
	return pre;
}

/* [[address, bytes, text] …] */
function listing(code) {
	const pre = el('div', {class: 'hex mono', tabindex: 0});
	for (const [at, data, text] of code)
		pre.append(el('span', {class: 'at'}, at.padStart(8, '0') + '  ' + data.slice(0, 20).padEnd(22) + (data.length > 20 ? '… ' : '  ')), plain(text), '\n');
	return pre;
}

function facts(pairs) {
	return el('dl', {class: 'facts'}, pairs.filter(p => p && p[1] !== null && p[1] !== undefined && p[1] !== '')
		.map(([name, value, mono]) => [el('dt', null, name), el('dd', {class: mono ? 'mono' : null}, value)]));
}
