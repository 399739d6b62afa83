import { SidePanel } from "@/components/side-panel";
import { DocumentView } from "./document-view";
import { type DocumentLocation, documentPath } from "./location";

interface PanelProps {
  title: string;
  location: DocumentLocation;
  onClose: () => void;
}

/** A document beside a conversation. */
export function DocumentPanel({ title, location, onClose }: PanelProps) {
  return (
    <SidePanel title={title} path={documentPath(location)} onClose={onClose}>
      <DocumentView location={location} />
    </SidePanel>
  );
}
