// The playground's page. It asks this service alone, stores nothing, and never makes HTML of text.
'use strict';

const DELAY = 200;
const COLOURED = 200000;
const REGISTERED = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti']);
const PARTS = ['template', 'session'];
const SETTINGS = ['missing', 'issuer', 'ttl', 'audience', 'at'];
const LARGE_HEADER = 8000;
// What helps on this page alone.
const HELP = { 'session.expired': 'set Time to a moment before the end of the session.' };
const SAMPLE = `{
  "subject": "4c1d7a52-93c6-4f0e-8a55-0b9d3f6e2c71",
  "extra": {
    "active": true,
    "authenticator_assurance_level": "aal1",
    "identity": {
      "schema_id": "person",
      "traits": { "email": "ines@example.org", "name": { "first": "In\u00e9s", "last": "\\"Nes\\" O'Hara" } },
      "metadata_public": { "roles": ["editor", "billing"] }
    }
  },
  "header": {},
  "match_context": { "method": "GET", "header": {} }
}
`;

const at = (id) => document.getElementById(id);

/** A new element with a class and children, which are elements or text. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** A text area with numbered lines, in which places can be marked. */
class Editor {
  constructor(part) {
    this.part = part;
    this.box = at(`${part}-editor`);
    this.area = at(part);
    this.numbers = this.box.querySelector('.gutter > div');
    this.marks = this.box.querySelector('.marks > div');
    this.list = at(`${part}-faults`);
    this.faults = [];
    this.lines = 0;
    this.loaded = '';
    this.area.addEventListener('scroll', () => this.follow());
    this.area.addEventListener('input', () => this.count());
  }

  get text() {
    return this.area.value;
  }

  /** Whether the text is another than what was loaded. */
  get isEdited() {
    return this.text !== this.loaded;
  }

  load(text) {
    this.put(text);
    this.loaded = this.text;
  }

  /** Replaces the text, as if it had been typed. */
  put(text) {
    this.area.value = text;
    this.show([]);
    this.count();
    this.area.scrollTo(0, 0);
    this.area.setSelectionRange(0, 0);
  }

  count() {
    const lines = this.text.split('\n').length;
    if (lines === this.lines) return;
    this.lines = lines;
    const numbers = Array.from({ length: lines }, (_, index) => index + 1).join('\n');
    this.box.querySelector('.gutter').style.width = `${String(lines).length + 4}ch`;
    this.numbers.replaceChildren(numbers, ...this.numbers.querySelectorAll('b'));
  }

  follow() {
    this.numbers.style.transform = `translateY(${-this.area.scrollTop}px)`;
    this.marks.style.transform = `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`;
  }

