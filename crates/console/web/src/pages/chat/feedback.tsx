import { useState } from "react";
import { api } from "@/api/client";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Field } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { tabState } from "@/lib/storage";

type Rating = "up" | "down";

interface Feedback {
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

export function FeedbackDialog({ feedback }: { feedback: Feedback }) {
  const { t } = useI18n();
  const [text, setText] = useState("");
  return (
    <Dialog open={feedback.isAsking} onClose={feedback.close} title={t("whatIsWrong")} description={t("whatIsWrongHint")}>
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          feedback.comment(text);
        }}
      >
        <Field label={t("comment")}>
          {(ids) => (
            <textarea
              {...ids}
              value={text}
              maxLength={2_000}
              onChange={(event) => setText(event.target.value)}
              className="min-h-28 rounded-md border border-line bg-raised p-3"
            />
          )}
        </Field>
        <Button type="submit" variant="primary">
          {t("submit")}
        </Button>
      </form>
    </Dialog>
  );
}
