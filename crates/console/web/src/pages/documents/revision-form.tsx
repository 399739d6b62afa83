// Uploads a file as the next revision of a document: from its day on, searches find it instead.

import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { ApiError } from "@/api/client";
import type { Document } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { ACCEPTED } from "./uploader";
import { upload } from "./upload";

/** The options of an upload that replaces a document: what the document has, unless it is given anew. */
export function replacing(document: Document, revision: string, effectiveFrom: string) {
  return {
    classification: document.classification,
    tags: JSON.stringify(document.tags),
    docType: document.doc_type ?? undefined,
    supersedes: document.id,
    team: document.team_id ?? undefined,
    revision: revision.trim() || undefined,
    effectiveFrom: effectiveFrom || undefined,
  };
}

export function RevisionForm({ document, onClose }: { document: Document; onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [file, setFile] = useState<File>();
  const [revision, setRevision] = useState("");
  const [effectiveFrom, setEffectiveFrom] = useState("");
  const [progress, setProgress] = useState<number>();
  const [error, setError] = useState<string>();
  const send = async (chosen: File) => {
    setProgress(0);
    setError(undefined);
    try {
      const { status, documentId } = await upload(chosen, replacing(document, revision, effectiveFrom), setProgress);
      void queries.invalidateQueries({ queryKey: ["documents"] });
      void queries.invalidateQueries({ queryKey: ["document", document.id] });
      // The same bytes as a document that is there already are no new revision.
      if (status === "known") setError(t("revision.known"));
      else {
        onClose();
        await navigate(`/documents/${documentId}`);
      }
    } catch (cause) {
      setError(cause instanceof ApiError ? cause.message : t("error.connection"));
    }
    setProgress(undefined);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (file) void send(file);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <Field label={t("fileName")}>
        {(ids) => (
          <Input {...ids} required type="file" className="py-2" accept={ACCEPTED} onChange={(event) => setFile(event.target.files?.[0])} />
        )}
      </Field>
      <Field label={t("revision.label")} hint={document.revision ? t("revision.before", { revision: document.revision }) : undefined}>
        {(ids) => <Input {...ids} maxLength={64} value={revision} onChange={(event) => setRevision(event.target.value)} />}
      </Field>
      <Field label={t("revision.effectiveFrom")} hint={t("revision.effectiveFromHint")}>
        {(ids) => <Input {...ids} type="date" value={effectiveFrom} onChange={(event) => setEffectiveFrom(event.target.value)} />}
      </Field>
      {progress !== undefined && (
        <progress className="h-3 w-full accent-primary" value={progress} aria-label={t("uploadProgress", { name: file?.name ?? "" })} />
      )}
      {error && <Notice>{error}</Notice>}
      <Button type="submit" variant="primary" disabled={!file || progress !== undefined}>
        {t("revision.send")}
      </Button>
    </form>
  );
}
