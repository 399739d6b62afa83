//! Renders the rows of a benchmark's result as a text table.

use serde_json::Value;

/// Columns of the table: heading, and how it is computed from a row.
const COLUMNS: &[Column] = &[
    Column { heading: "case", cell: |row| text(&row["case"]) },
    Column { heading: "metric", cell: |row| text(&row["metric"]) },
    Column { heading: "platform", cell: |row| number(&row["platform"]) },
    Column { heading: "floor", cell: |row| number(&row["floor"]) },
    Column { heading: "ratio", cell: |row| number(&row["ratio"]["median"]) },
    Column { heading: "min–max", cell: spread },
];

struct Column {
    heading: &'static str,
    cell: fn(&Value) -> String,
}

/// The table, one line per row.
pub fn render(rows: &[Value]) -> String {
    let mut lines = vec![String::new(); rows.len() + 1];
    for column in COLUMNS {
        let cells: Vec<String> =
            std::iter::once(column.heading.to_owned()).chain(rows.iter().map(column.cell)).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or_default();
        for (line, cell) in lines.iter_mut().zip(cells) {
            line.push_str(&format!("{cell:width$}  "));
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |number| number.to_string())
}

fn spread(row: &Value) -> String {
    let ratio = &row["ratio"];
    if ratio.is_null() { String::new() } else { format!("{}–{}", number(&ratio["min"]), number(&ratio["max"])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned_and_missing_values_are_dashes() {
        let ratio = json!({ "min": 2.0, "median": 2.5, "max": 3.25 });
        let rows = [
            json!({ "case": "8 clients", "metric": "cpu_ms", "platform": 5.0, "floor": 2.0, "ratio": ratio }),
            json!({ "case": "8", "metric": "resident_mb", "platform": 60.5, "floor": null, "ratio": null }),
        ];
        let expected = [
            "case       metric       platform  floor  ratio  min–max",
            "8 clients  cpu_ms       5         2      2.5    2–3.25",
            "8          resident_mb  60.5      –      –",
        ];
        assert_eq!(render(&rows).lines().collect::<Vec<_>>(), expected);
    }
}
