/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports against the formats' own published schemas: node validate.js FOLDER SCHEMAS. FOLDER has case.stix, case.misp and case.ecs;
 * SCHEMAS has what is there of oasis-open/cti-stix2-json-schemas as stix/, MISP/misp-objects as misp/ and elastic/ecs as ecs/.
 * Wants ajv and ajv-formats.
 */
'use strict';
const fs = require('fs');
const path = require('path');
const Ajv = require('ajv/dist/2020');
const add_formats = require('ajv-formats');

const [folder, schemas] = process.argv.slice(2);
const read = name => JSON.parse(fs.readFileSync(name, 'utf8'));
const exported = name => path.join(folder, name);
let failures = 0;

function fail(...what) {
	if (failures++ < 10)
		console.error('FAILED:', ...what);
}

function stix() {
	const ajv = new Ajv({strict: false, unicodeRegExp: false, allErrors: true, logger: false}), ids = {};
	add_formats(ajv);
	for (const f of fs.readdirSync(path.join(schemas, 'stix/schemas'), {recursive: true}).filter(f => f.endsWith('.json'))) {
		const schema = read(path.join(schemas, 'stix/schemas', f));
		ids[path.basename(f, '.json')] = schema.$id;
		ajv.addSchema(schema);
	}
	const bundle = read(exported('case.stix'));
	/* The bundle's schema forgets notes among what a bundle has; they have one of their own. */
	const noteless = Object.assign({}, bundle, {objects: bundle.objects.filter(o => o.type !== 'note')});
	for (const o of [noteless, ...bundle.objects]) {
		const valid = ids[o.type] && ajv.getSchema(ids[o.type]);
		if (!valid || !valid(o))
			fail(o.type, o.id, JSON.stringify(valid ? valid.errors : 'has no schema').slice(0, 400));
	}
	console.log('STIX:', bundle.objects.length, 'objects');
}

/* MISP's objects are their templates: which attributes, of which type, how often. */
function misp() {
	const event = read(exported('case.misp')).Event;
	for (const o of event.Object) {
		const t = read(path.join(schemas, 'misp/objects', o.name, 'definition.json')), times = {};
		if (t.uuid !== o.template_uuid || t['meta-category'] !== o['meta-category'] || Number(o.template_version) > t.version)
			fail('template of', o.name, t.uuid, t.version);
		for (const a of o.Attribute) {
			const d = t.attributes[a.object_relation];
			times[a.object_relation] = (times[a.object_relation] || 0) + 1;
			if (!d || d['misp-attribute'] !== a.type || (times[a.object_relation] > 1 && !d.multiple))
				fail(o.name, a.object_relation, a.type);
		}
		if ((t.requiredOneOf && !t.requiredOneOf.some(k => times[k])) || (t.required && !t.required.every(k => times[k])))
			fail(o.name, 'lacks what its template requires');
	}
	console.log('MISP:', event.Object.length, 'objects');
}

/* Fields that ECS does not define stand under our own name, as ECS asks for. */
function ecs() {
	const known = new Set([...fs.readFileSync(path.join(schemas, 'ecs/generated/ecs/ecs_flat.yml'), 'utf8').matchAll(/^'?([a-z_@][\w.@]*)'?:/gmi)].map(m => m[1]));
	const walk = (o, at) => {
		for (const [k, v] of Object.entries(o))
			if (v !== null && typeof v === 'object' && !Array.isArray(v))
				walk(v, at + k + '.');
			else if (!known.has(at + k) && !at.startsWith('memsieve.'))
				fail('ECS has no field', at + k);
	};
	const lines = fs.readFileSync(exported('case.ecs'), 'utf8').trim().split('\n');
	lines.forEach(l => walk(JSON.parse(l), ''));
	console.log('ECS:', lines.length, 'documents');
}

for (const [name, check] of [['stix', stix], ['misp', misp], ['ecs', ecs]])
	fs.existsSync(path.join(schemas, name)) ? check() : console.log(name, 'is not in', schemas);
process.exit(failures ? 1 : 0);
