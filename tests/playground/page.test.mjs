// The playground in a real browser. `make page-test` runs this.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startBrowser, startService } from './service.mjs';

const FOREIGN_NAME = 'rebound.example';
let service;
let browser;
let page;
let told;
let asked;

before(async () => {
  service = await startService();
  browser = await startBrowser(`--host-resolver-rules=MAP ${FOREIGN_NAME} 127.0.0.1`);
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

beforeEach(async () => {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  context.setDefaultTimeout(15000);
  page = await context.newPage();
  told = [];
  asked = [];
  page.on('console', (message) => told.push(message.text()));
  page.on('pageerror', (error) => told.push(error.message));
  page.on('request', (request) => asked.push(request.url()));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective));
  });
  await page.goto(service.url);
  await status('good');
});

afterEach(async () => {
  await page.context().close();
});

const editor = (part) => page.locator(`#${part}`);
const text = (selector) => page.locator(selector).innerText();
const json = async (selector) => JSON.parse(await page.locator(selector).textContent());

/** Waits for the state of what was typed last. */
async function status(kind) {
  await page.locator(`#status.${kind}`).waitFor();
}

async function type(part, value) {
  const answered = page.waitForResponse((response) => response.url().endsWith('/evaluate'));
  await editor(part).fill(value);
  await answered;
}

