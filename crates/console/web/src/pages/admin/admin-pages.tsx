import { type ComponentType, Suspense, lazy } from "react";
import { Navigate, Route, Routes } from "react-router";
import { isAdmin, isAuditor, isPlatformAdmin, useAccount } from "@/account";
import { type Feature, hasFeature } from "@/api/features";
import type { Account } from "@/api/types";
import { Page } from "@/components/page";
import { SubNavigation } from "@/components/sub-navigation";
import { Notice, Spinner } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";

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
    path: "tokens",
    name: "accessTokens",
    component: lazy(async () => ({ default: (await import("./tokens-page")).PlantTokensPage })),
    feature: "tokens",
    isFor: isAdmin,
  },
  {
    path: "settings",
    name: "settings",
    component: lazy(async () => ({ default: (await import("./settings/settings-page")).SettingsPage })),
    isFor: isAdmin,
  },
  {
    path: "ingestion",
    name: "ingestion",
    component: lazy(async () => ({ default: (await import("./ingestion/ingestion-page")).IngestionPage })),
    isFor: isAdmin,
  },
  {
    path: "approval-policies",
    name: "approvalPolicies",
    component: lazy(async () => ({ default: (await import("./policies/policies-page")).PoliciesPage })),
    feature: "approvals",
    isFor: isAdmin,
  },
  {
    path: "channels",
    name: "channels",
    component: lazy(async () => ({ default: (await import("./channels/channels-page")).ChannelsPage })),
    feature: "channels",
    isFor: isAdmin,
  },
  {
    path: "plant-mode",
    name: "plantMode",
    component: lazy(async () => ({ default: (await import("./plant-mode-page")).PlantModePage })),
    feature: "plantMode",
    isFor: isAdmin,
  },
  {
    path: "connectors",
    name: "connectors",
    component: lazy(async () => ({ default: (await import("./connectors/connectors-page")).ConnectorsPage })),
    feature: "connectors",
    isFor: isAdmin,
  },
  {
    path: "mcp-servers",
    name: "mcpServers",
    component: lazy(async () => ({ default: (await import("./mcp/mcp-page")).McpPage })),
    feature: "mcpServers",
    isFor: isAdmin,
  },
  {
    path: "agents",
    name: "agents",
    component: lazy(async () => ({ default: (await import("./agents/agents-page")).AgentsPage })),
    feature: "ownAgents",
    isFor: isAdmin,
  },
  {
    path: "maintenance",
    name: "maintenance",
    component: lazy(async () => ({ default: (await import("./maintenance-page")).MaintenancePage })),
    feature: "maintenance",
    isFor: isAdmin,
  },
  {
    path: "audit",
    name: "audit",
    component: lazy(async () => ({ default: (await import("./audit/audit-page")).AuditPage })),
    isFor: isAuditor,
  },
  {
    path: "usage",
    name: "usage",
    component: lazy(async () => ({ default: (await import("./usage/usage-page")).UsagePage })),
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
  {
    path: "plants",
    name: "plants",
    component: lazy(async () => ({ default: (await import("./plants/plants-page")).PlantsPage })),
    feature: "tenants",
    isFor: isPlatformAdmin,
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
      <SubNavigation
        name={t("adminNavigation")}
        links={pages.map(({ path, name }) => ({ path: `/admin/${path}`, name: t(name) }))}
      />
      <Suspense fallback={<Spinner label={t("loading")} />}>
        <Routes>
          <Route index element={<Navigate to={first.path} replace />} />
          {pages.map(({ path, component: Component }) => (
            <Route key={path} path={`${path}/*`} element={<Component />} />
          ))}
          <Route path="*" element={<Navigate to="/admin" replace />} />
        </Routes>
      </Suspense>
    </Page>
  );
}
