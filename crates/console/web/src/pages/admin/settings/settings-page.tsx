import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { useUserNames } from "../user-names";
import { SettingsEditor } from "./settings-editor";

type Change = components["schemas"]["OwnSettingsChange"];

/** The settings of the administrator's own plant. */
export function SettingsPage() {
  const names = useUserNames(true);
  return (
    <SettingsEditor
      source={{
        key: ["settings"],
        load: () => body(api.GET("/v1/admin/settings")),
        save: (patch, etag) => {
          const params = { header: { "If-Match": etag } };
          return api.PATCH("/v1/admin/settings", { params, body: patch as Change });
        },
        versions: {
          key: ["settings", "versions"],
          load: (cursor) => body(api.GET("/v1/admin/settings/versions", { params: { query: { cursor, limit: 20 } } })),
          names,
        },
        hasLimits: false,
      }}
    />
  );
}
