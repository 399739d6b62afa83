import { describe, expect, it } from "vitest";
import { csvOf, matches, offerStates } from "./offered";

describe("the tags that a plant system offers", () => {
  const pressure = { tag: "PIT-1001", address: "ns=2;s=PIT-1001", unit: "bar", description: "Suction pressure" };

  it("can be added unless their address or their name is there", () => {
    const offered = [
      pressure,
      { tag: "TIT-1", address: "ns=2;s=TIT-1" },
      { tag: "TIT-1", address: "ns=3;s=TIT-1" },
      { tag: "FIT-1", address: "ns=2;s=FIT-1" },
    ];
    const tags = [
      { tag: "Suction", address: "ns=2;s=PIT-1001" },
      { tag: "FIT-1", address: "ns=9;s=FIT-1" },
    ];
    expect(offerStates(offered, tags)).toEqual(["known", "new", "taken", "taken"]);
    expect(offerStates(offered, [])).toEqual(["new", "new", "taken", "new"]);
  });

  it("are found by words in any order and in any letters", () => {
    expect(matches(pressure, "SUCTION pit")).toBe(true);
    expect(matches(pressure, "  ")).toBe(true);
    expect(matches(pressure, "suction temperature")).toBe(false);
    expect(matches({ tag: "A", address: "input:1" }, "input:1")).toBe(true);
  });

  it("are written as CSV, whatever their texts hold", () => {
    const hostile = { tag: 'A"B', address: "ns=2;s=A,B", unit: null, description: "two\nlines", data_type: "int16" as const };
    expect(csvOf([pressure, hostile])).toBe(
      [
        "tag,address,unit,description,data_type",
        "PIT-1001,ns=2;s=PIT-1001,bar,Suction pressure,",
        '"A""B","ns=2;s=A,B",,"two\nlines",int16',
        "",
      ].join("\n"),
    );
  });
});
