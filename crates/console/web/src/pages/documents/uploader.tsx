import { useQueryClient } from "@tanstack/react-query";
import { Upload as UploadPicture } from "lucide-react";
import { type DragEvent, useRef, useState } from "react";
import { Link } from "react-router";
import { useAccount } from "@/account";
import { ApiError } from "@/api/client";
import type { Classification } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Badge } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { type Upload, type UploadOptions, upload } from "./upload";

export const CLASSES: readonly Classification[] = ["public", "internal", "confidential", "restricted"];
export const ACCEPTED =
  ".pdf,.docx,.docm,.xlsx,.xlsm,.ods,.pptx,.pptm,.csv,.tsv,.html,.htm,.eml,.md,.markdown,.txt";
/** Files that are sent at the same time. */
const CONCURRENT = 2;

function useUploads({ classification, tags, team }: UploadOptions) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [uploads, setUploads] = useState<Upload[]>([]);
  const sendAll = async (files: File[]) => {
    const first = uploads.length;
    const change = (index: number, next: Partial<Upload>) =>
      setUploads((all) => all.map((one, at) => (at === first + index ? { ...one, ...next } : one)));
    setUploads((all) => [...all, ...files.map(({ name }) => ({ name, progress: 0, status: "sending" as const }))]);
    const waiting = files.map((file, index) => ({ file, index }));
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { file, index } = next;
        try {
          change(index, await upload(file, { classification, tags, team }, (progress) => change(index, { progress })));
        } catch (error) {
          const detail = error instanceof ApiError ? error.message : t("error.connection");
          change(index, { status: "failed", error: detail });
        }
        void queries.invalidateQueries({ queryKey: ["documents"] });
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, work));
  };
  return { uploads, sendAll, clear: () => setUploads([]) };
}

function UploadState({ upload: { name, progress, status, documentId, error } }: { upload: Upload }) {
  const { t } = useI18n();
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <span className="min-w-0 flex-1 basis-40 truncate">
        {documentId ? (
          <Link className="inline-flex min-h-target items-center underline" to={`/documents/${documentId}`}>
            {name}
          </Link>
        ) : (
          name
        )}
      </span>
      {status === "sending" && (
        <progress className="h-3 w-40 accent-primary" value={progress} aria-label={t("uploadProgress", { name })} />
      )}
      {status === "done" && <Badge>{t("uploaded")}</Badge>}
      {status === "known" && <Badge>{t("alreadyThere")}</Badge>}
      {status === "failed" && (
        <span role="alert">
          <Badge tone="alarm">{t("status.failed")}</Badge> {error}
        </span>
      )}
    </li>
  );
}

/** Chooses files, or takes those that are dropped, and sends them. */
export function Uploader({ team }: { team: string | undefined }) {
  const { t } = useI18n();
  const { limits, clearance } = useAccount();
  const [classification, setClassification] = useState<Classification>("internal");
  const [tags, setTags] = useState("");
  const [isOver, setOver] = useState(false);
  const { uploads, sendAll, clear } = useUploads({ classification, tags, team });
  const input = useRef<HTMLInputElement>(null);
  const allowed = CLASSES.slice(0, CLASSES.indexOf(clearance) + 1);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void sendAll([...event.dataTransfer.files]);
  };
  return (
    <section
      aria-label={t("addFiles")}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
      className={cn("flex flex-col gap-3 rounded-lg border border-line bg-raised p-4", isOver && "outline-3 outline-focus")}
    >
      <div className="flex flex-wrap items-end gap-3">
        <Field label={t("classification")} className="flex-1 basis-36 sm:max-w-48">
          {(ids) => (
            <Select {...ids} value={classification} onChange={(event) => setClassification(event.target.value as Classification)}>
              {allowed.map((name) => (
                <option key={name} value={name}>
                  {t(`class.${name}`)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label={t("tagsOptional")} className="flex-[2] basis-36">
          {(ids) => <Input {...ids} value={tags} onChange={(event) => setTags(event.target.value)} />}
        </Field>
        <Button variant="primary" onClick={() => input.current?.click()}>
          <UploadPicture aria-hidden /> {t("upload")}
        </Button>
        <input
          ref={input}
          type="file"
          hidden
          multiple
          accept={ACCEPTED}
          aria-label={t("upload")}
          onChange={(event) => {
            void sendAll([...(event.target.files ?? [])]);
            event.target.value = "";
          }}
        />
      </div>
      <p className="text-sm text-quiet">{t("uploadHint", { mib: Math.floor(limits.max_upload_bytes / (1 << 20)) })}</p>
      {uploads.length > 0 && (
        <div className="flex flex-col gap-2">
          <ul className="flex flex-col gap-2">
            {uploads.map((one, index) => (
              <UploadState key={index} upload={one} />
            ))}
          </ul>
          {uploads.every(({ status }) => status !== "sending") && (
            <Button className="self-start" onClick={clear}>
              {t("clearList")}
            </Button>
          )}
        </div>
      )}
    </section>
  );
}
