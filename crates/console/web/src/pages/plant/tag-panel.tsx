import { SidePanel } from "@/components/side-panel";
import { visibleText } from "@/lib/invisible";
import { tagPath } from "./location";
import { TagDetail } from "./tag-detail";

/** A tag beside a conversation whose answer cites it: its value now, and how it came there. */
export function TagPanel({ tag, onClose }: { tag: string; onClose: () => void }) {
  return (
    <SidePanel title={visibleText(tag)} path={tagPath(tag)} onClose={onClose}>
      <TagDetail key={tag} tag={tag} />
    </SidePanel>
  );
}
