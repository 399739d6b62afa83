// The colours of each theme: contrast as WCAG 2.2 computes it, and no colour for what is normal (ISA-101).

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync("src/index.css", "utf8");

function colours(selector: string): Record<string, string> {
  const block = css.slice(css.indexOf(`${selector} {`));
  const pairs = block.slice(0, block.indexOf("}")).matchAll(/--([\w-]+): (#[0-9a-f]{6});/g);
  return Object.fromEntries([...pairs].map(([, name, value]) => [name, value]));
}

function channels(colour = "") {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function luminance(colour: string | undefined) {
  const [red = 0, green = 0, blue = 0] = channels(colour).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string | undefined, other: string | undefined) {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

/** How far a colour is from grey, from 0 to 255. */
function chroma(colour: string | undefined) {
  const values = channels(colour);
  return Math.max(...values) - Math.min(...values);
}

const THEMES = { light: ":root", dark: ':root[data-theme="dark"]', contrast: ':root[data-theme="contrast"]' };
const GROUNDS = ["ground", "surface", "raised"];

describe.each(Object.entries(THEMES))("the theme %s", (name, selector) => {
  const theme = colours(selector);
  const enough = name === "contrast" ? 7 : 4.5;

  it("has enough contrast for text, on each ground", () => {
    for (const ground of GROUNDS) {
      for (const text of ["ink", "quiet", "alarm", "warning"]) {
        expect(contrast(theme[text], theme[ground]), `${text} on ${ground}`).toBeGreaterThanOrEqual(enough);
      }
      expect(contrast(theme.focus, theme[ground]), `focus on ${ground}`).toBeGreaterThanOrEqual(3);
    }
    for (const [text, ground] of [["on-primary", "primary"], ["on-mark", "mark"], ["alarm", "alarm-ground"], ["warning", "warning-ground"]]) {
      expect(contrast(theme[text ?? ""], theme[ground ?? ""]), `${text} on ${ground}`).toBeGreaterThanOrEqual(enough);
    }
  });

  it("is grey, but for what is abnormal, marked or focused", () => {
    for (const grey of [...GROUNDS, "line", "ink", "quiet", "primary", "on-primary"]) {
      expect(chroma(theme[grey]), grey).toBeLessThanOrEqual(24);
    }
    expect(chroma(theme.alarm)).toBeGreaterThan(80);
    expect(chroma(theme.warning)).toBeGreaterThan(80);
  });
});

it("the theme for dark rooms is near black and has no pure white", () => {
  const { ground, ink } = colours(THEMES.dark);
  expect(luminance(ground)).toBeLessThan(0.01);
  expect(luminance(ink)).toBeLessThan(0.8);
});
