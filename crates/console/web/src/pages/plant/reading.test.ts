import { describe, expect, it } from "vitest";
import type { HistoryPoint, Reading } from "@/api/plant";
import { chunks, isAbnormal, limitLines, limitState, trend } from "./reading";

const reading = {
  tag: "PIT-1001",
  value: 5,
  quality: "good",
  source_timestamp: null,
  age_s: 1,
  stale: false,
  source: "simulator:demo",
  classification: "internal",
} as Reading;

describe("limitState", () => {
  const limits = { normal_low: 2, normal_high: 8, alarm_low: 1, alarm_high: 9 };

  it.each([
    [5, "normal"],
    [2, "normal"],
    [1.5, "low"],
    [1, "alarmLow"],
    [8.5, "high"],
    [9, "alarmHigh"],
  ] as const)("of %d is %s", (value, state) => {
    expect(limitState(value, limits)).toBe(state);
  });

  it("is normal where there are no limits, or no number", () => {
    expect(limitState(1_000, undefined)).toBe("normal");
    expect(limitState(1_000, { alarm_low: 1 })).toBe("normal");
    expect(limitState(null, limits)).toBe("normal");
    expect(limitState("running", limits)).toBe("normal");
  });
});

it("a value is abnormal by its quality, its age or its limits", () => {
  expect(isAbnormal(reading)).toBe(false);
  expect(isAbnormal({ ...reading, stale: true })).toBe(true);
  expect(isAbnormal({ ...reading, quality: "uncertain" })).toBe(true);
  expect(isAbnormal({ ...reading, limits: { alarm_high: 4 } })).toBe(true);
});

it("at most as many tags as one request may ask for", () => {
  expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(chunks([], 2)).toEqual([]);
});

describe("trend", () => {
  const from = Date.parse("2030-01-01T00:00:00Z");
  const point = (minute: number, value: HistoryPoint["value"], quality: HistoryPoint["quality"] = "good") => ({
    at: new Date(from + minute * 60_000).toISOString(),
    value,
    quality,
  });

  it("goes from the lowest to the highest value", () => {
    const drawn = trend([point(0, 2), point(30, 4)], from, from + 3_600_000);
    expect(drawn).toEqual({ lines: [{ points: "0.00,30.00 50.00,0.00" }], lowest: 2, highest: 4 });
  });

  it("has a gap where a value is bad or missing", () => {
    const drawn = trend([point(0, 2), point(1, 99, "bad"), point(2, 3), point(3, null), point(4, 4)], from, from + 600_000);
    expect(drawn?.lines).toHaveLength(3);
    expect(drawn?.highest).toBe(4);
  });

  it("has lines for the limits that it reaches", () => {
    const drawn = { lines: [], lowest: 0, highest: 10 };
    expect(limitLines({ normal_high: 5, alarm_high: 20, alarm_low: null }, drawn)).toEqual([{ name: "normal_high", y: 15 }]);
    expect(limitLines(undefined, drawn)).toEqual([]);
    expect(limitLines({ normal_high: 7 }, { lines: [], lowest: 7, highest: 7 })).toEqual([]);
  });

  it("is flat for a constant, and nothing without numbers", () => {
    expect(trend([point(0, 7), point(1, 7)], from, from + 60_000)?.lines).toEqual([{ points: "0.00,15.00 100.00,15.00" }]);
    expect(trend([point(0, "running")], from, from + 1)).toBeUndefined();
  });
});
