// Passes requests on to the platform with the token in PLATFORM_TOKEN, which the conformance suite cannot send:
// node proxy.mjs PORT TARGET_PORT. All other headers stay as they are, Host and Origin among them.

import http from "node:http";

const [port, target] = process.argv.slice(2).map(Number);
const authorization = ["Authorization", `Bearer ${process.env.PLATFORM_TOKEN}`];

http
  .createServer((request, response) => {
    const headers = [...request.rawHeaders, ...authorization];
    const options = { host: "127.0.0.1", port: target, method: request.method, path: request.url, headers, setHost: false };
    const passed = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    response.on("close", () => passed.destroy());
    request.pipe(passed);
  })
  .listen(port, "127.0.0.1");
