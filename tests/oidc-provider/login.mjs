// Signs in without a browser: authorization code with PKCE, the login and consent pages answered as a person would.
// node login.mjs ISSUER USER prints the token response as JSON.
import { createHash, randomBytes } from "node:crypto";
import { Browser } from "./browser.mjs";

const [issuer, user] = process.argv.slice(2);
const discovery = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
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
const start = `${discovery.authorization_endpoint}?${parameters}`;
const { url } = await new Browser(user).visit(start, (url) => url.href.startsWith(redirect_uri));
const code = url.searchParams.get("code");
if (!code) throw new Error(url.search);
const tokens = await fetch(discovery.token_endpoint, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "authorization_code", client_id: "plant-ui", code, redirect_uri, code_verifier: verifier,
  }),
});
console.log(JSON.stringify(await tokens.json()));
