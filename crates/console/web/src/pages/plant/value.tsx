// A value of a plant system, in the words and the numbers of the user's language.

import type { Quality, TagValue } from "@/api/plant";
import { Badge } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { formatDuration } from "@/lib/duration";
import { visibleText } from "@/lib/invisible";
import { QUALITY_TONES } from "./reading";

/** More digits than instruments have. */
const DIGITS = 6;

/** Formats a value with its unit; a dash if the source gave none. */
export function useFormatValue(): (value: TagValue | null | undefined, unit?: string | null) => string {
  const { t, number } = useI18n();
  return (value, unit) => {
    if (value === null || value === undefined) return t("reading.noValue");
    if (typeof value === "boolean") return t(value ? "reading.true" : "reading.false");
    const text = typeof value === "number" ? number(value, { maximumSignificantDigits: DIGITS }) : visibleText(value);
    return unit ? `${text} ${visibleText(unit)}` : text;
  };
}

/** How old something is, in words. */
export function useFormatAge(): (seconds: number) => string {
  const { t, language } = useI18n();
  return (seconds) => t("reading.age", { time: formatDuration(language, seconds) });
}

/** The quality in words, and with a colour only if the value cannot be relied on. */
export function QualityMark({ quality }: { quality: Quality }) {
  const { t } = useI18n();
  const tone = QUALITY_TONES[quality];
  const text = t(`quality.${quality}`);
  return tone === "plain" ? <span className="text-sm text-quiet">{text}</span> : <Badge tone={tone}>{text}</Badge>;
}
