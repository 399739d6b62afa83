// Signs in without a browser: authorization code with PKCE, the login and consent pages answered as a person would.
// node login.mjs ISSUER USER prints the token response as JSON.
import { createHash, randomBytes } from "node:crypto";

const [issuer, user] = process.argv.slice(2);
const jar = new Map();

async function call(url, options = {}) {
  const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  const response = await fetch(url, { redirect: "manual", ...options, headers: { ...options.headers, cookie } });
  for (const set of response.headers.getSetCookie()) {
    const [pair] = set.split(";");
    jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
  }
  return response;
}

const discovery = await (await call(`${issuer}/.well-known/openid-configuration`)).json();
const verifier = randomBytes(32).toString("base64url");
const redirect_uri = "http://127.0.0.1/callback";
const parameters = new URLSearchParams({
  client_id: "plant-ui",
  response_type: "code",
  redirect_uri,
  scope: "openid platform.ask",
  nonce: randomBytes(16).toString("base64url"),
  code_challenge: createHash("sha256").update(verifier).digest("base64url"),
  code_challenge_method: "S256",
});
let response = await call(`${discovery.authorization_endpoint}?${parameters}`);
let code;
for (let hops = 0; hops < 12 && !code; hops += 1) {
  const location = response.headers.get("location");
  if (!location) throw new Error(`stopped at ${response.status}: ${await response.text()}`);
  const url = new URL(location, issuer);
  if (url.href.startsWith(redirect_uri)) {
    code = url.searchParams.get("code");
    if (!code) throw new Error(url.search);
  } else {
    response = await call(url);
    if (response.status === 200) {
      const page = await response.text();
      const prompt = /name="prompt" value="(\w+)"/.exec(page)[1];
      const action = /action="([^"]+)"/.exec(page)[1];
      const body = new URLSearchParams({ prompt, login: user, password: "x" });
      response = await call(new URL(action, issuer), { method: "POST", body });
    }
  }
}
const tokens = await call(discovery.token_endpoint, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "authorization_code", client_id: "plant-ui", code, redirect_uri, code_verifier: verifier,
  }),
});
console.log(JSON.stringify(await tokens.json()));
