import { Maximize2, X } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { Link } from "react-router";
import { buttonVariants, IconButton } from "@/components/ui/button";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";

interface SidePanelProps {
  title: string;
  /** The page that shows the same by itself. */
  path: string;
  onClose: () => void;
  children: ReactNode;
}

/** A source beside a conversation; on a small screen above it. */
export function SidePanel({ title, path, onClose, children }: SidePanelProps) {
  const { t } = useI18n();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [path]);
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
          to={path}
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
      <div className="min-h-0 flex-1 overflow-y-auto p-3">{children}</div>
    </aside>
  );
}