/** No fault of the page, no violation of its policy, no request to elsewhere. */
async function assertQuiet() {
  assert.deepEqual(told, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  const origin = new URL(service.url).origin;
  assert.ok(asked.length > 3);
  assert.deepEqual(asked.filter((url) => !url.startsWith(`${origin}/playground`) && url !== 'data:,'), []);
}

test('claims and token follow what is typed', async () => {
  assert.deepEqual(await json('#claims'), { mail: 'zoe@example.org' });
  await editor('template').click();
  await page.keyboard.press('Control+End');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('End');
  await page.keyboard.type(',\n"first": {{Extra.name.first}}');
  await page.locator('#claims').getByText('Zoë').waitFor();
  assert.deepEqual(await json('#claims'), { mail: 'zoe@example.org', first: 'Zoë' });
  const claims = await json('#token-claims');
  assert.deepEqual([claims.iss, claims.sub, claims.aud, claims.exp - claims.iat, claims.first],
    ['https://id.example.org/', 'zoe', ['orders'], 600, 'Zoë']);
  assert.deepEqual(await json('#token-header'), { alg: 'ES256', kid: 'key-1', typ: 'JWT' });
  assert.match(await text('#facts'), /key key-1, ES256[^]*\d+ bytes once signed/);
  await page.locator('#ttl').fill('1h');
  await page.locator('#token-claims').getByText(String(claims.iat)).first().waitFor();
  await page.waitForFunction(() => {
    const { iat, exp } = JSON.parse(document.getElementById('token-claims').textContent);
    return exp - iat === 3600;
  });
  await assertQuiet();
});

test('a fault of the template is marked at its line', async () => {
  await type('template', '{\n  "é": "ok",\n  "mail": {{{Extra.mail}}},\n  "b": 1\n}');
  await status('bad');
  assert.equal(await text('#status'), '1 fault: template, line 3.');
  const mark = page.locator('#template-editor .marks mark');
  assert.equal(await mark.textContent(), '{{{Extra.mail}}}');
  assert.match(await page.locator('#template-editor .gutter b').textContent(), /^✗3$/);
  const [row, area] = [await mark.boundingBox(), await editor('template').boundingBox()];
  const height = await editor('template').evaluate((area) => parseFloat(getComputedStyle(area).lineHeight));
  assert.equal(Math.floor((row.y + row.height / 2 - area.y - 8) / height), 2, 'the mark stands in the third row');
  assert.equal(await editor('template').getAttribute('aria-invalid'), 'true');
  assert.equal(await editor('session').getAttribute('aria-invalid'), 'false');
  const fault = await text('#template-faults li');
  for (const part of ['Line 3, column 11', 'expected', 'What to do: write {{Extra.mail}}', 'template.refused']) {
    assert.ok(fault.includes(part), `${part} in ${fault}`);
  }
  assert.ok(await page.locator('#old').isVisible(), 'the claims are said to be old');
  assert.ok(await page.locator('#no-token').isVisible());
  await page.getByRole('button', { name: 'Line 3, column 11' }).click();
  const selected = await editor('template').evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
  assert.equal(selected, '{{{Extra.mail}}}');
  await type('template', '{"mail": {{Extra.mail}}}');
  await status('good');
  assert.equal(await page.locator('.marks mark, .gutter b, .faults li').count(), 0);
  await assertQuiet();
});

test('a value that is missing is marked where the template reads it', async () => {
  await type('template', '{\n  "a": {{Extra.nowhere}}\n}');
  await status('bad');
  assert.equal(await page.locator('#template-editor .marks mark').textContent(), 'Extra.nowhere');
  await page.selectOption('#missing', 'as_null');
  await status('good');
  assert.deepEqual(await json('#claims'), { a: null });
});

test('a fault of the session is marked in the session', async () => {
  await type('session', '{\n  "subject": "zoe",\n  "extra": { "mail": "é", }\n}');
  await status('bad');
  assert.match(await text('#session-faults li'), /Line 3, column 27.*session\.malformed/s);
  assert.equal(await page.locator('#session-editor .marks mark').textContent(), '}');
  assert.equal(await page.locator('#template-editor .marks mark').count(), 0);
  await type('session', '{"subject": "zoe", "extra": {"mail": "m", "expires_at": "2020-01-01T00:00:00Z"}}');
  assert.match(await text('#token-faults li'), /session\.expired\s+What to do: set Time/);
  assert.deepEqual(await json('#claims'), { mail: 'm' });
  await page.locator('#at').fill('2019-12-31T23:59:00Z');
  await status('good');
  assert.equal((await json('#token-claims')).exp, 1577836800);
  await assertQuiet();
});

test('a template may call the partials that are named', async () => {
  assert.equal(await text('#partials'), 'Partials: {{> roles}}');
  await type('template', '{"roles": {{> roles}}}');
  await status('good');
  assert.deepEqual(await json('#claims'), { roles: ['editor'] });
  await type('session', '{"subject": "zoe", "extra": {}}');
  await status('bad');
  assert.match(await text('#template-faults li'), /roles\.hbs:1:\d+.*template\.missing_value/);
  assert.equal(await page.locator('#template-editor .marks mark').count(), 0);
});

test('settings that cannot be are marked', async () => {
  await page.locator('#ttl').fill('soon');
  await status('bad');
  assert.match(await text('#settings-faults'), /TTL.*expected a duration/s);
  assert.equal(await page.locator('#ttl').getAttribute('aria-invalid'), 'true');
});

test('a Go template is converted, and the way back is open', async () => {
  await page.selectOption('#profile', 'two');
  // The answer for the profile before it can still be on its way.
  await page.locator('#overridden').getByText('sets sub').waitFor();
  await status('good');
  assert.equal(await page.locator('input[value="go"]').isChecked(), true);
  const go = await editor('template').inputValue();
  const before = await json('#claims');
  await page.locator('#convert').click();
  await page.getByText('Both forms make the same claims of this session.').waitFor();
  assert.equal(await page.locator('input[value="handlebars"]').isChecked(), true);
  assert.match(await editor('template').inputValue(), /"mail": "\{\{Extra\.mail\}\}"/);
  assert.deepEqual(await json('#claims'), before);
  assert.match(await text('#remarks'), /Line 4 of the Go template: trap: .*sets `sub`/);
  await page.locator('#unconvert').click();
  assert.equal(await editor('template').inputValue(), go);
  assert.equal(await page.locator('input[value="go"]').isChecked(), true);

  await type('template', '{\n  "u": "{{ .MatchContext.URL.String }}"\n}');
  await page.locator('#convert').click();
  await page.getByText('Not converted: something in it has no counterpart').waitFor();
  assert.match(await text('#remarks'), /Line 2\s*not convertible: .*a method of the URL/);
  await page.locator('#remarks').getByRole('button', { name: 'Line 2' }).click();
  assert.equal(await editor('template').evaluate((area) => area.selectionStart), 2);
  await assertQuiet();
});

test('everything is done with the keyboard', async () => {
  const order = [];
  await page.locator('body').focus();
  for (let presses = 0; presses < 19; presses += 1) {
    await page.keyboard.press('Tab');
    const { id, outline } = await page.evaluate(() => {
      const element = document.activeElement;
      const shown = element.closest('.editor') ?? element;
      return { id: element.id || element.value, outline: getComputedStyle(shown).outlineStyle };
    });
    assert.equal(outline, 'solid', `the focus on ${id} is seen`);
    order.push(id);
  }
  assert.deepEqual(order, ['profile', 'missing', 'issuer', 'ttl', 'audience', 'at', 'handlebars', 'copy-template',
    'template', 'sample', 'session', 'source', 'credential-header', 'credential', 'resolve', 'copy-claims', 'claims',
    'token-header', 'token-claims']);
  await editor('template').focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('{\n"a": {{{Extra.mail}}},\n"b": {{{Extra.mail}}}\n}');
  await page.locator('#template-faults li').nth(1).waitFor();
  const place = () => page.evaluate(() => [document.activeElement.id,
    document.activeElement.value.slice(0, document.activeElement.selectionStart).split('\n').length]);
  await page.keyboard.press('Tab');
  assert.notEqual((await place())[0], 'template', 'Tab leaves the editor');
  for (const [keys, line] of [['F8', 2], ['F8', 3], ['F8', 2], ['Shift+F8', 3], ['Shift+F8', 2]]) {
    await page.keyboard.press(keys);
    assert.deepEqual(await place(), ['template', line], keys);
  }
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Line 3, column 6');
  await page.keyboard.press('Enter');
  assert.deepEqual(await place(), ['template', 3]);
});

test('what is typed is not replaced without being asked for', async () => {
  await type('template', '{"mine": 1}');
  const questions = [];
  page.once('dialog', (dialog) => {
    questions.push(dialog.message());
    dialog.dismiss();
  });
  await page.selectOption('#profile', 'two');
  assert.equal(await editor('template').inputValue(), '{"mine": 1}');
  assert.equal(await page.locator('#profile').inputValue(), 'one');
  page.once('dialog', (dialog) => dialog.accept());
  await page.selectOption('#profile', 'two');
  assert.match(await editor('template').inputValue(), /print \.Extra\.mail/);
  assert.deepEqual(questions, ['Replace the template that you edited by those of profile two?']);
});

test('a late answer never takes the place of a newer one', async () => {
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  const finished = [];
  // Without its means to give a request up, the page gets both answers, the older one last.
  await page.evaluate(() => { AbortController.prototype.abort = () => {}; });
  await page.route('**/evaluate', async (route) => {
    const isOld = route.request().postData().includes('old');
    if (isOld) await held;
    await route.continue();
    finished.push(isOld ? 'old' : 'new');
  });
  const old = page.waitForRequest((request) => request.url().endsWith('/evaluate'));
  await editor('template').fill('{"old": 1}');
  await old;
  await editor('template').fill('{"new": 2}');
  await page.locator('#claims').getByText('new').waitFor();
  const late = page.waitForResponse((response) => response.request().postData()?.includes('old'));
  release();
  await (await late).finished();
  await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve); }));
  assert.deepEqual(finished, ['new', 'old']);
  assert.deepEqual(await json('#claims'), { new: 2 });
});

