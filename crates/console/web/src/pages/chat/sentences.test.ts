import { describe, expect, it } from "vitest";
import { isMidSentence } from "./sentences";

describe("isMidSentence", () => {
  it.each(["", "Close the valve.", "Close it! ", "He said “stop.”", "Steps:\n"])("is not after %j", (text) => {
    expect(isMidSentence(text)).toBe(false);
  });

  it.each(["Close the", "Tighten to 4.5", "First, "])("is after %j", (text) => {
    expect(isMidSentence(text)).toBe(true);
  });
});
