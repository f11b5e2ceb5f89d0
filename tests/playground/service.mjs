// The real service with its playground, on free ports, until it is stopped; and the browser of the machine.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const BINARY = process.env.CLAIMSMITH ?? join(dirname(fileURLToPath(import.meta.url)), '../../target/debug/claimsmith');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

const SESSION = {
  subject: 'zoe',
  extra: { mail: 'zoe@example.org', roles: ['editor'], name: { first: 'Zoë' } },
  header: {},
};

/** A session of Kratos, as its whoami answers. */
const WHOAMI = { active: true, identity: { id: 'ann' }, mail: 'ann@example.org' };

/** A Kratos in which one cookie has a session. */
function startKratos() {
  const server = createServer((request, response) => {
    const hasSession = request.headers.cookie === 'ory_kratos_session=good';
    response.writeHead(hasSession ? 200 : 401, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(hasSession ? WHOAMI : {}));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const files = (kratos) => ({
  'claimsmith.yaml': `serve: { api: { port: 0 }, admin: { port: 0, playground: true, playground_sources: true } }
sources:
  kratos: { type: kratos, public: "http://127.0.0.1:${kratos}" }
profiles:
  one: { issuer: "https://id.example.org/", jwks: keys.json, audience: [orders], ttl: 10m }
  two: { issuer: "https://id.example.org/", jwks: keys.json, registered_claims: override }
`,
  'templates/one/claims.hbs': '{\n  "mail": {{Extra.mail}}\n}\n',
  'templates/_partials/roles.hbs': '{{Extra.roles}}',
  'templates/one/zoe.session.json': JSON.stringify(SESSION, null, 2),
  'templates/one/zoe.claims.json': '{"mail": "zoe@example.org"}',
  'templates/two/claims.gotmpl': `{
  "mail": "{{ print .Extra.mail }}",
  {{ if .Extra.roles }}"roles": {{ .Extra.roles | toJson }},{{ end }}
  "sub": "{{ .Subject }}"
}
`,
  'templates/two/zoe.session.json': JSON.stringify(SESSION, null, 2),
  'templates/two/zoe.claims.json': '{"mail": "zoe@example.org", "roles": ["editor"]}',
});

/** Starts the service; `url` is its page, `events` are its log. */
export async function startService() {
  const folder = mkdtempSync(join(tmpdir(), 'claimsmith-playground-'));
  const kratos = await startKratos();
  for (const [name, text] of Object.entries(files(kratos.address().port))) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CLAIMSMITH')));
  const made = spawnSync(BINARY, ['keys', 'generate', '--kid', 'key-1', '--out', 'keys.json'], { cwd: folder, env });
  if (made.status !== 0) throw new Error(`no key: ${made.error ?? made.stderr}`);
  const child = spawn(BINARY, ['serve'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const events = [];
  const url = await new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`the service ended with ${code} before it served`)));
    createInterface({ input: child.stderr }).on('line', (line) => {
      const event = JSON.parse(line);
      events.push(event);
      if (event.message === 'playground') resolve(event.url);
    });
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    kratos.close();
    rmSync(folder, { recursive: true });
  };
  return { url, events, stop };
}

/** Starts the browser, with a profile of its own and nothing that calls home. */
export function startBrowser(...flags) {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...flags],
  });
}
