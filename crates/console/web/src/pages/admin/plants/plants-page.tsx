// The plants of the platform, for its administrators: the tenants of the API.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Factory } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Link, Route, Routes } from "react-router";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { PLANTS_KEY, PlantPage } from "./plant-page";

type Tenant = components["schemas"]["Tenant"];

const EMPTY = { name: "", slug: "" };

function NewPlant({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const { fields, set, discard } = useFormDraft("plant", EMPTY);
  const create = useMutation({
    mutationFn: () => api.POST("/v1/admin/tenants", { body: { name: fields.name.trim(), slug: fields.slug.trim() } }),
    onSuccess: () => {
      discard();
      void queries.invalidateQueries({ queryKey: PLANTS_KEY });
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <form className="flex flex-col gap-3" onSubmit={submit}>
      <Field label={t("plantName")}>
        {(ids) => (
          <Input {...ids} required maxLength={512} value={fields.name} onChange={(event) => set({ ...fields, name: event.target.value })} />
        )}
      </Field>
      <Field label={t("slug")} hint={t("slugHint")}>
        {(ids) => (
          <Input
            {...ids}
            required
            pattern="[a-z0-9][a-z0-9\-]{0,63}"
            maxLength={64}
            autoCapitalize="none"
            value={fields.slug}
            onChange={(event) => set({ ...fields, slug: event.target.value })}
          />
        )}
      </Field>
      {create.isError && <Notice>{create.error.message}</Notice>}
      <Button type="submit" variant="primary" disabled={create.isPending}>
        {t("save")}
      </Button>
    </form>
  );
}

function PlantList() {
  const { t, moment } = useI18n();
  const [isAdding, setAdding] = useState(false);
  const list = usePages<Tenant>({
    key: PLANTS_KEY,
    load: (cursor) => body(api.GET("/v1/admin/tenants", { params: { query: { cursor, limit: 50 } } })),
  });
  return (
    <section aria-label={t("plants")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("plantsHint")}</p>
      <Button className="self-start" onClick={() => setAdding(true)}>
        <Factory aria-hidden /> {t("newPlant")}
      </Button>
      <Dialog open={isAdding} onClose={() => setAdding(false)} title={t("newPlant")}>
        <NewPlant onClose={() => setAdding(false)} />
      </Dialog>
      <PagedList list={list} empty={t("noPlants")}>
        {(plants) => (
          <ul className="flex flex-col gap-2">
            {plants.map(({ id, name, slug, is_active, created_at }) => (
              <li key={id}>
                <Link
                  to={`/admin/plants/${id}`}
                  className="flex min-h-target flex-wrap items-center gap-x-4 gap-y-1 rounded-lg border border-line bg-raised p-3 hover:bg-surface"
                >
                  <span className="min-w-0 flex-1 basis-48 font-semibold [overflow-wrap:anywhere]">{name}</span>
                  <span className="text-quiet">{slug}</span>
                  <span className="text-sm text-quiet">{t("created", { at: moment(created_at) })}</span>
                  {!is_active && <Badge tone="warning">{t("inactive")}</Badge>}
                </Link>
              </li>
            ))}
          </ul>
        )}
      </PagedList>
    </section>
  );
}

export function PlantsPage() {
  return (
    <Routes>
      <Route index element={<PlantList />} />
      <Route path=":id" element={<PlantPage />} />
    </Routes>
  );
}
