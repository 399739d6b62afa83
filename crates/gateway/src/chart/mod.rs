//! Draws the history of a tag as an SVG image: axes, limits, and gaps where values are missing.
//!
//! Names and units come from plant systems and may contain anything, so every text is escaped. The image has no script,
//! no style sheet and no reference to anything outside of it.

mod axis;
mod svg;

use axis::{Axis, time_ticks, value_axis};
use chrono::{DateTime, Utc};
use domain::plant::{HistoryPoint, Quality, TagHistory, TagLimits, TagValue, one_line, short_number, unit_text};
use std::fmt::Write as _;
use svg::{Line, Svg};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
/// Maximum length of a tag's name in the image, in characters.
const MAX_NAME_CHARS: usize = 100;
/// There is a gap where the distance to the next point is this many times the usual distance.
const GAP_FACTOR: f64 = 1.5;
/// The same for samples, which are not equally spaced.
const SAMPLE_GAP_FACTOR: f64 = 8.0;

/// A history to draw.
pub(crate) struct Chart {
    pub(crate) history: TagHistory,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
}

/// A point with a number, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Debug)]
struct PlottedPoint {
    at: f64,
    value: f64,
}

impl Chart {
    /// Draws the image.
    pub(crate) fn to_svg(&self) -> String {
        let segments = segments(&self.history);
        let mut svg = Svg::new(WIDTH, HEIGHT, &self.title(), &self.description(segments.len()));
        let times = Axis { low: seconds(self.from), high: seconds(self.to), start: LEFT, end: WIDTH - RIGHT };
        let values = value_axis(&self.domain(&segments), HEIGHT - BOTTOM, TOP);
        self.draw_axes(&mut svg, &times, &values);
        self.draw_limits(&mut svg, &values);
        for segment in &segments {
            draw_segment(&mut svg, segment, &times, &values.axis);
        }
        if segments.is_empty() {
            svg.text(
                f64::midpoint(LEFT, WIDTH - RIGHT),
                f64::midpoint(TOP, HEIGHT - BOTTOM),
                "middle",
                "No usable values",
            );
        }
        svg.finish()
    }

    fn name(&self) -> String {
        one_line(&self.history.tag, MAX_NAME_CHARS)
    }

    fn title(&self) -> String {
        let unit = unit_text(self.history.unit.as_deref()).map(|unit| format!(" in {unit}")).unwrap_or_default();
        format!("{}{unit}, {}", self.name(), self.history.method_in_words())
    }

    /// Description of the image, for readers who cannot see it.
    fn description(&self, segment_count: usize) -> String {
        let history = &self.history;
        let unit = history.unit.as_deref();
        let value = |number: f64| TagValue::Number(number).with_unit(unit);
        let mut text = format!("{} from {} to {}.", self.name(), minute(self.from), minute(self.to));
        match history.statistics() {
            Some(numbers) => {
                let _ = write!(
                    text,
                    " Lowest {}, highest {}, last {}.",
                    value(numbers.lowest),
                    value(numbers.highest),
                    value(numbers.last)
                );
            }
            None => text.push_str(" It has no usable values in this period."),
        }
        if let Some(limits) = history.limits.in_words(unit) {
            let _ = write!(text, " Limits: {limits}.");
        }
        let share = (history.good_share * 100.0).floor();
        let gaps = segment_count.saturating_sub(1);
        let source = one_line(&history.source, MAX_NAME_CHARS);
        let _ = write!(
            text,
            " {share:.0} percent of {} samples are good; values are missing in {gaps} places. Source: {source}.",
            history.samples
        );
        text
    }

    /// The numbers that the value axis must include.
    fn domain(&self, segments: &[Vec<PlottedPoint>]) -> Vec<f64> {
        let limits = limit_lines(self.history.limits).into_iter().map(|line| line.value);
        segments.iter().flatten().map(|point| point.value).chain(limits).collect()
    }

