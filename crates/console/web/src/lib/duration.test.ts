import { describe, expect, it } from "vitest";
import { durationParts, formatDuration, secondsUntil, tickAfter } from "./duration";

describe("a length of time", () => {
  it.each([
    [0, "0 sec"],
    [59.9, "59 sec"],
    [60, "1 min"],
    [61, "1 min 1 sec"],
    [3_600 * 3 + 12 * 60 + 5, "3 hr 12 min"],
    [3_600 * 3 + 5, "3 hr"],
    [86_400 * 2 + 3_600, "2 days 1 hr"],
    [-5, "0 sec"],
  ])("of %d seconds is %s", (seconds, text) => {
    expect(formatDuration("en", seconds)).toBe(text);
  });

  it("has the words of its language", () => {
    expect(formatDuration("de", 7_200)).toBe("2 Std.");
    expect(durationParts(86_400)).toEqual([{ unit: "day", value: 1 }]);
  });
});

describe("a countdown", () => {
  const now = Date.parse("2030-01-01T00:00:00Z");

  it("rounds up, so that it is over only when the moment has come", () => {
    expect(secondsUntil("2030-01-01T00:00:00.001Z", now)).toBe(1);
    expect(secondsUntil("2030-01-01T00:01:30Z", now)).toBe(90);
    expect(secondsUntil("2030-01-01T00:00:00Z", now)).toBe(0);
    expect(secondsUntil("2029-12-31T23:00:00Z", now)).toBe(0);
  });

  it("counts seconds at its end, and no more when it is over", () => {
    expect(tickAfter(3_600)).toBe(30_000);
    expect(tickAfter(125)).toBe(5_000);
    expect(tickAfter(120)).toBe(1_000);
    expect(tickAfter(0)).toBeUndefined();
  });
});
