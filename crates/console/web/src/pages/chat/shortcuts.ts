import { type RefObject, useEffect } from "react";
import { useNavigate } from "react-router";

interface ChatShortcuts {
  input: RefObject<HTMLTextAreaElement | null>;
  onStop: () => void;
  /** Where a conversation begins. */
  begin: string;
}

function isTyping(target: EventTarget | null) {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

/** `/` goes to the message, Alt+N begins a conversation, Escape stops the answer. */
export function useChatShortcuts({ input, onStop, begin }: ChatShortcuts) {
  const navigate = useNavigate();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (document.querySelector('[role="dialog"]')) return;
      if (event.key === "/" && !isTyping(event.target)) {
        event.preventDefault();
        input.current?.focus();
      } else if (event.altKey && event.key.toLowerCase() === "n") {
        event.preventDefault();
        void navigate(begin);
      } else if (event.key === "Escape" && event.target instanceof Element && !event.target.closest("aside")) {
        onStop();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [input, onStop, begin, navigate]);
}
