import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { useRef } from "react";
import { MemoryRouter, Route, Routes } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { useChatShortcuts } from "./shortcuts";

function Chat({ onStop }: { onStop: () => void }) {
  const input = useRef<HTMLTextAreaElement>(null);
  useChatShortcuts({ input, onStop, begin: "/chat" });
  return (
    <>
      <textarea ref={input} aria-label="Message" />
      <input aria-label="Title" />
      <aside>
        <button type="button">Next page</button>
      </aside>
    </>
  );
}

function open() {
  const onStop = vi.fn();
  render(
    <MemoryRouter initialEntries={["/chat/1"]}>
      <Routes>
        <Route path="/chat/:id" element={<Chat onStop={onStop} />} />
        <Route path="/chat" element={<p>A new conversation</p>} />
      </Routes>
    </MemoryRouter>,
  );
  return onStop;
}

afterEach(cleanup);

describe("the keyboard in the chat", () => {
  it("leads to the message, but not while something is typed", () => {
    open();
    const message = screen.getByLabelText("Message");
    const title = screen.getByLabelText("Title");
    title.focus();
    expect(fireEvent.keyDown(title, { key: "/" })).toBe(true);
    expect(document.activeElement).toBe(title);
    expect(fireEvent.keyDown(document.body, { key: "/" }), "the character is not typed").toBe(false);
    expect(document.activeElement).toBe(message);
  });

  it("stops the answer, but not from the panel beside it", () => {
    const onStop = open();
    fireEvent.keyDown(screen.getByRole("button"), { key: "Escape" });
    expect(onStop).not.toHaveBeenCalled();
    fireEvent.keyDown(screen.getByLabelText("Message"), { key: "Escape" });
    expect(onStop).toHaveBeenCalledOnce();
  });

  it("begins a conversation, also while something is typed", () => {
    open();
    fireEvent.keyDown(screen.getByLabelText("Message"), { key: "n", altKey: true });
    expect(screen.getByText("A new conversation")).toBeTruthy();
  });

  it("belongs to an open dialog alone", () => {
    const onStop = open();
    const dialog = document.body.appendChild(document.createElement("div"));
    dialog.setAttribute("role", "dialog");
    fireEvent.keyDown(document.body, { key: "Escape" });
    dialog.remove();
    expect(onStop).not.toHaveBeenCalled();
  });
});
