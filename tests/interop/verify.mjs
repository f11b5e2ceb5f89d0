// verify.mjs JWKS-URL ISSUER AUDIENCE: verifies the tokens on standard input with npm jose and the served key set.
import { createRemoteJWKSet, jwtVerify } from "jose";

const [url, issuer, audience] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(url));

let input = "";
for await (const chunk of process.stdin) input += chunk;

async function refuses(what, token, options) {
  try {
    await jwtVerify(token, keys, options);
  } catch {
    return;
  }
  throw new Error(`expected a refusal: ${what}`);
}

for (const { alg, token, bad, isPublished } of JSON.parse(input)) {
  const options = { issuer, audience, algorithms: [alg], typ: "JWT" };
  if (!isPublished) {
    await refuses("a key nobody publishes", token, options);
    console.log(`${alg}: refused by npm jose, which has no key`);
    continue;
  }
  const { payload, protectedHeader } = await jwtVerify(token, keys, options);
  if (protectedHeader.kid !== `key-${alg}` || payload.sub !== "zoe") throw new Error(`${alg}: other claims`);
  await refuses("tampered", bad, options);
  await refuses("another issuer", token, { ...options, issuer: "https://other.example/" });
  await refuses("another audience", token, { ...options, audience: "other" });
  await refuses("expired", token, { ...options, currentDate: new Date((payload.exp + 1) * 1000) });
  await refuses("not valid yet", token, { ...options, currentDate: new Date((payload.nbf - 60) * 1000) });
  console.log(`${alg}: verified by npm jose`);
}
