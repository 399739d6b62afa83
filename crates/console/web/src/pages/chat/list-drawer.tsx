import { Dialog } from "radix-ui";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { useIsLocked } from "@/auth/session";
import { IconButton } from "@/components/ui/button";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";

/** The list of conversations on a small screen. */
export function ListDrawer({ onClose, children }: { onClose: () => void; children: ReactNode }) {
  const { t } = useI18n();
  const isHidden = useIsLocked();
  return (
    <Dialog.Root open onOpenChange={(next) => !next && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className={cn("fixed inset-0 z-40 bg-black/60", isHidden && "hidden")} />
        <Dialog.Content
          aria-describedby=""
          className={cn(
            "fixed inset-y-0 left-0 z-50 flex w-[min(22rem,90vw)] flex-col border-r border-line bg-surface",
            isHidden && "hidden",
          )}
        >
          <div className="flex items-center justify-between border-b border-line pl-4">
            <Dialog.Title className="text-lg font-semibold">{t("conversations")}</Dialog.Title>
            <IconButton label={t("close")} onClick={onClose}>
              <X />
            </IconButton>
          </div>
          <div className="min-h-0 flex-1">{children}</div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
