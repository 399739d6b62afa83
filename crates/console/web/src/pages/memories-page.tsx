import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Check, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, body, send } from "@/api/client";
import type { Memory } from "@/api/types";
import { Page } from "@/components/page";
import { Button, IconButton } from "@/components/ui/button";
import { Badge, Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";

/** Servers that suggest memories tell their status. */
type MemoryWithStatus = Memory & { status?: "active" | "suggested" };

function useMemories() {
  return useQuery({
    queryKey: ["memories"],
    queryFn: () => body(api.GET("/v1/memories", { params: { query: { limit: 200 } } })),
  });
}

function useMemoryChange(change: () => Promise<unknown>) {
  const queries = useQueryClient();
  return useMutation({ mutationFn: change, onSettled: () => void queries.invalidateQueries({ queryKey: ["memories"] }) });
}

function accept(id: string) {
  const headers = { "content-type": "application/json" };
  return send(`/v1/memories/${id}`, { method: "PATCH", headers, body: JSON.stringify({ status: "active" }) });
}

function MemoryRow({ memory }: { memory: MemoryWithStatus }) {
  const { t, moment } = useI18n();
  const remove = useMemoryChange(() => api.DELETE("/v1/memories/{id}", { params: { path: { id: memory.id } } }));
  const keep = useMemoryChange(() => accept(memory.id));
  const isSuggested = memory.status === "suggested";
  return (
    <li className="flex flex-wrap items-center gap-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <p className="[overflow-wrap:anywhere] whitespace-pre-wrap">{memory.content}</p>
        <p className="text-sm text-quiet">{moment(memory.created_at)}</p>
      </div>
      {memory.tags.map((tag) => (
        <Badge key={tag}>{tag}</Badge>
      ))}
      {isSuggested ? (
        <>
          <Button variant="primary" onClick={() => keep.mutate()} disabled={keep.isPending}>
            <Check aria-hidden /> {t("accept")}
          </Button>
          <Button onClick={() => remove.mutate()} disabled={remove.isPending}>
            {t("decline")}
          </Button>
        </>
      ) : (
        <IconButton label={t("delete")} onClick={() => remove.mutate()} disabled={remove.isPending}>
          <Trash2 />
        </IconButton>
      )}
      {(remove.isError || keep.isError) && <Notice>{t("notSaved")}</Notice>}
    </li>
  );
}

function NewMemory() {
  const { t } = useI18n();
  const [content, setContent] = useState("");
  const create = useMemoryChange(() => api.POST("/v1/memories", { body: { content: content.trim() } }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate(undefined, { onSuccess: () => setContent("") });
  };
  return (
    <form onSubmit={submit} className="flex flex-wrap items-end gap-3">
      <Field label={t("remember")} className="flex-1 basis-60">
        {(ids) => <Input {...ids} value={content} maxLength={4_000} onChange={(event) => setContent(event.target.value)} />}
      </Field>
      <Button type="submit" variant="primary" disabled={!content.trim() || create.isPending}>
        {t("add")}
      </Button>
      {create.isError && <Notice>{create.error.message}</Notice>}
    </form>
  );
}

export function MemoriesPage() {
  const { t } = useI18n();
  const list = useMemories();
  const memories = (list.data?.data ?? []) as MemoryWithStatus[];
  const suggested = memories.filter(({ status }) => status === "suggested");
  const active = memories.filter(({ status }) => status !== "suggested");
  return (
    <Page title={t("memories")}>
      <p className="text-quiet">{t("memoriesHint")}</p>
      <NewMemory />
      {list.isPending && <Spinner label={t("loading")} />}
      {list.isError && <LoadError error={list.error} retry={() => void list.refetch()} />}
      {suggested.length > 0 && (
        <section aria-labelledby="suggested" className="flex flex-col gap-2">
          <h2 id="suggested">{t("suggestedMemories")}</h2>
          <ul className="flex flex-col gap-2">
            {suggested.map((memory) => (
              <MemoryRow key={memory.id} memory={memory} />
            ))}
          </ul>
        </section>
      )}
      {list.isSuccess && memories.length === 0 && <Empty>{t("noMemories")}</Empty>}
      <ul className="flex flex-col gap-2">
        {active.map((memory) => (
          <MemoryRow key={memory.id} memory={memory} />
        ))}
      </ul>
    </Page>
  );
}
