import { useState } from "react";
import { api } from "@/api/client";
import { Button } from "@/components/ui/button";
import { Field, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { tabState } from "@/lib/storage";
import { useFormDraft } from "@/lib/use-form-draft";

type Rating = "up" | "down";

export interface Feedback {
  rating: Rating | undefined;
  /** Whether a reason for a bad rating is asked for. */
  isAsking: boolean;
  rate: (rating: Rating) => void;
  comment: (text: string) => void;
  close: () => void;
}

/** The user's rating of an answer. The API tells ratings to admins only, so the tab remembers its own. */
export function useFeedback(message: string): Feedback {
  const params = { path: { id: message } };
  const [rating, setRating] = useState(() => (tabState.get(`rating.${message}`) as Rating | null) ?? undefined);
  const [isAsking, setAsking] = useState(false);
  const remember = (next: Rating | undefined) => {
    setRating(next);
    tabState.set(`rating.${message}`, next ?? null);
  };
  const put = (next: Rating, comment?: string) =>
    api.PUT("/v1/messages/{id}/feedback", { params, body: { rating: next, comment: comment || null } });
  return {
    rating,
    isAsking,
    rate(next) {
      const change = next === rating ? undefined : next;
      const request = change ? put(change) : api.DELETE("/v1/messages/{id}/feedback", { params });
      remember(change);
      setAsking(change === "down");
      request.catch(() => {
        remember(rating);
        setAsking(false);
      });
    },
    comment(text) {
      setAsking(false);
      if (text.trim()) put("down", text.trim()).catch(() => undefined);
    },
    close: () => setAsking(false),
  };
}

/** Asks for the reason of a bad rating, below the answer so that nothing else has to wait for it. */
export function FeedbackForm({ feedback, message }: { feedback: Feedback; message: string }) {
  const { t } = useI18n();
  const { fields: text, set: setText, discard } = useFormDraft(`feedback.${message}`, "");
  if (!feedback.isAsking) return null;
  return (
    <form
      aria-label={t("whatIsWrong")}
      className="no-print flex flex-col gap-3 rounded-md border border-line bg-surface p-3"
      onSubmit={(event) => {
        event.preventDefault();
        discard();
        feedback.comment(text);
      }}
    >
      <Field label={t("whatIsWrong")} hint={t("whatIsWrongHint")}>
        {(ids) => (
          <TextArea {...ids} value={text} maxLength={2_000} onChange={(event) => setText(event.target.value)} />
        )}
      </Field>
      <div className="flex gap-2">
        <Button type="submit" variant="primary" disabled={!text.trim()}>
          {t("submit")}
        </Button>
        <Button onClick={feedback.close}>{t("close")}</Button>
      </div>
    </form>
  );
}
