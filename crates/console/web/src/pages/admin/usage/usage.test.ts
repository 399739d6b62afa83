import { describe, expect, it } from "vitest";
import { axisTop, columns, measured } from "./measures";
import { daysOf, eachDay } from "./periods";

const NOW = Date.parse("2026-03-01T23:30:00-02:00");

describe("daysOf", () => {
  it.each([
    ["month", "2026-03-01", "2026-03-02"],
    ["lastMonth", "2026-02-01", "2026-02-28"],
    ["week", "2026-02-24", "2026-03-02"],
    ["quarter", "2025-12-03", "2026-03-02"],
  ] as const)("%s goes from %s to %s, in UTC", (period, from, to) => {
    expect(daysOf(period, NOW)).toEqual({ from, to });
  });

  it("has every day, with the last", () => {
    expect(eachDay({ from: "2026-02-27", to: "2026-03-02" })).toEqual(["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]);
  });
});

describe("a chart", () => {
  const sums = { calls: 3, input_tokens: 5, output_tokens: 7, cost: 0.5, errors: 1, fallbacks: 0 };

  it("has 0 for days without calls", () => {
    expect(columns([{ ...sums, key: "2026-03-02" }], ["2026-03-01", "2026-03-02"], "tokens")).toEqual([
      { day: "2026-03-01", value: 0 },
      { day: "2026-03-02", value: 12 },
    ]);
    expect(measured(sums, "cost")).toBe(0.5);
  });

  it.each([
    [0, 1],
    [0.03, 0.05],
    [1, 1],
    [7, 10],
    [120, 200],
    [4_900, 5_000],
  ])("of values up to %d has an axis up to %d", (highest, top) => {
    expect(axisTop(highest)).toBeCloseTo(top);
  });
});
