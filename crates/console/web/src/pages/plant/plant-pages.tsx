import { Suspense, lazy } from "react";
import { Navigate, Route, Routes } from "react-router";
import { type Feature, hasFeature } from "@/api/features";
import { Page } from "@/components/page";
import { SubNavigation } from "@/components/sub-navigation";
import { Spinner } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";

const TagsPage = lazy(async () => ({ default: (await import("./tags-page")).TagsPage }));
const TagPage = lazy(async () => ({ default: (await import("./tag-page")).TagPage }));
const WorkOrdersPage = lazy(async () => ({ default: (await import("./work-orders/work-orders-page")).WorkOrdersPage }));

const PARTS: readonly { path: string; name: MessageKey; feature: Feature }[] = [
  { path: "tags", name: "measuredValues", feature: "connectors" },
  { path: "work-orders", name: "workOrders", feature: "workOrders" },
];

/** What is known of the plant itself: its measured values, and its work orders. */
export function PlantPages() {
  const { t } = useI18n();
  const parts = PARTS.filter(({ feature }) => hasFeature(feature));
  return (
    <Page title={t("plant")}>
      <SubNavigation name={t("plantNavigation")} links={parts.map(({ path, name }) => ({ path: `/plant/${path}`, name: t(name) }))} />
      <Suspense fallback={<Spinner label={t("loading")} />}>
        <Routes>
          <Route index element={<Navigate to={parts[0]?.path ?? "/chat"} replace />} />
          <Route path="tags" element={<TagsPage />} />
          <Route path="tag" element={<TagPage />} />
          <Route path="work-orders" element={<WorkOrdersPage />} />
          <Route path="*" element={<Navigate to="/plant" replace />} />
        </Routes>
      </Suspense>
    </Page>
  );
}
