import { useQuery } from "@tanstack/react-query";
import { Check, Trash2 } from "lucide-react";
import type { FormEvent } from "react";
import { api, body } from "@/api/client";
import type { Memory } from "@/api/types";
import { Page } from "@/components/page";
import { Button, IconButton } from "@/components/ui/button";
import { Badge, Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { MEMORIES_KEY, acceptMemory, removeMemory, useMemoryChange } from "./memory-changes";

function useMemories() {
  return useQuery({
    queryKey: [...MEMORIES_KEY, "all"],
    queryFn: () => body(api.GET("/v1/memories", { params: { query: { limit: 200 } } })),
  });
}

function MemoryRow({ memory }: { memory: Memory }) {
  const { t, moment } = useI18n();
  const remove = useMemoryChange(() => removeMemory(memory.id));
  const keep = useMemoryChange(() => acceptMemory(memory.id));
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
  const { fields: content, set: setContent, discard } = useFormDraft("memory", "");
  const create = useMemoryChange(() => api.POST("/v1/memories", { body: { content: content.trim() } }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate(undefined, {
      onSuccess: () => {
        discard();
        setContent("");
      },
    });
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
  const memories = list.data?.data ?? [];
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
