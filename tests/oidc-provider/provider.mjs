// A certified OpenID provider (npm oidc-provider) in the role of a plant's identity provider: authorization code flow
// with PKCE, device flow, JWT access tokens for the platform's API, and a signing key that `POST /control/rotate`
// replaces.
// node provider.mjs DIR, with the packages of package-lock.json in DIR, prints its issuer once it serves.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const packages = join(process.argv[2], "node_modules");
const { Provider } = await import(pathToFileURL(join(packages, "oidc-provider", "lib", "index.js")));

const AUDIENCE = "api://plant-agent-platform";

// Claims of each user's access tokens besides the standard ones. auth_time is that of the authorization code.
const USERS = {
  alice: () => ({ roles: ["PlatformUser"], extension_PlatformTenantId: "plant-a" }),
  boss: () => ({ roles: ["PlatformAdmin"], extension_PlatformTenantId: "plant-b" }),
  groups: () => ({
    extension_PlatformTenantId: "plant-a",
    _claim_names: { groups: "src1" },
    _claim_sources: { src1: { endpoint: "https://graph.example/v1.0/users/x/getMemberObjects" } },
  }),
  // Signed in two hours ago.
  sleepy: (authTime) => ({ roles: ["PlatformUser"], extension_PlatformTenantId: "plant-a", auth_time: authTime - 7200 }),
};

function key(kid) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
}

function provider(issuer, kid) {
  return new Provider(issuer, {
    jwks: { keys: [key(kid)] },
    cookies: { keys: ["a key of the tests"] },
    clients: [{
      client_id: "plant-ui",
      token_endpoint_auth_method: "none",
      application_type: "native",
      redirect_uris: ["http://127.0.0.1/callback"],
      grant_types: ["authorization_code"],
    }, {
      client_id: "plant-cli",
      token_endpoint_auth_method: "none",
      application_type: "native",
      redirect_uris: ["http://127.0.0.1/callback"],
      grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    }, {
      client_id: "plant-console",
      token_endpoint_auth_method: "none",
      application_type: "native",
      redirect_uris: ["http://127.0.0.1/ui/callback"],
      post_logout_redirect_uris: ["http://127.0.0.1/ui/"],
      grant_types: ["authorization_code", "refresh_token"],
    }],
    // The console redeems its code from its page.
    clientBasedCORS: () => true,
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed("refresh_token"),
    pkce: { required: () => true },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: id }) }),
    extraTokenClaims: (ctx, token) => {
      const { AuthorizationCode, DeviceCode, RefreshToken } = ctx.oidc.entities;
      const authTime = (AuthorizationCode ?? DeviceCode ?? RefreshToken)?.authTime;
      return { auth_time: authTime, ...USERS[token.accountId]?.(authTime) };
    },
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "platform.ask",
          audience: AUDIENCE,
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
}

let handle;
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/control/rotate") {
    handle = provider(issuer, "k2").callback();
    response.end("rotated");
  } else {
    handle(request, response);
  }
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
handle = provider(issuer, "k1").callback();
console.log(`issuer ${issuer}`);
