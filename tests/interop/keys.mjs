// keys.mjs make ALG...: prints a private JWK for each algorithm.
// keys.mjs verify: verifies each {alg, token, jwk} on standard input with the public half of that JWK.
// keys.mjs use: signs with each {alg, private, public} on standard input and verifies what it signed.
import { SignJWT, exportJWK, generateKeyPair, generateSecret, importJWK, jwtVerify } from "jose";

const PRIVATE = ["d", "p", "q", "dp", "dq", "qi"];
const [task, ...algs] = process.argv.slice(2);

async function input() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}

async function make(alg) {
  const options = { extractable: true, modulusLength: 2048, crv: "Ed25519" };
  const key = alg.startsWith("HS")
    ? await generateSecret(alg, options)
    : (await generateKeyPair(alg, options)).privateKey;
  return { ...(await exportJWK(key)), alg, use: "sig", kid: `key-${alg}` };
}

function publicHalf(jwk) {
  return Object.fromEntries(Object.entries(jwk).filter(([name]) => !PRIVATE.includes(name)));
}

if (task === "make") {
  console.log(JSON.stringify(await Promise.all(algs.map(make))));
} else if (task === "verify") {
  for (const { alg, token, jwk } of await input()) {
    const key = await importJWK(publicHalf(jwk), alg);
    const { protectedHeader } = await jwtVerify(token, key, { algorithms: [alg] });
    if (protectedHeader.kid !== jwk.kid) throw new Error(`${alg}: another kid`);
  }
} else if (task === "use") {
  for (const { alg, private: secret, public: open } of await input()) {
    const header = { alg, kid: secret.kid };
    const token = await new SignJWT({ sub: "zoe" }).setProtectedHeader(header).sign(await importJWK(secret, alg));
    const { payload } = await jwtVerify(token, await importJWK(open ?? secret, alg), { algorithms: [alg] });
    if (payload.sub !== "zoe") throw new Error(`${alg}: other claims`);
  }
} else {
  throw new Error("expected make, verify or use");
}
