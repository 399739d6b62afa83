import { useInfiniteQuery } from "@tanstack/react-query";
import { ThumbsDown, ThumbsUp } from "lucide-react";
import { useState } from "react";
import { api, body } from "@/api/client";
import { Button } from "@/components/ui/button";
import { Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { Field, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";

type Rating = "up" | "down";

export function FeedbackPage() {
  const { t } = useI18n();
  const [rating, setRating] = useState<Rating | "">("");
  const list = useInfiniteQuery({
    queryKey: ["feedback", rating],
    queryFn: ({ pageParam }) => {
      const query = { rating: rating || undefined, cursor: pageParam, limit: 50 };
      return body(api.GET("/v1/admin/feedback", { params: { query } }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const items = list.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section aria-label={t("feedback")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("feedbackHint")}</p>
      <Field label={t("rating")} className="max-w-xs">
        {(ids) => (
          <Select {...ids} value={rating} onChange={(event) => setRating(event.target.value as Rating | "")}>
            <option value="">{t("all")}</option>
            <option value="up">{t("good")}</option>
            <option value="down">{t("bad")}</option>
          </Select>
        )}
      </Field>
      {list.isPending && <Spinner label={t("loading")} />}
      {list.isError && <LoadError error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && items.length === 0 && <Empty>{t("noFeedback")}</Empty>}
      <ul className="flex flex-col gap-2">
        {items.map((item) => (
          <li key={item.message_id} className="flex gap-3 rounded-lg border border-line bg-raised p-3">
            {item.rating === "up" ? <ThumbsUp className="size-5" aria-hidden /> : <ThumbsDown className="size-5" aria-hidden />}
            <div className="min-w-0">
              <p>
                <span className="sr-only">{item.rating === "up" ? t("good") : t("bad")}: </span>
                {item.comment ?? <span className="text-quiet">{t("noComment")}</span>}
              </p>
              <p className="text-sm text-quiet [overflow-wrap:anywhere]">{item.message_id}</p>
            </div>
          </li>
        ))}
      </ul>
      {list.hasNextPage && <Button onClick={() => void list.fetchNextPage()}>{t("more")}</Button>}
    </section>
  );
}
