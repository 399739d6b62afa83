import type { History, TagLimits } from "@/api/plant";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { QualityMark, useFormatValue } from "./value";
import { TREND_HEIGHT, TREND_WIDTH, type Trend, limitLines, trend } from "./reading";
import type { Period } from "./queries";

/** Limits within the chart, dashed. They are grey: what is beyond them is told by the value itself. */
function Limits({ limits, drawn }: { limits: TagLimits | undefined; drawn: Trend }) {
  return limitLines(limits, drawn).map(({ name, y }) => (
    <line
      key={name}
      x1={0}
      x2={TREND_WIDTH}
      y1={y}
      y2={y}
      className="stroke-quiet"
      strokeDasharray="4 3"
      vectorEffect="non-scaling-stroke"
    />
  ));
}

/** Values of a period as a line, and the same numbers in a table that can be opened. */
export function TrendChart({ tag, history }: { tag: string; history: History & Period }) {
  const { t, number, moment } = useI18n();
  const formatValue = useFormatValue();
  const { points, from, to, unit, good_share, limits } = history;
  const drawn = trend(points, from, to);
  if (!drawn) return <p className="text-quiet">{t("trend.none")}</p>;
  const range = { lowest: formatValue(drawn.lowest, unit), highest: formatValue(drawn.highest, unit) };
  const title = t("trend.of", { tag: visibleText(tag), ...range });
  const share = number(good_share, { style: "percent", maximumFractionDigits: 1 });
  return (
    <figure className="flex flex-col gap-1">
      <figcaption className="text-sm text-quiet">{title}</figcaption>
      <svg
        role="img"
        aria-label={title}
        className="h-28 w-full border-y border-line"
        preserveAspectRatio="none"
        viewBox={`0 -1 ${TREND_WIDTH} ${TREND_HEIGHT + 2}`}
      >
        <Limits limits={limits} drawn={drawn} />
        {drawn.lines.map((line) => (
          <polyline
            key={line.points}
            points={line.points}
            fill="none"
            className="stroke-ink"
            strokeWidth={2}
            strokeLinecap="round"
            vectorEffect="non-scaling-stroke"
          />
        ))}
      </svg>
      <p className="flex justify-between gap-2 text-sm text-quiet" aria-hidden>
        <span>{moment(new Date(from).toISOString())}</span>
        <span>{moment(new Date(to).toISOString())}</span>
      </p>
      <p className="text-sm text-quiet">{t("trend.goodShare", { share })}</p>
      <details>
        <summary className="flex min-h-target cursor-pointer items-center">{t("asTable")}</summary>
        <table className="w-full text-left">
          <thead>
            <tr>
              <th scope="col" className="pr-4 font-medium">{t("trend.at")}</th>
              <th scope="col" className="pr-4 font-medium">{t("trend.value")}</th>
              <th scope="col" className="font-medium">{t("trend.quality")}</th>
            </tr>
          </thead>
          <tbody>
            {points.map(({ at, value, quality }) => (
              <tr key={at}>
                <th scope="row" className="pr-4 font-normal">{moment(at)}</th>
                <td className="pr-4 tabular-nums">{formatValue(value, unit)}</td>
                <td>
                  <QualityMark quality={quality} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
