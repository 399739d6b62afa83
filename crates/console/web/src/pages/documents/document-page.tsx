import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Download, FileUp, Printer, Trash2 } from "lucide-react";
import { type FormEvent, useMemo, useState } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router";
import { isAdmin, useAccount } from "@/account";
import { api, send } from "@/api/client";
import type { Classification, Document } from "@/api/types";
import { Page } from "@/components/page";
import { Button, buttonVariants } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn, download } from "@/lib/utils";
import { inSpace } from "@/space/space";
import { useSpaceOf } from "@/space/use-space";
import { DocumentView, useDocument } from "@/viewer/document-view";
import { parseLocation } from "@/viewer/location";
import { ReprocessButton } from "./documents-page";
import { DocumentStatus } from "./status";
import { RevisionForm } from "./revision-form";
import { CLASSES } from "./uploader";
import { WhoCanSee } from "./who-can-see";

function Facts({ document }: { document: Document }) {
  const { t, moment, number } = useI18n();
  const { team, details } = useSpaceOf(document.team_id);
  const facts: [string, string | null | undefined][] = [
    [t("space"), team && visibleText(details?.name ?? t("space.unknown"))],
    [t("fileName"), document.filename],
    [t("size"), `${number(document.file_size_bytes / 1024, { maximumFractionDigits: 0 })} KiB`],
    [t("pages"), document.page_count?.toString()],
    [t("classification"), t(`class.${document.classification}` as MessageKey)],
    [t("tags"), document.tags.join(", ")],
    [t("documentType"), document.doc_type],
    [t("revision"), document.revision],
    [t("revision.effectiveFrom"), document.effective_from],
    [t("changed"), moment(document.updated_at)],
  ];
  return (
    <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-quiet">{name}</dt>
            <dd className="[overflow-wrap:anywhere]">{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function EditForm({ document, onClose }: { document: Document; onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [title, setTitle] = useState(document.title ?? "");
  const [tags, setTags] = useState(document.tags.join(", "));
  const [classification, setClassification] = useState(document.classification as Classification);
  const save = useMutation({
    mutationFn: () => {
      const list = tags.split(",").map((tag) => tag.trim()).filter(Boolean);
      const body = { title: title.trim() || null, tags: list, classification };
      return api.PATCH("/v1/documents/{id}", { params: { path: { id: document.id } }, body });
    },
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["document", document.id] });
      void queries.invalidateQueries({ queryKey: ["documents"] });
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className="flex flex-col gap-3" onSubmit={submit}>
      <Field label={t("title")}>
        {(ids) => <Input {...ids} value={title} maxLength={512} onChange={(event) => setTitle(event.target.value)} />}
      </Field>
      <Field label={t("tags")} hint={t("tagsHint")}>
        {(ids) => <Input {...ids} value={tags} onChange={(event) => setTags(event.target.value)} />}
      </Field>
      <Field label={t("classification")} hint={t("classificationHint")}>
        {(ids) => (
          <Select {...ids} value={classification} onChange={(event) => setClassification(event.target.value as Classification)}>
            {CLASSES.map((name) => (
              <option key={name} value={name}>
                {t(`class.${name}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {save.isError && <Notice>{save.error.message}</Notice>}
      <Button type="submit" variant="primary" disabled={save.isPending}>
        {t("save")}
      </Button>
    </form>
  );
}

function Actions({ document }: { document: Document }) {
  const { t } = useI18n();
  const account = useAccount();
  const { team, mayContribute } = useSpaceOf(document.team_id);
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [dialog, setDialog] = useState<"change" | "delete" | "revision" | "who">();
  const close = () => setDialog(undefined);
  const save = useMutation({
    mutationFn: async () => {
      const response = await send(`/v1/documents/${document.id}/content`);
      download(await response.blob(), document.filename);
    },
  });
  const remove = useMutation({
    mutationFn: () => api.DELETE("/v1/documents/{id}", { params: { path: { id: document.id } } }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["documents"] });
      void navigate(inSpace("/documents", team));
    },
  });
  const error = save.error ?? remove.error;
  return (
    <div className="no-print flex flex-wrap items-center gap-2">
      <Button onClick={() => save.mutate()} disabled={save.isPending}>
        <Download aria-hidden /> {t("download")}
      </Button>
      <Link to={`/documents/${document.id}/steps`} className={cn(buttonVariants())}>
        <Printer aria-hidden /> {t("printSteps")}
      </Link>
      {account.role !== "viewer" && mayContribute && (
        <>
          <ReprocessButton document={document} />
          {!document.superseded_by && (
            <Button onClick={() => setDialog("revision")}>
              <FileUp aria-hidden /> {t("revision.new")}
            </Button>
          )}
          <Button onClick={() => setDialog("change")}>{t("changeProperties")}</Button>
          <Button onClick={() => setDialog("delete")}>
            <Trash2 aria-hidden /> {t("delete")}
          </Button>
        </>
      )}
      {isAdmin(account) && !team && <Button onClick={() => setDialog("who")}>{t("whoCanSee")}</Button>}
      {error && <Notice>{error.message}</Notice>}
      <Dialog open={dialog === "change"} onClose={close} title={t("changeProperties")}>
        <EditForm document={document} onClose={close} />
      </Dialog>
      <Dialog open={dialog === "revision"} onClose={close} title={t("revision.new")} description={t("revision.newHint")}>
        <RevisionForm document={document} onClose={close} />
      </Dialog>
      <Dialog open={dialog === "who"} onClose={close} title={t("whoCanSee")} description={t("whoCanSeeHint")}>
        <WhoCanSee document={document.id} />
      </Dialog>
      <Dialog open={dialog === "delete"} onClose={close} title={t("deleteDocument")} description={t("deleteDocumentHint")}>
        <div className="flex justify-end gap-2">
          <Button onClick={close}>{t("cancel")}</Button>
          <Button variant="danger" disabled={remove.isPending} onClick={() => remove.mutate()}>
            {t("delete")}
          </Button>
        </div>
      </Dialog>
    </div>
  );
}

export function DocumentPage() {
  const { t } = useI18n();
  const { id = "" } = useParams();
  const { search, hash } = useLocation();
  const document = useDocument(id);
  const place = useMemo(() => parseLocation(id, search, hash), [id, search, hash]);
  if (document.isPending) return <Spinner label={t("loading")} />;
  if (document.isError) {
    return (
      <Page title={t("documents")}>
        <LoadError error={document.error} retry={() => void document.refetch()} />
        <Link to="/documents" className={cn(buttonVariants(), "self-start")}>
          {t("allDocuments")}
        </Link>
      </Page>
    );
  }
  const { data } = document;
  return (
    <Page title={data.title || data.filename}>
      <Actions document={data} />
      <div className="grid gap-4 xl:grid-cols-[minmax(0,1fr)_20rem]">
        <div className="min-w-0">
          <DocumentView location={place} />
        </div>
        <section aria-label={t("properties")} className="no-print flex flex-col gap-3 self-start rounded-lg border border-line bg-raised p-4">
          <span className="self-start">
            <DocumentStatus document={data} withReason />
          </span>
          {data.superseded_by && (
            <Notice tone="warning">
              <Link className="inline-flex min-h-target items-center underline" to={`/documents/${data.superseded_by}`}>
                {t("newerRevision")}
              </Link>
            </Notice>
          )}
          {data.supersedes && (
            <Link className="inline-flex min-h-target items-center underline" to={`/documents/${data.supersedes}`}>
              {t("olderRevision")}
            </Link>
          )}
          <Facts document={data} />
        </section>
      </div>
    </Page>
  );
}