  /** The text of a line and where a column of it, counted in characters, stands in it. */
  line(number, column) {
    const text = this.text.split('\n')[number - 1] ?? '';
    const before = Array.from(text).slice(0, Math.max(0, column - 1)).join('').length;
    return { text, before, length: (/^(?:\{\{.*?\}\}+|"(?:[^"\\]|\\.)*"|[\w@.$-]+|\S)/u.exec(text.slice(before)) ?? [''])[0].length };
  }

  /** Marks `faults` in the text and lists them below it. */
  show(faults) {
    this.faults = faults.filter((fault) => fault.line && !fault.partial);
    const rows = new Map();
    for (const fault of this.faults) {
      if (!rows.has(fault.line)) rows.set(fault.line, fault);
    }
    const style = getComputedStyle(this.area);
    const height = parseFloat(style.lineHeight);
    const numbers = [];
    const marks = [];
    for (const [number, { column }] of rows) {
      const { text, before, length } = this.line(number, column);
      const label = make('b', '', '\u2717', make('i', '', String(number)));
      label.style.top = `${(number - 1) * height}px`;
      numbers.push(label);
      const mark = make('mark', '', text.slice(before, before + length) || ' ');
      const row = make('p', '', text.slice(0, before), mark, text.slice(before + length));
      row.style.top = `${(number - 1) * height}px`;
      marks.push(row);
    }
    this.numbers.querySelectorAll('b').forEach((label) => label.remove());
    this.numbers.append(...numbers);
    this.marks.replaceChildren(...marks);
    this.box.classList.toggle('bad', faults.length > 0);
    this.area.setAttribute('aria-invalid', String(faults.length > 0));
    this.list.replaceChildren(...faults.map((fault) => listed(fault, this)));
    this.area.setAttribute('aria-describedby', faults.length > 0 ? `${this.list.id} keys` : 'keys');
    this.follow();
  }

  offset(fault) {
    const above = this.text.split('\n').slice(0, fault.line - 1);
    return above.reduce((sum, line) => sum + line.length + 1, 0) + this.line(fault.line, fault.column ?? 1).before;
  }

  /** Puts the cursor at a fault. */
  jump(fault) {
    const start = this.offset(fault);
    this.area.focus();
    this.area.setSelectionRange(start, start + this.line(fault.line, fault.column ?? 1).length);
    const height = parseFloat(getComputedStyle(this.area).lineHeight);
    this.area.scrollTop = Math.max(0, (fault.line - 4) * height);
    this.area.scrollLeft = 0;
    this.box.scrollIntoView({ block: 'nearest' });
  }
}

/** A fault as an item of a list; with a button to its place, where it has one in `editor`. */
function listed(fault, editor) {
  const item = make('li');
  if (fault.partial) {
    item.append(make('strong', '', `${fault.partial}:${fault.line}:${fault.column}`));
  } else if (fault.line && editor) {
    const button = make('button', '', `Line ${fault.line}, column ${fault.column}`);
    button.type = 'button';
    button.addEventListener('click', () => editor.jump(fault));
    item.append(button);
  } else if (fault.setting) {
    item.append(make('strong', '', at(fault.setting).labels[0].textContent));
  }
  item.append(`${fault.message} `);
  if (fault.code) item.append(make('code', '', fault.code));
  if (fault.help) item.append(make('span', 'help', `What to do: ${fault.help}`));
  return item;
}

/** Pretty JSON with its names and values told apart by colour; registered claims are underlined besides. */
function showJson(element, text) {
  if (text.length > COLOURED) {
    element.textContent = text;
    return;
  }
  const parts = [];
  for (const line of text.split('\n')) {
    const [, indent, name, rest] = /^( *)("(?:[^"\\]|\\.)*"(?=: ))?(.*)$/u.exec(line);
    parts.push(indent);
    if (name) {
      const isRegistered = indent.length === 2 && REGISTERED.has(name.slice(1, -1));
      parts.push(make('span', isRegistered ? 'registered' : 'name', name));
    }
    const [, colon, value, end] = /^(: )?(.*?)(,?)$/u.exec(rest);
    const kind = /^"/.test(value) ? 'string' : /^[-\d]/.test(value) ? 'number' : /^[tfn]/.test(value) ? 'word' : '';
    parts.push(colon ?? '', kind ? make('span', kind, value) : value, `${end}\n`);
  }
  element.replaceChildren(...parts);
}

const editors = Object.fromEntries(PARTS.map((part) => [part, new Editor(part)]));
let profiles = [];
let templates = {};
let profile = null;
let timer = 0;
let turns = 0;
let asking = null;
let goTemplate = null;
let claims = '';

function status(text, kind) {
  const line = at('status');
  // A reader for the blind tells every change; the same again is none.
  if (line.textContent !== text) line.textContent = text;
  line.className = kind;
}

/** Asks the service; a problem document becomes an error with its text. */
async function ask(path, body, signal) {
  const options = body === undefined ? { signal } : {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal,
  };
  const answer = await fetch(`playground/${path}`, { ...options, cache: 'no-store', credentials: 'same-origin' });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail || problem.title || `status ${answer.status}`);
}

const syntax = () => document.querySelector('input[name="syntax"]:checked').value;

