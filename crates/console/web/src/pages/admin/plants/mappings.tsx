import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import type { FormEvent } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { PagedList, usePages } from "@/components/pages";
import { Button, IconButton } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";

type Mapping = components["schemas"]["TenantMapping"];

const EMPTY = { issuer: "", claim: "" };

/** The values of the tenant claim whose tokens belong to a plant. */
export function Mappings({ tenant }: { tenant: string }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const key = ["mappings", tenant];
  const list = usePages<Mapping>({
    key,
    load: (cursor) => {
      const params = { path: { id: tenant }, query: { cursor, limit: 50 } };
      return body(api.GET("/v1/admin/tenants/{id}/mappings", { params }));
    },
  });
  const { fields, set, discard } = useFormDraft(`mapping.${tenant}`, EMPTY);
  const reload = () => void queries.invalidateQueries({ queryKey: key });
  const add = useMutation({
    mutationFn: () => {
      const mapping = { issuer: fields.issuer.trim(), claim: fields.claim.trim() };
      return api.POST("/v1/admin/tenants/{id}/mappings", { params: { path: { id: tenant } }, body: mapping });
    },
    onSuccess: () => {
      discard();
      set(EMPTY);
      reload();
    },
  });
  const remove = useMutation({
    mutationFn: (mapping: string) => {
      const params = { path: { id: tenant, mapping } };
      return api.DELETE("/v1/admin/tenants/{id}/mappings/{mapping}", { params });
    },
    onSettled: reload,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <section aria-labelledby="mappings" className="flex flex-col gap-2">
      <h2 id="mappings">{t("claimMappings")}</h2>
      <p className="text-sm text-quiet">{t("claimMappingsHint")}</p>
      <PagedList list={list} empty={t("noMappings")}>
        {(mappings) => (
          <ul className="flex flex-col gap-2">
            {mappings.map(({ id, issuer, claim }) => (
              <li key={id} className="flex items-center gap-3 rounded-lg border border-line bg-raised p-3">
                <span className="min-w-0 flex-1 [overflow-wrap:anywhere]">
                  <span className="font-semibold">{claim}</span>
                  <span className="block text-sm text-quiet">{issuer}</span>
                </span>
                <IconButton label={t("removeMapping", { claim })} disabled={remove.isPending} onClick={() => remove.mutate(id)}>
                  <Trash2 />
                </IconButton>
              </li>
            ))}
          </ul>
        )}
      </PagedList>
      {remove.isError && <Notice>{remove.error.message}</Notice>}
      <form onSubmit={submit} className="flex flex-wrap items-end gap-3">
        <Field label={t("issuer")} className="flex-1 basis-60">
          {(ids) => (
            <Input {...ids} required maxLength={255} value={fields.issuer} onChange={(event) => set({ ...fields, issuer: event.target.value })} />
          )}
        </Field>
        <Field label={t("claimValue")} className="flex-1 basis-48">
          {(ids) => (
            <Input {...ids} required maxLength={255} value={fields.claim} onChange={(event) => set({ ...fields, claim: event.target.value })} />
          )}
        </Field>
        <Button type="submit" disabled={add.isPending}>
          {t("addMapping")}
        </Button>
      </form>
      {add.isError && <Notice>{add.error.message}</Notice>}
    </section>
  );
}