    fn draw_axes(&self, svg: &mut Svg, times: &Axis, values: &axis::ValueAxis) {
        svg.text(LEFT, TOP - 20.0, "start", &self.title());
        for tick in &values.ticks {
            let y = values.axis.position(*tick);
            svg.line(Line { x1: LEFT, y1: y, x2: WIDTH - RIGHT, y2: y }, "#dddddd", None);
            svg.text(LEFT - 8.0, y + 4.0, "end", &short_number(*tick));
        }
        let bottom = HEIGHT - BOTTOM;
        for tick in time_ticks(times.low, times.high) {
            let x = times.position(tick.at);
            svg.line(Line { x1: x, y1: bottom, x2: x, y2: bottom + 5.0 }, "#333333", None);
            svg.text(x, bottom + 20.0, "middle", &tick.label);
        }
        svg.line(Line { x1: LEFT, y1: bottom, x2: WIDTH - RIGHT, y2: bottom }, "#333333", None);
        svg.line(Line { x1: LEFT, y1: TOP, x2: LEFT, y2: bottom }, "#333333", None);
        svg.text(LEFT, bottom + 40.0, "start", &format!("{} to {}", minute(self.from), minute(self.to)));
    }

    fn draw_limits(&self, svg: &mut Svg, values: &axis::ValueAxis) {
        for line in limit_lines(self.history.limits) {
            let y = values.axis.position(line.value);
            svg.line(Line { x1: LEFT, y1: y, x2: WIDTH - RIGHT, y2: y }, line.color, Some("6 4"));
            svg.text(WIDTH - RIGHT + 6.0, y + 4.0, "start", line.label);
        }
    }
}

/// A limit as a horizontal line.
struct LimitLine {
    value: f64,
    label: &'static str,
    color: &'static str,
}

fn limit_lines(limits: TagLimits) -> Vec<LimitLine> {
    let line = |value: Option<f64>, label, color| {
        value.filter(|value| value.is_finite()).map(|value| LimitLine { value, label, color })
    };
    let lines = [
        line(limits.normal_low, "normal, low", "#1b7f3b"),
        line(limits.normal_high, "normal, high", "#1b7f3b"),
        line(limits.alarm_low, "alarm, low", "#b3261e"),
        line(limits.alarm_high, "alarm, high", "#b3261e"),
    ];
    lines.into_iter().flatten().collect()
}

/// Splits the points where values are missing: at a point without a usable number, and where the next point is too far
/// away.
fn segments(history: &TagHistory) -> Vec<Vec<PlottedPoint>> {
    let max_distance = max_distance(history);
    let mut segments: Vec<Vec<PlottedPoint>> = Vec::new();
    let mut is_open = false;
    for point in &history.points {
        let Some(plotted) = plotted(point) else {
            is_open = false;
            continue;
        };
        let current = segments.last_mut().filter(|segment| {
            let is_near = |last: &PlottedPoint| plotted.at - last.at <= max_distance;
            is_open && segment.last().is_some_and(is_near)
        });
        match current {
            Some(segment) => segment.push(plotted),
            None => segments.push(vec![plotted]),
        }
        is_open = true;
    }
    segments
}

fn plotted(point: &HistoryPoint) -> Option<PlottedPoint> {
    let value = match point.value.as_ref().filter(|_| point.quality != Quality::Bad)? {
        TagValue::Number(number) => *number,
        TagValue::Bool(is_on) => f64::from(u8::from(*is_on)),
        TagValue::Text(_) => return None,
    };
    Some(PlottedPoint { at: seconds(point.at), value })
}

/// The distance of two points in seconds above which values are missing between them.
fn max_distance(history: &TagHistory) -> f64 {
    if let Some(interval_s) = history.interval_s.and_then(|seconds| u32::try_from(seconds).ok()) {
        return f64::from(interval_s) * GAP_FACTOR;
    }
    let mut distances: Vec<f64> =
        history.points.windows(2).map(|pair| seconds(pair[1].at) - seconds(pair[0].at)).collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len() / 2).map_or(f64::INFINITY, |median| median.max(1.0) * SAMPLE_GAP_FACTOR)
}

