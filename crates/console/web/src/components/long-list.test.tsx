import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LongList } from "./long-list";

function show(count: number, hasMore = false) {
  const items = Array.from({ length: count }, (_, index) => `item ${index}`);
  return render(
    <LongList name="Documents" items={items} keyOf={(item) => item} estimate={ITEM_HEIGHT} hasMore={hasMore}>
      {(item, props) => (
        <li key={item} {...props}>
          {item}
        </li>
      )}
    </LongList>,
  );
}

const ITEM_HEIGHT = 60;

beforeEach(() => {
  // jsdom has no layout.
  vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(ITEM_HEIGHT);
  vi.spyOn(Element.prototype, "clientHeight", "get").mockReturnValue(900);
});

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

describe("LongList", () => {
  it("has all items of a short list in the page", () => {
    show(99);
    expect(screen.getAllByRole("listitem")).toHaveLength(99);
    expect(screen.getByText("item 98").hasAttribute("aria-setsize")).toBe(false);
  });

  it("has few items of a long list in the page, and tells how many there are", () => {
    const { container } = show(5_000);
    const shown = screen.getAllByRole("listitem");
    expect(shown.length).toBeLessThan(60);
    expect(shown[0]?.getAttribute("aria-posinset")).toBe("1");
    expect(shown[0]?.getAttribute("aria-setsize")).toBe("5000");
    const list = container.querySelector("ul");
    expect(parseFloat(list?.style.paddingBlockEnd ?? "")).toBeGreaterThan(4_900 * ITEM_HEIGHT);
  });

  it("does not claim to know how many there are while more can be loaded", () => {
    show(200, true);
    expect(screen.getAllByRole("listitem")[0]?.getAttribute("aria-setsize")).toBe("-1");
  });
});
