/* SPDX-License-Identifier: Apache-2.0 */
/* A report in a real browser: node browser.js CHROMIUM REPORT.html SHOTS-DIR. Wants playwright-core. */
'use strict';
const { chromium } = require('playwright-core');
const [executablePath, file, shots] = process.argv.slice(2);
const url = 'file://' + file;
let checks = 0;

function ok(what, fine) {
	if (!fine)
		throw new Error('FAILED: ' + what);
	checks++;
	console.log('ok', what);
}

async function main(browser) {
	const complaints = [], requests = [];
	const watch = page => {
		page.on('console', m => complaints.push(m.text()));
		page.on('pageerror', e => complaints.push(e.message));
		page.on('dialog', d => { complaints.push('dialog ' + d.message()); d.dismiss(); });
		page.on('request', r => requests.push(r.url()));
	};
	const ready = (page, name) => page.waitForFunction(n => document.body.dataset.ready === n, name);
	const page = await browser.newPage({viewport: {width: 1280, height: 900}, colorScheme: 'light'});
	watch(page);
	await page.goto(url);
	await ready(page, 'overview');
	ok('it opens', await page.locator('.tile').count() === 6);

	/* keys */
	await page.keyboard.press('g');
	await page.keyboard.press('f');
	await ready(page, 'findings');
	ok('g f leads to the findings', page.url().endsWith('#/findings'));
	const said = () => page.locator('main section p[aria-live]').first().innerText();
	const all = await said();
	await page.getByRole('button', {name: 'critical', exact: true}).click();
	const critical = await said();
	ok('a button filters: ' + critical, critical !== all && (await page.locator('tbody tr').count()) === Number(critical.split(' ')[0]));
	ok('and is kept in the address', page.url().includes('severity=critical'));
	await page.getByRole('button', {name: 'Reset'}).click();
	await page.getByLabel('Filter findings').fill('finding number 17');
	ok('words filter', /^(\d+) of/.exec(await said())[1] === String(await page.locator('tbody tr').count()) && (await page.locator('tbody tr').count()) > 0);
	await page.getByLabel('Filter findings').fill('no such words');
	ok('nothing is said to match', (await page.locator('.pager').innerText()).includes('None'));
	await page.getByLabel('Filter findings').fill('');
	const confidences = async () => (await page.locator('tbody td[data-label="Conf."]').allInnerTexts()).map(Number);
	await page.getByRole('button', {name: 'Conf.'}).click();
	const down = await confidences();
	await page.getByRole('button', {name: 'Conf.'}).click();
	const up = await confidences();
	ok('a column sorts both ways', down.every((c, i) => !i || c <= down[i - 1]) && up.every((c, i) => !i || c >= up[i - 1]) && down[0] !== up[0]);
	await page.locator('h1').click();
	await page.keyboard.press(']');
	ok('] turns the page', (await page.locator('.pager').innerText()).startsWith('101'));
	await page.keyboard.press('[');
	await page.keyboard.press('j');
	await page.keyboard.press('j');
	ok('j chooses a row', await page.locator('tbody tr.chosen').getAttribute('data-row') === '1');
	await page.keyboard.press('Enter');
	await ready(page, 'finding');
	ok('Enter opens it', /#\/finding\/\d+$/.test(page.url()));
	await page.keyboard.press('/');
	await page.keyboard.type('finding');
	await page.keyboard.press('Enter');
	await ready(page, 'search');
	ok('/ searches', (await page.locator('h1').innerText()) === 'Search: finding' && await page.locator('main a').count() > 0);
	await page.locator('h1').click();
	await page.keyboard.press('t');
	ok('t turns it dark', await page.evaluate(() => document.documentElement.dataset.theme) === 'dark');
	await page.keyboard.press('t');
	await page.keyboard.press('?');
	ok('? explains the keys', await page.locator('dialog[open]').count() === 1);
	await page.keyboard.press('Escape');

	/* links lead: every page that the overview and the first machine lead to can be shown */
	const seen = new Set();
	for (const start of ['#/', '#/machine/1', '#/stacking']) {
		await page.goto(url + start);
		await page.waitForTimeout(200);
		for (const to of (await page.locator('main a[href^="#/"]').evaluateAll(list => list.map(a => a.getAttribute('href')))).slice(0, 40))
			seen.add(to);
	}
	for (const to of seen) {
		await page.goto(url + to);
		await page.waitForFunction(() => document.querySelector('main h1'));
		const head = await page.locator('main h1').first().innerText();
		ok(`${to} can be shown`, !/be shown$|^Not here$/.test(head));
	}

	/* the memory map */
	const process_page = [...seen].find(to => to.startsWith('#/process/'));
	await page.goto(url + process_page);
	await ready(page, 'process');
	const blocks = page.locator('svg .block');
	await blocks.first().waitFor();
	await blocks.first().click();
	ok('a block of the memory map says what it is', /0x[0-9a-f]+/.test(await page.locator('p.mono[aria-live]').innerText()));

	/* widths and schemes */
	for (const [width, scheme] of [[1440, 'light'], [1440, 'dark'], [390, 'light'], [390, 'dark']]) {
		const other = await browser.newPage({viewport: {width, height: 900}, colorScheme: scheme});
		watch(other);
		for (const to of ['#/', '#/findings', '#/machine/1', process_page, '#/stacking', '#/unread']) {
			await other.goto(url + to);
			await other.waitForFunction(() => document.querySelector('main h1'));
			await other.waitForTimeout(100);
			ok(`${to} fits ${width} pixels, ${scheme}`, await other.evaluate(() => document.documentElement.scrollWidth <= innerWidth) &&
				await other.evaluate(() => document.documentElement.dataset.theme) === scheme);
			if (shots)
				await other.screenshot({path: `${shots}/${width}-${scheme}-${to.replace(/[^a-z0-9]+/g, '-')}.png`, fullPage: true});
		}
		await other.close();
	}
	await page.goto(url + '#/machine/1');
	await page.emulateMedia({media: 'print'});
	ok('on paper there is no bar of links', !await page.locator('header').isVisible());
	const pdf = await page.pdf();
	ok('it prints', pdf.length > 10000);

	ok('nothing was complained of' + (complaints.length ? ': ' + complaints.join('; ') : ''), !complaints.length);
	ok('nothing else was asked for', requests.every(r => r.startsWith(url)));
	ok('hostile names did nothing', !/taken/.test(await page.title()));
}

(async () => {
	const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic']});
	try {
		await main(browser);
		console.log(checks, 'checks in the browser');
	} catch (error) {
		console.error(error.message);
		process.exitCode = 1;
	}
	await browser.close();
})();
