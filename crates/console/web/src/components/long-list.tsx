// Lists of thousands of items: only those that are near to what is seen are in the page.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, type Ref, useLayoutEffect, useRef, useState } from "react";

/** A list with fewer items is in the page as a whole, where the browser's own search finds them. */
const VIRTUAL_FROM = 100;
const OVERSCAN = 8;
/** Pixels between items. */
const GAP = 8;
/** What is shown before the size of the window is known. */
const FIRST_RECT = { width: 800, height: 900 };

/** What the element of an item must have. */
export interface ItemProps {
  ref?: Ref<HTMLLIElement>;
  "data-index"?: number;
  "aria-posinset"?: number;
  "aria-setsize"?: number;
}

interface LongListProps<T> {
  name: string;
  items: readonly T[];
  keyOf: (item: T) => string;
  /** Height that an item has usually, in pixels. */
  estimate: number;
  /** Whether more items can be loaded, so that nobody knows how many there are. */
  hasMore?: boolean;
  children: (item: T, props: ItemProps) => ReactNode;
}

/** The element that scrolls what is in `element`. */
function scrollParent(element: HTMLElement | null): HTMLElement | null {
  for (let parent = element?.parentElement; parent; parent = parent.parentElement) {
    if (/(auto|scroll)/.test(getComputedStyle(parent).overflowY)) return parent;
  }
  return document.documentElement;
}

function VirtualList<T>({ name, items, keyOf, estimate, hasMore, children }: LongListProps<T>) {
  const list = useRef<HTMLUListElement>(null);
  const [scrollMargin, setScrollMargin] = useState(0);
  const virtual = useVirtualizer({
    count: items.length,
    getScrollElement: () => scrollParent(list.current),
    estimateSize: () => estimate,
    getItemKey: (index) => keyOf(items[index] as T),
    overscan: OVERSCAN,
    gap: GAP,
    scrollMargin,
    initialRect: FIRST_RECT,
  });
  useLayoutEffect(() => {
    const parent = scrollParent(list.current);
    if (!list.current || !parent) return;
    const top = list.current.getBoundingClientRect().top - parent.getBoundingClientRect().top + parent.scrollTop;
    setScrollMargin(Math.round(top));
  }, [items.length]);
  const shown = virtual.getVirtualItems();
  const before = (shown[0]?.start ?? scrollMargin) - scrollMargin;
  const after = virtual.getTotalSize() - ((shown.at(-1)?.end ?? scrollMargin) - scrollMargin);
  return (
    <ul
      ref={list}
      aria-label={name}
      className="flex flex-col gap-2"
      style={{ paddingBlockStart: Math.max(before, 0), paddingBlockEnd: Math.max(after, 0) }}
    >
      {shown.map(({ index }) =>
        children(items[index] as T, {
          ref: virtual.measureElement,
          "data-index": index,
          "aria-posinset": index + 1,
          "aria-setsize": hasMore ? -1 : items.length,
        }),
      )}
    </ul>
  );
}

/** A list of any length. `children` renders an item as an `li` with the given properties and a key. */
export function LongList<T>(props: LongListProps<T>) {
  const { name, items, children } = props;
  if (items.length >= VIRTUAL_FROM) return <VirtualList {...props} />;
  return (
    <ul aria-label={name} className="flex flex-col gap-2">
      {items.map((item) => children(item, {}))}
    </ul>
  );
}