function setSyntax(value) {
  document.querySelector(`input[name="syntax"][value="${value}"]`).checked = true;
  at('convert').disabled = value !== 'go';
}

function asked() {
  const audience = at('audience').value.split(',').map((name) => name.trim());
  const time = at('at').value.trim();
  return {
    profile: profile.name,
    syntax: syntax(),
    template: editors.template.text,
    session: editors.session.text,
    missing: at('missing').value,
    issuer: at('issuer').value.trim(),
    ttl: at('ttl').value.trim(),
    audience: audience.length === 1 && audience[0] === '' ? [] : audience,
    ...(time === '' ? {} : { at: time }),
  };
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(evaluate, DELAY);
}

async function evaluate() {
  clearTimeout(timer);
  if (!profile) return;
  const turn = ++turns;
  asking?.abort();
  asking = new AbortController();
  at('result').setAttribute('aria-busy', 'true');
  let found = null;
  try {
    const answer = await ask('evaluate', asked(), asking.signal);
    // Whatever was typed since then has been asked too.
    if (turn === turns) {
      found = answer;
      show(answer);
    }
  } catch (error) {
    if (turn === turns) {
      setOld(true);
      status(`No answer of the service: ${error.message}`, 'bad');
    }
  }
  if (turn === turns) at('result').setAttribute('aria-busy', 'false');
  return found;
}

function setOld(isOld) {
  at('result').classList.toggle('old', isOld && claims !== '');
  at('old').hidden = !isOld || claims === '';
}

function show({ claims: found, overridden, token, faults, settings }) {
  const of = (part) => faults.filter((fault) => fault.part === part);
  PARTS.forEach((part) => editors[part].show(of(part)));
  at('token-faults').replaceChildren(...of('token').map((fault) => listed({ ...fault, help: fault.help ?? HELP[fault.code] })));
  at('settings-faults').replaceChildren(...settings.map((fault) => listed(fault)));
  for (const id of SETTINGS) {
    at(id).setAttribute('aria-invalid', String(settings.some((fault) => fault.setting === id)));
  }
  if (found !== null) {
    claims = found;
    showJson(at('claims'), found);
    at('overridden').hidden = overridden.length === 0;
    at('overridden').textContent = `The template sets ${overridden.join(', ')}; the token has claimsmith's own.`;
  }
  setOld(found === null);
  showToken(token);
  const all = [...faults, ...settings];
  const said = all.length === 1 ? '1 fault' : `${all.length} faults`;
  if (all.length > 0) {
    status(`${said}: ${[...new Set(all.map(whereabouts))].join('; ')}.`, 'bad');
  } else {
    status('No faults. Claims and token are up to date.', 'good');
  }
}

function whereabouts(fault) {
  if (fault.setting) return `setting ${at(fault.setting).labels[0].textContent}`;
  if (fault.partial) return `partial ${fault.partial}, line ${fault.line}`;
  return fault.line ? `${fault.part}, line ${fault.line}` : fault.part;
}

function showToken(token) {
  at('no-token').hidden = token !== null;
  at('token').hidden = token === null;
  if (!token) return;
  const [head, all] = [JSON.parse(token.header), JSON.parse(token.claims)];
  const time = (seconds) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
  const size = token.bytes > LARGE_HEADER ? ': many servers refuse a header of that size' : '';
  const lines = [
    ['Would be signed by', `key ${head.kid}, ${head.alg}`],
    ['Issued', time(all.iat)],
    ['Expires', `${time(all.exp)} (after ${all.exp - all.iat} s)`],
    ['Size', `${token.bytes} bytes once signed${size}`],
  ];
  at('facts').replaceChildren(...lines.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]));
  showJson(at('token-header'), token.header);
  showJson(at('token-claims'), token.claims);
}

