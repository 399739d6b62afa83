// How the console looks on this device: theme and size of its targets.

import { useSyncExternalStore } from "react";
import { preferences } from "@/lib/storage";

export const THEMES = ["system", "light", "dark", "contrast"] as const;
export type Theme = (typeof THEMES)[number];

export interface Display {
  theme: Theme;
  /** Larger targets, for gloves. */
  gloves: boolean;
  /** Minutes without input after which the console locks; 0 for never. */
  lockAfterMinutes: number;
}

const listeners = new Set<() => void>();
const prefersDark = window.matchMedia?.("(prefers-color-scheme: dark)");
let display = read();

function read(): Display {
  const theme = preferences.get("theme") as Theme | null;
  return {
    theme: theme && THEMES.includes(theme) ? theme : "system",
    gloves: preferences.get("gloves") === "on",
    lockAfterMinutes: Number(preferences.get("lock") ?? 30) || 0,
  };
}

function apply() {
  const shown = display.theme === "system" ? (prefersDark?.matches ? "dark" : "light") : display.theme;
  document.documentElement.dataset.theme = shown;
  document.documentElement.dataset.gloves = display.gloves ? "on" : "off";
}

export function changeDisplay(change: Partial<Display>) {
  display = { ...display, ...change };
  preferences.set("theme", display.theme);
  preferences.set("gloves", display.gloves ? "on" : null);
  preferences.set("lock", String(display.lockAfterMinutes));
  apply();
  for (const listener of listeners) listener();
}

export function startDisplay() {
  apply();
  prefersDark?.addEventListener("change", apply);
}

export function useDisplay(): Display {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => display,
  );
}
