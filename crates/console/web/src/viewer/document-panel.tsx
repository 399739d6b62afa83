import { Maximize2, X } from "lucide-react";
import { useEffect, useRef } from "react";
import { Link } from "react-router";
import { buttonVariants, IconButton } from "@/components/ui/button";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { DocumentView } from "./document-view";
import { type DocumentLocation, documentPath } from "./location";

interface PanelProps {
  title: string;
  location: DocumentLocation;
  onClose: () => void;
}

/** A document beside a conversation; on a small screen above it. */
export function DocumentPanel({ title, location, onClose }: PanelProps) {
  const { t } = useI18n();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [location]);
  return (
    <aside
      aria-label={title}
      onKeyDown={(event) => event.key === "Escape" && onClose()}
      className="no-print fixed inset-0 z-30 flex flex-col border-line bg-surface xl:static xl:z-0 xl:w-[42%] xl:max-w-3xl xl:min-w-md xl:border-l"
    >
      <header className="flex items-center gap-1 border-b border-line px-3 py-1">
        <h2 ref={heading} tabIndex={-1} className="min-w-0 flex-1 truncate outline-none">
          {title}
        </h2>
        <Link
          to={documentPath(location)}
          aria-label={t("openFullPage")}
          title={t("openFullPage")}
          className={cn(buttonVariants({ variant: "ghost", size: "icon" }))}
        >
          <Maximize2 />
        </Link>
        <IconButton label={t("close")} onClick={onClose}>
          <X />
        </IconButton>
      </header>
      <div className="min-h-0 flex-1 overflow-y-auto p-3">
        <DocumentView location={location} />
      </div>
    </aside>
  );
}
