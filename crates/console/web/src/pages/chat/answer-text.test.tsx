import { render } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import type { Citation } from "@/api/types";
import { AnswerText } from "./answer-text";
import { codeUnits } from "./annotate";

const citation = {
  n: 1,
  document_id: "d",
  doc: "pump.pdf",
  title: "Pump",
  page: 3,
  section: null,
  chunk_id: "c",
  quote: "45 Nm",
  score: 0.9,
} as Citation;

function html(text: string, unsupported = [] as { start: number; end: number }[]) {
  const { container } = render(
    <AnswerText text={text} citations={[citation]} unsupported={unsupported} onCitation={() => {}} />,
  );
  return container;
}

describe("AnswerText", () => {
  it("shows hostile markup as text that leads nowhere", () => {
    const answer = html(
      "<img src=https://evil.example/a.png onerror=alert(1)>\n\n![x](https://evil.example/b.png) " +
        "[click](https://evil.example/c) [run](javascript:alert(1)) <script>alert(1)</script> https://evil.example/d",
    );
    expect(answer.querySelectorAll("img, script, iframe, a, [onerror]")).toHaveLength(0);
    expect(answer.textContent).toContain("https://evil.example/c");
  });

  it("makes a button of a citation that there is, and of no other", () => {
    const answer = html("Tighten to 45 Nm [1], then check [7].");
    expect([...answer.querySelectorAll("button")].map((button) => button.textContent)).toEqual(["1"]);
    expect(answer.textContent).toContain("[7]");
  });

  it("leaves out what hides or turns text around", () => {
    expect(html("safe\u202E txt.exe\u200b").textContent).toBe("safe txt.exe");
  });

  it("marks what no passage supports, counted in code points", () => {
    const text = "🔧 Tighten to 45 Nm [1]. It is blue.";
    const start = [...text].indexOf("I");
    const answer = html(text, [{ start, end: [...text].length }]);
    expect(answer.querySelector(".unsupported")?.textContent).toBe("It is blue.");
  });
});

describe("codeUnits", () => {
  it("counts a character outside the basic plane as two", () => {
    expect(codeUnits("a🔧b", [{ start: 2, end: 3 }])).toEqual([{ start: 3, end: 4 }]);
  });
});
