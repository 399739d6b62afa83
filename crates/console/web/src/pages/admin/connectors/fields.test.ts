import { describe, expect, it } from "vitest";
import type { Connector } from "@/api/plant";
import { EMPTY, changesOf, connectorOf, fieldsOf, parseConfig, secretOf } from "./fields";

const connector: Connector = {
  id: "1",
  name: "plc7",
  kind: "modbus",
  endpoint: "modbus://127.0.0.1:502",
  config: { unit_id: 1 },
  classification: "internal",
  stale_after_s: 30,
  tags: [{ tag: "FQ-2", address: "holding:40", data_type: "uint32", scale: 0.1, limits: { alarm_high: 9 } }],
  record: { interval_s: 10, keep_days: 30 },
  enabled: true,
};

describe("the form of a connector", () => {
  it("gives back what it was filled with", () => {
    const { id: _id, ...fields } = connector;
    expect(connectorOf(fieldsOf(connector), connector)).toEqual(fields);
    expect(changesOf(connector, fieldsOf(connector))).toEqual({});
  });

  it("sends only what changed, and never the kind", () => {
    const fields = { ...fieldsOf(connector), isRecorded: false, staleAfter: "60", kind: "mqtt" as const };
    expect(changesOf(connector, fields)).toEqual({ stale_after_s: 60, record: null });
  });

  it("needs a JSON object as settings", () => {
    expect(parseConfig("")).toEqual({});
    expect(parseConfig('{"unit_id": 2}')).toEqual({ unit_id: 2 });
    for (const text of ["[]", "null", "1", "{", "unit_id: 2"]) expect(parseConfig(text)).toBeUndefined();
    expect(connectorOf(EMPTY).record).toBeNull();
  });

  it("has no address for a simulated plant, whatever was typed before", () => {
    expect(connectorOf({ ...EMPTY, endpoint: "opc.tcp://x", kind: "simulator" }).endpoint).toBe("");
  });

  it("has a secret only if one was typed", () => {
    expect(secretOf("operator", "")).toBeUndefined();
    expect(secretOf("operator", "p")).toEqual({ username: "operator", password: "p" });
    expect(secretOf("", "t")).toEqual({ token: "t" });
  });
});
