import { useEffect, useRef, useState } from "react";

/** Where the last whole sentence of a text ends. */
export function endOfSentence(text: string): number {
  const ends = [...text.matchAll(/[.!?:]["”)\]]*\s|\n/g)];
  const last = ends.at(-1);
  return last ? last.index + last[0].length : 0;
}

/** Reads an answer to users of screen readers while it is written, in whole sentences instead of every word. */
export function Announcer({ text, finished }: { text: string; finished: boolean }) {
  const announced = useRef(0);
  const [sentence, setSentence] = useState("");
  useEffect(() => {
    const end = finished ? text.length : endOfSentence(text);
    if (end > announced.current) {
      setSentence(text.slice(announced.current, end));
      announced.current = end;
    }
  }, [text, finished]);
  return (
    <div aria-live="polite" className="sr-only">
      {sentence}
    </div>
  );
}