/** The claims in a form in which order and spelling of numbers do not count. */
function canonical(text) {
  const sorted = (value) => {
    if (Array.isArray(value)) return value.map(sorted);
    if (value === null || typeof value !== 'object') return value;
    return Object.keys(value).sort().map((name) => [name, sorted(value[name])]);
  };
  return text === null ? null : JSON.stringify(sorted(JSON.parse(text)));
}

/** Says whether both forms of a template make the same claims of the session beside them. */
function compare(before, after) {
  const [old, now] = [canonical(before), canonical(after)];
  if (old === now) {
    return old === null ? 'Both forms refuse this session.' : 'Both forms make the same claims of this session.';
  }
  if (old === null) return 'The Go template refuses this session, this one does not.';
  if (now === null) return 'The Go template makes claims of this session, this one does not.';
  return 'The claims of this session are others now: look at both.';
}

async function convert() {
  const text = editors.template.text;
  let answer;
  let before;
  try {
    before = await ask('evaluate', asked());
    answer = await ask('convert', { template: text });
  } catch (error) {
    status(`No answer of the service: ${error.message}`, 'bad');
    return;
  }
  const { handlebars, remarks, faults } = answer;
  at('conversion').hidden = false;
  at('unconvert').hidden = handlebars === null;
  const items = remarks.map(({ kind, line, message }) => {
    const item = make('li', kind);
    const where = `Line ${line}`;
    if (handlebars === null) {
      const button = make('button', '', where);
      button.type = 'button';
      button.addEventListener('click', () => editors.template.jump({ line, column: 1 }));
      item.append(button);
    } else {
      item.append(`${where} of the Go template: `);
    }
    const name = { changed: 'changed', trap: 'trap', unconvertible: 'not convertible' }[kind];
    item.append(make('strong', '', `${name}: `), message);
    return item;
  });
  at('remarks').replaceChildren(...items);
  if (handlebars !== null) {
    goTemplate = text;
    editors.template.put(handlebars);
    setSyntax('handlebars');
    at('missing').value = 'as_null';
    at('conversion-result').textContent = 'The template is Handlebars now, for missing values as_null.';
  } else if (faults.length > 0) {
    at('conversion-result').textContent = 'Not converted: the Go template itself has faults.';
  } else {
    at('conversion-result').textContent = 'Not converted: something in it has no counterpart in Handlebars.';
  }
  at('conversion-title').focus();
  const after = await evaluate();
  if (handlebars !== null && after) {
    at('conversion-result').append(` ${compare(before.claims, after.claims)}`);
  }
}

/** Puts the session of a credential into the editor. */
async function resolve() {
  if (!mayReplace(['session'], 'the resolved one')) return;
  let answer;
  try {
    answer = await ask('resolve', { source: at('source').value, header: at('credential-header').value, value: at('credential').value });
  } catch (error) {
    status(`Not resolved: ${error.message}`, 'bad');
    return;
  }
  const { result, reason, message, session } = answer;
  if (session === null) {
    status(`The source answers ${result}${reason ? ` (${reason})` : ''}${message ? `: ${message}` : ''}.`, 'bad');
    return;
  }
  editors.session.load(session);
  evaluate();
}

function unconvert() {
  editors.template.put(goTemplate);
  setSyntax('go');
  hideConversion();
  editors.template.area.focus();
  evaluate();
}

function hideConversion() {
  at('conversion').hidden = true;
  goTemplate = null;
}

async function copy(text, button) {
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  const isCopied = await navigator.clipboard?.writeText(text).then(() => true, () => false) ?? copyOldWay(text);
  status(isCopied ? `${label}: done.` : `${label}: the browser does not allow it.`, isCopied ? 'good' : 'bad');
}

/** For pages that are neither of this machine nor over TLS, where there is no clipboard. */
function copyOldWay(text) {
  const area = make('textarea');
  area.value = text;
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  before?.focus();
  return isCopied;
}

