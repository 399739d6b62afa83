// Who may read a document: the platform is asked about each user what it would decide, page by page.

import { useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import type { User } from "@/api/types";
import { PagedList, usePages } from "@/components/pages";
import { Badge } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { displayName } from "@/lib/display-name";
import { RuleSteps } from "@/pages/admin/rule-steps";

type Simulated = components["schemas"]["Simulated"];

/** Each user is a request that counts towards the administrator's limit. */
const PAGE_SIZE = 20;
/** Requests at the same time. */
const CONCURRENT = 4;

export interface Reader {
  user: User;
  decision: Simulated;
}

/** Runs `work` for each item, a few at a time, and keeps their order. */
export async function mapConcurrently<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.map((item, index) => ({ item, index }));
  const run = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) results[next.index] = await work(next.item);
  };
  await Promise.all(Array.from({ length: CONCURRENT }, run));
  return results;
}

async function readers(document: string, cursor: string | undefined) {
  const users = await body(api.GET("/v1/admin/users", { params: { query: { limit: PAGE_SIZE, cursor } } }));
  const active = users.data.filter(({ is_active }) => is_active);
  const data = await mapConcurrently(active, async (user): Promise<Reader> => {
    const simulation = { user_id: user.id, resource: "documents", operation: "read", resource_id: document } as const;
    return { user, decision: await body(api.POST("/v1/admin/decisions/simulate", { body: simulation })) };
  });
  return { data, next_cursor: users.next_cursor };
}

/** Those whose name or address has the words. */
export function named(all: readonly Reader[], words: string): Reader[] {
  const wanted = words.trim().toLowerCase();
  return all.filter(({ user }) => `${displayName(user)} ${user.email}`.toLowerCase().includes(wanted));
}

function ReaderRow({ reader: { user, decision } }: { reader: Reader }) {
  const { t } = useI18n();
  return (
    <li className="rounded-md border border-line">
      <details>
        <summary className="flex min-h-target cursor-pointer flex-wrap items-center gap-2 px-3 py-1">
          <span className="min-w-0 flex-1 basis-40 truncate">{displayName(user)}</span>
          <Badge>{t(`role.${user.role}`)}</Badge>
          <Badge>{decision.allowed ? t("mayRead") : t("mayNotRead")}</Badge>
          {!decision.allowed && decision.rule && (
            <span className="basis-full text-sm text-quiet">{t(`rule.${decision.rule}`)}</span>
          )}
        </summary>
        <div className="border-t border-line p-3">
          <RuleSteps steps={decision.steps} standing={decision.standing ?? undefined} />
        </div>
      </details>
    </li>
  );
}

export function WhoCanSee({ document }: { document: string }) {
  const { t } = useI18n();
  const [words, setWords] = useState("");
  const list = usePages<Reader>({ key: ["readers", document], load: (cursor) => readers(document, cursor) });
  const shown = named(list.items, words);
  const allowed = list.items.filter(({ decision }) => decision.allowed).length;
  return (
    <div className="flex flex-col gap-3">
      <Field label={t("findPerson")}>
        {(ids) => <Input {...ids} type="search" value={words} onChange={(event) => setWords(event.target.value)} />}
      </Field>
      {list.items.length > 0 && (
        <p role="status" className="text-sm text-quiet">
          {t("mayReadCount", { allowed, count: list.items.length })}
        </p>
      )}
      <PagedList list={list} empty={t("noUsers")}>
        {() =>
          shown.length === 0 ? (
            <p className="text-quiet">{t("nothingFound")}</p>
          ) : (
            <ul className="flex flex-col gap-2">
              {shown.map((reader) => (
                <ReaderRow key={reader.user.id} reader={reader} />
              ))}
            </ul>
          )
        }
      </PagedList>
    </div>
  );
}
