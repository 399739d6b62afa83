// Charts in plain SVG. What they show can be read without seeing them: each has its numbers as text.

import { useI18n } from "@/i18n";
import { type Column, axisTop } from "./measures";

interface BarProps {
  label: string;
  value: number;
  highest: number;
  text: string;
  abnormal?: boolean;
}

/** One bar with its number, which is read without the bar too. */
export function Bar({ label, value, highest, text, abnormal }: BarProps) {
  const percent = highest > 0 ? Math.min((value / highest) * 100, 100) : 0;
  return (
    <div className="grid grid-cols-[minmax(6rem,12rem)_1fr_auto] items-center gap-3">
      <span className="truncate" title={label}>
        {label}
      </span>
      <svg className="h-5 w-full" preserveAspectRatio="none" viewBox="0 0 100 10" aria-hidden>
        <rect width="100" height="10" className="fill-ground" />
        <rect width={percent} height="10" className={abnormal ? "fill-warning" : "fill-quiet"} />
      </svg>
      <span className="tabular-nums">{text}</span>
    </div>
  );
}

interface ColumnChartProps {
  name: string;
  columns: readonly Column[];
  format: (value: number) => string;
  /** Whether any value above 0 is abnormal, such as failures. */
  abnormal: boolean;
}

const HEIGHT = 40;
const GAP = 0.2;

/** Values by day: columns, and the same numbers in a table that can be opened. */
export function ColumnChart({ name, columns, format, abnormal }: ColumnChartProps) {
  const { t, language } = useI18n();
  const top = axisTop(Math.max(...columns.map(({ value }) => value), 0));
  const dates = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const title = t("chartOf", { measure: name, highest: format(top) });
  return (
    <figure className="flex flex-col gap-1">
      <figcaption className="text-sm text-quiet">{title}</figcaption>
      <svg
        role="img"
        aria-label={title}
        className="h-48 w-full border-b border-line"
        preserveAspectRatio="none"
        viewBox={`0 0 ${columns.length} ${HEIGHT}`}
      >
        {[0.25, 0.5, 0.75, 1].map((part) => (
          <rect key={part} y={HEIGHT * (1 - part)} width={columns.length} height={0.15} className="fill-line" />
        ))}
        {columns.map(({ day, value }, index) => {
          const height = (value / top) * HEIGHT;
          return (
            <rect
              key={day}
              x={index + GAP / 2}
              y={HEIGHT - height}
              width={1 - GAP}
              height={height}
              className={abnormal ? "fill-warning" : "fill-quiet"}
            />
          );
        })}
      </svg>
      <p className="flex justify-between text-sm text-quiet" aria-hidden>
        <span>{columns[0] && dates.format(Date.parse(columns[0].day))}</span>
        <span>{columns.at(-1) && dates.format(Date.parse(columns.at(-1)?.day ?? ""))}</span>
      </p>
      <details>
        <summary className="flex min-h-target cursor-pointer items-center">{t("asTable")}</summary>
        <table className="text-left">
          <thead>
            <tr>
              <th scope="col" className="pr-6 font-medium">{t("group.day")}</th>
              <th scope="col" className="font-medium">{name}</th>
            </tr>
          </thead>
          <tbody>
            {columns.map(({ day, value }) => (
              <tr key={day}>
                <th scope="row" className="pr-6 font-normal">{dates.format(Date.parse(day))}</th>
                <td className="text-right tabular-nums">{format(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
