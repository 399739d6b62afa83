import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useParams } from "react-router";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { PagedList, usePages } from "@/components/pages";
import { Button, buttonVariants } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Empty, Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { SettingsEditor } from "../settings/settings-editor";
import { Mappings } from "./mappings";

type Tenant = components["schemas"]["Tenant"];
type SettingsChange = components["schemas"]["TenantSettingsChange"];

export const PLANTS_KEY = ["plants"];

const NO_NAMES: ReadonlyMap<string, string> = new Map();

function useChange(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: { name?: string; is_active?: boolean }) =>
      api.PATCH("/v1/admin/tenants/{id}", { params: { path: { id } }, body: change }),
    onSuccess: () => queries.invalidateQueries({ queryKey: PLANTS_KEY }),
  });
}

function RenameForm({ plant }: { plant: Tenant }) {
  const { t } = useI18n();
  const [name, setName] = useState(plant.name);
  const change = useChange(plant.id);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate({ name: name.trim() });
  };
  return (
    <form onSubmit={submit} className="flex flex-wrap items-end gap-3">
      <Field label={t("plantName")} className="flex-1 basis-60">
        {(ids) => <Input {...ids} required maxLength={512} value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <Button type="submit" disabled={change.isPending || !name.trim() || name.trim() === plant.name}>
        {t("rename")}
      </Button>
      {change.isError && <Notice>{change.error.message}</Notice>}
    </form>
  );
}

function Activation({ plant }: { plant: Tenant }) {
  const { t } = useI18n();
  const [isAsking, setAsking] = useState(false);
  const change = useChange(plant.id);
  const close = () => setAsking(false);
  return (
    <>
      {plant.is_active ? (
        <Button onClick={() => setAsking(true)}>{t("deactivate")}</Button>
      ) : (
        <Button disabled={change.isPending} onClick={() => change.mutate({ is_active: true })}>
          {t("activate")}
        </Button>
      )}
      {change.isError && <Notice>{change.error.message}</Notice>}
      <Dialog open={isAsking} onClose={close} title={t("deactivatePlant")} description={t("deactivatePlantHint")}>
        <div className="flex justify-end gap-2">
          <Button onClick={close}>{t("cancel")}</Button>
          <Button variant="danger" onClick={() => change.mutate({ is_active: false }, { onSettled: close })}>
            {t("deactivate")}
          </Button>
        </div>
      </Dialog>
    </>
  );
}

function PlantSettings({ id }: { id: string }) {
  const { t } = useI18n();
  const path = { id };
  return (
    <section aria-labelledby="plant-settings" className="flex flex-col gap-2">
      <h2 id="plant-settings">{t("settingsOfPlant")}</h2>
      <SettingsEditor
        source={{
          key: ["plant-settings", id],
          load: () => body(api.GET("/v1/admin/tenants/{id}/settings", { params: { path } })),
          save: (patch, etag) => {
            const params = { path, header: { "If-Match": etag } };
            return api.PATCH("/v1/admin/tenants/{id}/settings", { params, body: patch as SettingsChange });
          },
          versions: {
            key: ["plant-settings", id, "versions"],
            load: (cursor) => {
              const params = { path, query: { cursor, limit: 20 } };
              return body(api.GET("/v1/admin/tenants/{id}/settings/versions", { params }));
            },
            // Who is a user of the plant is not told to the platform's administrators.
            names: NO_NAMES,
          },
          hasLimits: true,
        }}
      />
    </section>
  );
}

/** One plant. The API has no request for a single one, so it is looked for in the list. */
export function PlantPage() {
  const { t } = useI18n();
  const { id = "" } = useParams();
  const list = usePages<Tenant>({
    key: [...PLANTS_KEY, "search"],
    load: (cursor) => body(api.GET("/v1/admin/tenants", { params: { query: { cursor, limit: 200 } } })),
  });
  const plant = list.items.find((one) => one.id === id);
  return (
    <div className="flex flex-col gap-5">
      <Link to="/admin/plants" className={cn(buttonVariants(), "self-start")}>
        {t("allPlants")}
      </Link>
      {plant ? (
        <>
          <div className="flex flex-wrap items-center gap-3">
            <h2 className="[overflow-wrap:anywhere]">{plant.name}</h2>
            <span className="text-quiet">{plant.slug}</span>
            {!plant.is_active && <Badge tone="warning">{t("inactive")}</Badge>}
            <Activation plant={plant} />
          </div>
          <RenameForm key={plant.name} plant={plant} />
          <Mappings tenant={plant.id} />
          <PlantSettings id={plant.id} />
        </>
      ) : (
        <PagedList list={list} empty={t("nothingFound")}>
          {() => <Empty>{t("nothingFound")}</Empty>}
        </PagedList>
      )}
    </div>
  );
}
