// Constant load from a client that trusts nothing: hydrates sessions over HTTP as fast as it gets answers, and verifies
// every token with npm jose's remote JWKS, which keeps a set for as long as its max-age says. Runs until its standard input
// ends, then prints what came of it.
//
// usage: node load.mjs BASE ISSUER MAX_AGE_SECONDS PROFILE…
import http from "node:http";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [base, issuer, maxAge, ...profiles] = process.argv.slice(2);
const AT_ONCE = 8;
const session = JSON.stringify({ subject: "zoe", extra: { name: "Zoë" }, header: null, match_context: null });
const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
const counts = { requests: 0, verified: 0, failed: 0, unverified: 0, kids: {}, faults: [] };
let running = true;
process.stdin.resume().on("end", () => (running = false));

function hydrate(profile) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `${base}/hydrate/${profile}`,
      { method: "POST", agent, timeout: 10_000, headers: { "Content-Length": Buffer.byteLength(session) } },
      (answer) => {
        let body = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk) => (body += chunk));
        answer.on("end", () => (answer.statusCode === 200 ? resolve(body) : reject(new Error(`${answer.statusCode} ${body}`))));
        answer.on("error", reject);
      },
    );
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.end(session);
  });
}

function note(fault) {
  if (counts.faults.length < 10) counts.faults.push(String(fault));
}

async function client(profile) {
  const keys = createRemoteJWKSet(new URL(`${base}/${profile}/.well-known/jwks.json`), { cacheMaxAge: maxAge * 1000 });
  while (running) {
    counts.requests += 1;
    let token;
    try {
      token = JSON.parse(await hydrate(profile)).header.Authorization[0].replace("Bearer ", "");
    } catch (error) {
      counts.failed += 1;
      note(error);
      continue;
    }
    try {
      const { protectedHeader } = await jwtVerify(token, keys, { issuer });
      counts.verified += 1;
      counts.kids[protectedHeader.kid] = (counts.kids[protectedHeader.kid] ?? 0) + 1;
    } catch (error) {
      counts.unverified += 1;
      note(error);
    }
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => client(profiles[index % profiles.length])));
agent.destroy();
console.log(JSON.stringify(counts));
