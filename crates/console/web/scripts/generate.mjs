// Writes the types of the API, from the OpenAPI document that the server generates.

import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../../../../docs/generated/openapi.json", import.meta.url);
const target = new URL("../src/api/schema.d.ts", import.meta.url);

const document = JSON.parse(await readFile(source, "utf8"));
// A field with a default may be left out of a request.
const types = await openapiTS(document, { defaultNonNullable: false });
await writeFile(target, `// Generated from docs/generated/openapi.json.\n${astToString(types)}`);
