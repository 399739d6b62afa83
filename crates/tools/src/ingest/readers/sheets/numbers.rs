//! Writes the values of cells as a reader of the sheet expects them.

use calamine::{DataRef, ExcelDateTime};

/// Number of decimals in scientific notation that give 15 significant digits, which is what spreadsheets show at most.
const SIGNIFICANT_DECIMALS: usize = 14;

/// Writes a number with at most 15 significant digits, so that 0.1 + 0.2 is 0.3; as a percentage if the cell is shown
/// as one.
pub(super) fn number(value: f64, is_percentage: bool) -> String {
    let value = if is_percentage { value * 100.0 } else { value };
    let rounded = format!("{value:.SIGNIFICANT_DECIMALS$e}").parse().unwrap_or(value);
    let magnitude = f64::abs(rounded);
    let text = if rounded != 0.0 && !(1e-6..1e15).contains(&magnitude) {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    };
    if is_percentage { format!("{text}%") } else { text }
}

/// Writes a date as `2026-03-12`, a date with time as `2026-03-12 14:30`, a time of day as `14:30`, and a duration in
/// hours as `26:30`.
fn date_time(value: &ExcelDateTime) -> String {
    let serial = value.as_f64();
    if value.is_duration() {
        let seconds = (serial * 86_400.0).round().clamp(-1e15, 1e15) as i64;
        let sign = if seconds < 0 { "-" } else { "" };
        let seconds = seconds.unsigned_abs();
        return format!("{sign}{}", time(seconds / 3600, seconds / 60 % 60, seconds % 60));
    }
    let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
    let time = time(hour.into(), minute.into(), second.into());
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (serial.abs() < 1.0, serial.fract() == 0.0) {
        (true, _) => time,
        (false, true) => date,
        (false, false) => format!("{date} {time}"),
    }
}

fn time(hours: u64, minutes: u64, seconds: u64) -> String {
    if seconds == 0 { format!("{hours:02}:{minutes:02}") } else { format!("{hours:02}:{minutes:02}:{seconds:02}") }
}

/// Writes a cell's value; empty for an empty cell.
pub(super) fn value(data: &DataRef<'_>, is_percentage: bool) -> String {
    match data {
        DataRef::Int(value) => number(*value as f64, is_percentage),
        DataRef::Float(value) => number(*value, is_percentage),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(value) => date_time(value),
        DataRef::DateTimeIso(text) => iso_date_time(text),
        DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

/// Writes an ISO 8601 date and time without a `T`, and without a time of midnight.
pub(super) fn iso_date_time(text: &str) -> String {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let time = time.trim_end_matches('Z');
    let time = time.split_once('.').map_or(time, |(time, _)| time);
    let time = time.strip_suffix(":00").filter(|short| short.len() > 2).unwrap_or(time);
    if time.is_empty() || time == "00:00" { date.to_owned() } else { format!("{date} {time}") }
}

/// Whether a number format shows a percentage: it has a percent sign outside quotes.
pub(super) fn is_percentage(format: &str) -> bool {
    let mut quoted = false;
    format.chars().any(|c| {
        quoted ^= c == '"';
        c == '%' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType;

    #[test]
    fn numbers_are_written_as_a_spreadsheet_shows_them() {
        for (value, percentage, text) in [
            (16.0, false, "16"),
            (0.1 + 0.2, false, "0.3"),
            (-1.5, false, "-1.5"),
            (0.07, true, "7%"),
            (1e21, false, "1e21"),
            (2.5e-9, false, "2.5e-9"),
            (0.0, false, "0"),
        ] {
            assert_eq!(number(value, percentage), text);
        }
        assert!(is_percentage("0.0%") && !is_percentage("0.0\" %\""));
    }

    #[test]
    fn dates_times_and_durations_are_written_alike_in_all_formats() {
        let date_time = |serial, kind| date_time(&ExcelDateTime::new(serial, kind, false));
        assert_eq!(date_time(46_093.0, ExcelDateTimeType::DateTime), "2026-03-12");
        assert_eq!(date_time(46_093.604_166_666_7, ExcelDateTimeType::DateTime), "2026-03-12 14:30");
        assert_eq!(date_time(0.604_166_666_7, ExcelDateTimeType::DateTime), "14:30");
        assert_eq!(date_time(1.104_166_666_7, ExcelDateTimeType::TimeDelta), "26:30");
        assert_eq!(iso_date_time("2026-03-12T14:30:00"), "2026-03-12 14:30");
        assert_eq!(iso_date_time("2026-03-12T00:00:00.000"), "2026-03-12");
        assert_eq!(iso_date_time("2026-03-12"), "2026-03-12");
    }
}
