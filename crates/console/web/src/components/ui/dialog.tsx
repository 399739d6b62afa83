import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { X } from "lucide-react";
import { useIsLocked } from "@/auth/session";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { IconButton } from "./button";

interface DialogProps {
  open: boolean;
  /** Called when the user closes it; without it the dialog stays until its work is done. */
  onClose?: () => void;
  title: string;
  description?: string;
  /** Every other dialog is hidden while the console is locked: it may show what the next user must not see. */
  staysWhenLocked?: boolean;
  children: ReactNode;
}

/** A modal dialog, named by its title. */
export function Dialog({ open, onClose, title, description, staysWhenLocked = false, children }: DialogProps) {
  const { t } = useI18n();
  const isLocked = useIsLocked();
  const isHidden = isLocked && !staysWhenLocked;
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose?.()}>
      <Radix.Portal>
        <Radix.Overlay className={cn("fixed inset-0 z-40 bg-black/60", isHidden && "hidden")} />
        <Radix.Content
          aria-describedby={description ? undefined : ""}
          onInteractOutside={(event) => !onClose && event.preventDefault()}
          onEscapeKeyDown={(event) => !onClose && event.preventDefault()}
          className={cn(
            "fixed top-1/2 left-1/2 z-50 max-h-[92dvh] w-[min(34rem,calc(100vw-1.5rem))] -translate-x-1/2 " +
              "-translate-y-1/2 overflow-y-auto rounded-lg border border-line bg-raised p-5 shadow-xl",
            isHidden && "hidden",
          )}
        >
          <div className="flex items-start justify-between gap-3">
            <Radix.Title className="text-xl font-semibold">{title}</Radix.Title>
            {onClose && (
              <Radix.Close asChild>
                <IconButton label={t("close")} className="-mt-2 -mr-2">
                  <X />
                </IconButton>
              </Radix.Close>
            )}
          </div>
          {description && <Radix.Description className="mt-1 text-quiet">{description}</Radix.Description>}
          <div className="mt-4">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