test('a service that does not answer is said', async () => {
  await page.route('**/evaluate', (route) => route.abort());
  await editor('template').fill('{"a": 1}');
  await page.getByText('No answer of the service').waitFor();
  assert.ok(await page.locator('#old').isVisible());
});

test('the template and the claims are copied', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator('#copy-template').click();
  await page.getByText('Copy template: done.').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await editor('template').inputValue());
  await page.locator('#copy-claims').click();
  await page.getByText('Copy claims: done.').waitFor();
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), { mail: 'zoe@example.org' });
});

test('nothing is stored', async () => {
  await type('template', '{"a": 1}');
  const stored = await page.evaluate(async () => ({
    local: localStorage.length, session: sessionStorage.length, cookies: document.cookie,
    databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length, hash: location.href,
  }));
  assert.deepEqual(stored, { local: 0, session: 0, cookies: '', databases: 0, caches: 0, hash: service.url });
  await page.reload();
  await status('good');
  assert.match(await editor('template').inputValue(), /Extra\.mail/);
});

test('a value of the session is text on the page and never HTML', async () => {
  const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>';
  await type('session', JSON.stringify({ subject: 'u', extra: { mail: hostile } }));
  await status('good');
  assert.deepEqual(await json('#claims'), { mail: hostile });
  await type('template', `{"${hostile}": {{{Extra.mail}}}}`);
  await status('bad');
  assert.equal(await page.locator('main img, main script').count(), 0);
  await assertQuiet();
});

