import { describe, expect, it } from "vitest";
import type { McpTool } from "@/api/mcp";
import { contentOf, decisionsOf, firstChoice } from "./decisions";

const definition = { description: "Finds tickets.", input_schema: { type: "object" }, digest: "sha256:1" };
const find: McpTool = { name: "find", allow: true, write: false, classification: "internal", state: "allowed", definition };

describe("decisions on tools", () => {
  it("name the definition that was shown", () => {
    const gone: McpTool = { name: "gone", allow: false, write: true, classification: "restricted", state: "missing", definition: null };
    expect(decisionsOf([find, gone], {})).toEqual([
      { name: "find", allow: true, write: false, classification: "internal", digest: "sha256:1" },
      { name: "gone", allow: false, write: true, classification: "restricted" },
    ]);
  });

  it("are what was chosen", () => {
    const choice = { allow: false, write: true, classification: "confidential" };
    expect(decisionsOf([find], { find: choice })).toEqual([{ name: "find", ...choice, digest: "sha256:1" }]);
  });

  it("do not allow a changed definition unless somebody chooses so", () => {
    const changed: McpTool = { ...find, state: "changed", allowed_definition: { ...definition, digest: "sha256:0" } };
    expect(firstChoice(changed).allow).toBe(false);
    expect(decisionsOf([changed], {})[0]?.allow).toBe(false);
    expect(firstChoice(find).allow).toBe(true);
  });

  it("compare definitions without their digest", () => {
    expect(contentOf(definition)).toEqual({ description: "Finds tickets.", input_schema: { type: "object" } });
  });
});