function choose(name) {
  profile = profiles.find((one) => one.name === name);
  const { syntax: language, text, samples, left_out: left } = templates[profile.template];
  setSyntax(language);
  editors.template.load(text);
  for (const id of ['missing', 'issuer', 'ttl']) at(id).value = profile[id];
  at('audience').value = profile.audience.join(', ');
  at('at').value = '';
  const sample = at('sample');
  sample.replaceChildren(...samples.map(({ name: label }, index) => new Option(label, String(index))));
  if (samples.length === 0) sample.append(new Option('none: a made-up session', ''));
  at('samples-note').hidden = left === 0;
  at('samples-note').textContent = `${left} more recorded case(s) are too large or too many to be listed.`;
  chooseSample();
  hideConversion();
}

function chooseSample() {
  editors.session.load(templates[profile.template].samples[Number(at('sample').value)]?.session ?? SAMPLE);
}

/** Whether what was typed may be replaced. */
function mayReplace(parts, by) {
  const edited = parts.filter((part) => editors[part].isEdited);
  return edited.length === 0 || window.confirm(`Replace the ${edited.join(' and the ')} that you edited by ${by}?`);
}

/** The next fault after the cursor, or the one before it, over both editors. */
function jumpOn(step) {
  const places = PARTS.flatMap((part) => editors[part].faults.map((fault) => {
    return { editor: editors[part], fault, order: [PARTS.indexOf(part), editors[part].offset(fault)] };
  }));
  if (places.length === 0) return;
  const order = (left, right) => left[0] - right[0] || left[1] - right[1];
  places.sort((left, right) => order(left.order, right.order));
  const active = PARTS.findIndex((part) => editors[part].area === document.activeElement);
  const here = active < 0 ? [-1, 0] : [active, editors[PARTS[active]].area.selectionStart];
  const next = step > 0
    ? places.find((place) => order(place.order, here) > 0) ?? places[0]
    : places.findLast((place) => order(place.order, here) < 0) ?? places[places.length - 1];
  next.editor.jump(next.fault);
}

function listen() {
  for (const part of PARTS) editors[part].area.addEventListener('input', soon);
  for (const id of SETTINGS) at(id).addEventListener('input', soon);
  document.querySelectorAll('input[name="syntax"]').forEach((radio) => radio.addEventListener('change', () => {
    setSyntax(syntax());
    evaluate();
  }));
  let [chosen, sample] = [at('profile').value, at('sample').value];
  at('profile').addEventListener('change', ({ target }) => {
    if (!mayReplace(PARTS, `those of profile ${target.value}`)) {
      target.value = chosen;
      return;
    }
    chosen = target.value;
    choose(chosen);
    sample = at('sample').value;
    evaluate();
  });
  at('sample').addEventListener('change', ({ target }) => {
    if (!mayReplace(['session'], 'the recorded one')) {
      target.value = sample;
      return;
    }
    sample = target.value;
    chooseSample();
    evaluate();
  });
  at('convert').addEventListener('click', convert);
  at('resolver').addEventListener('submit', (event) => {
    event.preventDefault();
    resolve();
  });
  at('unconvert').addEventListener('click', unconvert);
  at('copy-template').addEventListener('click', ({ target }) => copy(editors.template.text, target));
  at('copy-claims').addEventListener('click', ({ target }) => copy(claims, target));
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'F8') return;
    event.preventDefault();
    jumpOn(event.shiftKey ? -1 : 1);
  });
}

async function start() {
  let told;
  try {
    told = await ask('profiles');
  } catch (error) {
    status(`No answer of the service: ${error.message}`, 'bad');
    return;
  }
  ({ profiles, templates } = told);
  at('version').textContent = told.version;
  at('partials').hidden = told.partials.length === 0;
  at('partials').textContent = `Partials: ${told.partials.map((name) => `{{> ${name}}}`).join(' ')}`;
  at('resolver').hidden = told.sources.length === 0;
  at('source').replaceChildren(...told.sources.map((name) => new Option(name, name)));
  at('profile').replaceChildren(...profiles.map(({ name }) => new Option(name, name)));
  choose(profiles[0].name);
  listen();
  await evaluate();
}

start();