test('the policy of the page holds', async () => {
  const tried = await page.evaluate(async () => {
    const attempt = (act) => { try { act(); return 'done'; } catch { return 'refused'; } };
    const html = attempt(() => { document.body.innerHTML = '<p>x</p>'; });
    const script = document.createElement('div');
    const inline = attempt(() => { script.setAttribute('onclick', '1'); });
    const elsewhere = await fetch('http://127.0.0.1:1/').then(() => 'done', () => 'refused');
    return { html, inline, elsewhere };
  });
  assert.deepEqual(tried, { html: 'refused', inline: 'refused', elsewhere: 'refused' });
  const violated = await page.evaluate(() => window.violations);
  assert.ok(violated.includes('connect-src') && violated.includes('require-trusted-types-for'), String(violated));
});

test('no other site drives it, under whatever name', async () => {
  const { port } = new URL(service.url);
  const rebound = await page.goto(`http://${FOREIGN_NAME}:${port}/playground`);
  assert.equal(rebound.status(), 403);
  const profiles = await page.goto(`http://${FOREIGN_NAME}:${port}/playground/profiles`);
  assert.equal(profiles.status(), 403);

  const site = createServer((_, response) => response.end('<!doctype html><title>other</title><iframe></iframe>'));
  await new Promise((resolve) => { site.listen(0, '127.0.0.1', resolve); });
  try {
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    const [answers, before] = [[], service.events.length];
    page.on('response', (response) => answers.push([new URL(response.url()).pathname, response.status()]));
    const reached = await page.evaluate(async (url) => {
      const body = JSON.stringify({ profile: 'one', syntax: 'handlebars', template: '{}', session: '{}' });
      const send = (path, options) => fetch(`${url}${path}`, options).then((answer) => answer.type, () => 'refused');
      const results = [
        await send('/evaluate', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } }),
        await send('/evaluate', { method: 'POST', body, mode: 'no-cors' }),
        await send('/profiles', { mode: 'cors' }),
        await send('/profiles', { mode: 'no-cors' }),
      ];
      const frame = document.querySelector('iframe');
      await new Promise((resolve) => { frame.onload = resolve; frame.src = url; });
      return [...results, frame.contentDocument === null ? 'not of this site' : 'readable'];
    }, service.url);
    assert.deepEqual(reached, ['refused', 'refused', 'refused', 'refused', 'not of this site']);
    assert.deepEqual(answers.filter(([, code]) => code === 200), []);
    // Not the browser alone has refused them.
    const refused = service.events.slice(before).filter((event) => event.code === 'request.origin');
    assert.equal(refused.length, 5, JSON.stringify(refused));
  } finally {
    site.close();
  }
  const link = await page.goto(service.url, { referer: `http://${FOREIGN_NAME}/` });
  assert.equal(link.status(), 200);
});

