import { type ReactNode, useEffect } from "react";
import { useI18n } from "@/i18n";

/** A page below the navigation: a heading, and content that scrolls. */
export function Page({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  useTitle(title);
  return (
    <main className="h-full overflow-y-auto print-flow">
      <div className="mx-auto flex max-w-6xl flex-col gap-4 p-4 md:p-6">
        <div className="flex flex-wrap items-center justify-between gap-3">
          <h1>{title}</h1>
          {actions}
        </div>
        {children}
      </div>
    </main>
  );
}

/** Names the browser's tab. */
export function useTitle(title: string) {
  const { t } = useI18n();
  useEffect(() => {
    document.title = `${title} · ${t("product")}`;
  }, [title, t]);
}
