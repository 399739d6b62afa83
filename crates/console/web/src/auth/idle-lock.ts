import { useEffect } from "react";
import { interrupt } from "./session";

const INPUTS = ["pointerdown", "keydown", "wheel", "touchstart"] as const;
/** How often the time without input is looked at; a timer alone stops while a computer sleeps. */
const CHECK_MS = 5_000;

/** Locks the console after some minutes without input, for panels that several people use. */
export function useIdleLock(minutes: number, active: boolean) {
  useEffect(() => {
    if (!active || minutes <= 0) return;
    let last = Date.now();
    const note = () => {
      last = Date.now();
    };
    const check = () => {
      if (Date.now() - last >= minutes * 60_000) interrupt("locked");
    };
    for (const input of INPUTS) window.addEventListener(input, note, { capture: true, passive: true });
    const timer = setInterval(check, CHECK_MS);
    return () => {
      clearInterval(timer);
      for (const input of INPUTS) window.removeEventListener(input, note, { capture: true });
    };
  }, [minutes, active]);
}
