// Writes the types of the API, from the OpenAPI document that the server generates.

import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../../../../docs/generated/openapi.json", import.meta.url);
const target = new URL("../src/api/schema.d.ts", import.meta.url);

const document = JSON.parse(await readFile(source, "utf8"));
for (const path of Object.values(document.paths)) {
  for (const operation of Object.values(path)) {
    // Different resources use the same names, which would be mixed up. The types are found by their paths.
    if (operation && typeof operation === "object") delete operation.operationId;
  }
}
// A field with a default may be left out of a request.
const types = await openapiTS(document, { defaultNonNullable: false });
await writeFile(target, `// Generated from docs/generated/openapi.json.\n${astToString(types)}`);
