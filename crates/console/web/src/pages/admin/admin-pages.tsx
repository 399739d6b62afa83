import { type ComponentType, Suspense, lazy } from "react";
import { NavLink, Navigate, Route, Routes } from "react-router";
import { isAdmin, isAuditor, useAccount } from "@/account";
import { type Feature, hasFeature } from "@/api/features";
import type { Account } from "@/api/types";
import { Page } from "@/components/page";
import { Notice, Spinner } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";
import { cn } from "@/lib/utils";

interface AdminPage {
  path: string;
  name: MessageKey;
  component: ComponentType;
  feature?: Feature;
  isFor: (account: Account) => boolean;
}

const PAGES: readonly AdminPage[] = [
  {
    path: "users",
    name: "users",
    component: lazy(async () => ({ default: (await import("./users-page")).UsersPage })),
    isFor: isAdmin,
  },
  {
    path: "settings",
    name: "settings",
    component: lazy(async () => ({ default: (await import("./settings-page")).SettingsPage })),
    isFor: isAdmin,
  },
  {
    path: "audit",
    name: "audit",
    component: lazy(async () => ({ default: (await import("./audit-page")).AuditPage })),
    isFor: isAuditor,
  },
  {
    path: "usage",
    name: "usage",
    component: lazy(async () => ({ default: (await import("./usage-page")).UsagePage })),
    isFor: isAuditor,
  },
  {
    path: "models",
    name: "models",
    component: lazy(async () => ({ default: (await import("./models-page")).ModelsPage })),
    feature: "models",
    isFor: isAdmin,
  },
  {
    path: "feedback",
    name: "feedback",
    component: lazy(async () => ({ default: (await import("./feedback-page")).FeedbackPage })),
    feature: "feedback",
    isFor: isAdmin,
  },
];

export function AdminPages() {
  const { t } = useI18n();
  const account = useAccount();
  const pages = PAGES.filter(({ feature, isFor }) => isFor(account) && (!feature || hasFeature(feature)));
  const first = pages[0];
  if (!first) {
    return (
      <Page title={t("admin")}>
        <Notice tone="warning">{t("notForYou")}</Notice>
      </Page>
    );
  }
  return (
    <Page title={t("admin")}>
      <nav aria-label={t("adminNavigation")} className="no-print -mt-2 flex gap-1 overflow-x-auto border-b border-line">
        {pages.map(({ path, name }) => (
          <NavLink
            key={path}
            to={`/admin/${path}`}
            className={({ isActive }) =>
              cn(
                "flex min-h-target min-w-target shrink-0 items-center justify-center border-b-3 px-3",
                isActive ? "border-ink font-semibold" : "border-transparent text-quiet",
              )
            }
          >
            {t(name)}
          </NavLink>
        ))}
      </nav>
      <Suspense fallback={<Spinner label={t("loading")} />}>
        <Routes>
          <Route index element={<Navigate to={first.path} replace />} />
          {pages.map(({ path, component: Component }) => (
            <Route key={path} path={path} element={<Component />} />
          ))}
          <Route path="*" element={<Navigate to="/admin" replace />} />
        </Routes>
      </Suspense>
    </Page>
  );
}