fn draw_segment(svg: &mut Svg, segment: &[PlottedPoint], times: &Axis, values: &Axis) {
    let positions: Vec<(f64, f64)> =
        segment.iter().map(|point| (times.position(point.at), values.position(point.value))).collect();
    match positions.as_slice() {
        [(x, y)] => svg.dot(*x, *y),
        line => svg.polyline(line),
    }
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}

fn minute(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use domain::plant::{Aggregate, HistoryOrigin};
    use domain::role::Classification;

    fn point(minute: i64, value: f64) -> HistoryPoint {
        let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        HistoryPoint { at, value: TagValue::number(value), quality: Quality::Good }
    }

    fn chart(points: Vec<HistoryPoint>) -> Chart {
        let history = TagHistory {
            tag: "PIT-1001".to_owned(),
            unit: Some("bar".to_owned()),
            aggregate: Aggregate::Avg,
            interval_s: Some(60),
            points,
            good_share: 0.987,
            samples: 600,
            truncated: false,
            origin: HistoryOrigin::Recorded,
            limits: TagLimits { normal_low: Some(5.0), alarm_high: Some(9.0), ..TagLimits::default() },
            source: "simulator:demo".to_owned(),
            classification: Classification::Internal,
        };
        Chart { history, from: DateTime::UNIX_EPOCH, to: DateTime::UNIX_EPOCH + TimeDelta::minutes(10) }
    }

    #[test]
    fn a_chart_has_axes_limits_and_a_gap_where_values_are_missing() {
        let bad = HistoryPoint { quality: Quality::Bad, ..point(2, 99.0) };
        let drawn = chart(vec![point(0, 4.0), point(1, 5.0), bad, point(3, 6.0), point(4, 7.0), point(9, 7.5)]);
        assert_eq!(segments(&drawn.history).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        let svg = drawn.to_svg();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 1), "{svg}");
        for text in ["PIT-1001 in bar, averages over 60 s", "normal, low", "alarm, high", "00:04", "stroke-dasharray"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert!(svg.contains("Lowest 4 bar, highest 7.5 bar, last 7.5 bar."), "{svg}");
        assert!(svg.contains("98 percent of 600 samples are good; values are missing in 2 places."), "{svg}");
        assert!(!svg.contains("99"), "a bad value is not drawn: {svg}");
    }

    #[test]
    fn every_text_is_escaped_and_nothing_is_active() {
        let hostile = "</title><script>alert(1)</script>\u{0}\u{1b} \"'&<image href='//evil.example/x'/>";
        let mut drawn = chart(vec![point(0, 4.0)]);
        drawn.history.tag = hostile.to_owned();
        drawn.history.unit = Some(hostile.to_owned());
        drawn.history.source = hostile.to_owned();
        let svg = drawn.to_svg();
        assert!(!svg.contains("<script") && !svg.contains("<image") && !svg.contains('\u{0}'), "{svg}");
        assert!(!svg.contains('\u{1b}') && svg.matches("</title>").count() == 1, "{svg}");
    }

    #[test]
    fn unusual_values_give_an_image_with_finite_coordinates() {
        let text = HistoryPoint { value: Some(TagValue::Text("open".to_owned())), ..point(1, 0.0) };
        let on = HistoryPoint { value: Some(TagValue::Bool(true)), ..point(2, 0.0) };
        for points in [
            vec![],
            vec![text, on],
            vec![point(0, 0.0), point(1, 0.0)],
            vec![point(0, 1e300), point(1, -1e300)],
            vec![point(0, 1e-300), point(1, 2e-300)],
        ] {
            let mut drawn = chart(points);
            drawn.history.limits = TagLimits::default();
            let svg = drawn.to_svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        }
    }

    #[test]
    fn samples_break_where_they_are_much_farther_apart_than_usual() {
        let mut drawn = chart(vec![point(0, 1.0), point(1, 1.0), point(2, 1.0), point(60, 1.0)]);
        drawn.history.interval_s = None;
        assert_eq!(segments(&drawn.history).iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    }
}