for (const scheme of ['light', 'dark']) {
  test(`all text can be read in ${scheme}`, async () => {
    await page.emulateMedia({ colorScheme: scheme });
    await type('template', '{\n  "a": {{{Extra.mail}}},\n  "b": [1, true, "x"]\n}');
    await status('bad');
    const faulty = await unreadable();
    await type('template', '{\n  "b": [1, true, "x"], "c": {"d": null}\n}');
    await status('good');
    assert.deepEqual([...faulty, ...await unreadable()], []);
    const [red, green, blue] = await page.evaluate(() =>
      getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
    assert.equal((red + green + blue) / 3 < 128, scheme === 'dark');
  });
}

/** Elements with text of less contrast than WCAG 2.2 AA asks for, and controls whose border is less than 3:1. */
function unreadable() {
  return page.evaluate(() => {
    const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = ([red, green, blue]) => {
      const [r, g, b] = [red, green, blue].map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
      const [low, high] = [luminance(one), luminance(other)].sort((left, right) => left - right);
      return (high + 0.05) / (low + 0.05);
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = channels(getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
      }
      return [255, 255, 255];
    };
    const found = [];
    let count = 0;
    for (const element of document.querySelectorAll('body *')) {
      const style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
      const colour = channels(style.color);
      if (box.width === 0 || colour[3] === 0) continue;
      if (hasText || ['INPUT', 'TEXTAREA', 'SELECT'].includes(element.tagName)) {
        count += 1;
        const ratio = contrast(colour, behind(element));
        if (ratio < 4.5) found.push(`${element.tagName} ${element.id} ${element.className}: ${ratio.toFixed(2)}`);
      }
      if (['INPUT', 'SELECT', 'BUTTON'].includes(element.tagName) && style.borderTopWidth !== '0px') {
        const ratio = contrast(channels(style.borderTopColor), behind(element.parentElement));
        if (ratio < 3) found.push(`border of ${element.id}: ${ratio.toFixed(2)}`);
      }
    }
    return count > 40 ? found : ['too little was looked at'];
  });
}

for (const width of [1400, 800, 420]) {
  test(`nothing stands outside of a window of ${width} pixels`, async () => {
    await page.setViewportSize({ width, height: 900 });
    await type('template', `{\n  "long": "${'x'.repeat(400)}",\n  "a": {{{Extra.mail}}}\n}`);
    await status('bad');
    const outside = await page.evaluate(() => {
      const wide = document.documentElement.scrollWidth > window.innerWidth ? ['the page'] : [];
      const controls = [...document.querySelectorAll('button, select, input, textarea, pre, li, h2')];
      const out = controls.filter((element) => element.getBoundingClientRect().right > window.innerWidth);
      return [...wide, ...out.map((element) => element.id || element.tagName)];
    });
    assert.deepEqual(outside, []);
    const narrowest = await editor('template').evaluate((area) => area.getBoundingClientRect().width);
    assert.ok(narrowest > 250, `${narrowest} pixels are enough to write in`);
  });
}

test('every control has a name', async () => {
  const nameless = await page.evaluate(() => [...document.querySelectorAll('input, select, textarea, button')]
    .filter((control) => (control.labels?.[0]?.textContent ?? control.textContent).trim() === '')
    .map((control) => control.id));
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator('[role="status"]').count(), 1);
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
});

test('a session is resolved through a source', async () => {
  await page.locator('#source').selectOption('kratos');
  await page.locator('#credential').fill('ory_kratos_session=good');
  const answered = page.waitForResponse((response) => response.url().endsWith('/evaluate'));
  await page.getByRole('button', { name: 'Resolve session' }).click();
  await answered;
  await status('good');
  assert.deepEqual(JSON.parse(await editor('session').inputValue()), {
    subject: 'ann',
    extra: { active: true, identity: { id: 'ann' }, mail: 'ann@example.org' },
  });
  assert.deepEqual(await json('#claims'), { mail: 'ann@example.org' });
  await page.locator('#credential').fill('ory_kratos_session=bad');
  await page.getByRole('button', { name: 'Resolve session' }).click();
  await page.locator('#status').getByText('The source answers no_session (inactive).').waitFor();
  assert.deepEqual(await json('#claims'), { mail: 'ann@example.org' }, 'the session stays');
  await assertQuiet();
});
