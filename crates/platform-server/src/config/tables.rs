//! The tables of keys in `docs/operations/configuration.md`, generated from the schema of the settings. A table is
//! placed between `<!-- keys: PATH -->` and `<!-- end -->`. PATH is a section such as `server`; `[]` stands for the
//! entries of a list, and `.NAME` for those of a map with arbitrary keys.

use anyhow::{Context as _, Result};
use serde_json::Value;

const START_MARKER: &str = "<!-- keys:";
const END_MARKER: &str = "<!-- end -->";

/// Returns the document with its tables regenerated.
///
/// # Errors
/// If a table has no end, or its path is not in the schema.
pub fn regenerate_tables(document: &str, schema: &Value) -> Result<String> {
    let mut output = String::new();
    let mut rest = document;
    while let Some(start) = rest.find(START_MARKER) {
        let (before, from_marker) = rest.split_at(start);
        let (marker, after) =
            from_marker.split_once('\n').context("a table marker is the last line of the document")?;
        let path = marker.trim_start_matches(START_MARKER).trim_end_matches("-->").trim();
        let section = find_section(schema, path).with_context(|| format!("there is no section {path:?}"))?;
        let (_, after) = after.split_once(END_MARKER).with_context(|| format!("the table {path:?} has no end"))?;
        output += before;
        output += &format!("{marker}\n\n{}\n{END_MARKER}", render_table(section));
        rest = after;
    }
    Ok(output + rest)
}

/// The schema of the section at a path; `None` if there is no such section.
fn find_section<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut node = schema;
    for part in path.split('.').filter(|part| !part.is_empty() && *part != "top") {
        let name = part.trim_end_matches("[]");
        node = match name {
            "NAME" => node.get("additionalProperties")?,
            name => node.get("properties")?.get(name)?,
        };
        if part.ends_with("[]") {
            node = node.get("items")?;
        }
    }
    node.get("properties")?;
    Some(node)
}

fn render_table(node: &Value) -> String {
    let mut table = "| key | default | variable | meaning |\n|---|---|---|---|\n".to_owned();
    add_rows(node, "", &mut table);
    table
}

/// Adds the rows of a section and its subsections. Top-level sections are left out of the root's table, because they
/// have tables of their own.
fn add_rows(node: &Value, prefix: &str, table: &mut String) {
    let required: Vec<_> = node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_root = node.get("$schema").is_some();
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let key = format!("{prefix}{name}");
        match property.get("properties") {
            Some(_) if is_root => {}
            Some(_) => add_rows(property, &format!("{key}."), table),
            None => {
                let default = if required.contains(&name.as_str()) {
                    "none, required".to_owned()
                } else {
                    default_cell(property)
                };
                let (variable, meaning) = (variable_cell(property), meaning_cell(property));
                *table += &format!("| `{key}` | {default} | {variable} | {meaning} |\n");
            }
        }
    }
}

fn default_cell(property: &Value) -> String {
    if let Some(described) = property["x-default"].as_str() {
        return described.to_owned();
    }
    match &property["default"] {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::Array(items) if items.is_empty() => "empty".to_owned(),
        Value::Object(fields) if fields.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The variables without the `PLATFORM__` prefix. The prefixed form exists for every key and is not listed.
fn variable_cell(property: &Value) -> String {
    let variables = property["x-variables"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let named = variables.filter(|name| !name.starts_with("PLATFORM__"));
    named.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn meaning_cell(property: &Value) -> String {
    let mut text = property["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
    if let Some(values) = property["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        text += &format!(" One of {}.", values.join(", "));
    }
    let is_not_zero = |bound: &f64| *bound != 0.0;
    match (property["minimum"].as_f64().filter(is_not_zero), property["maximum"].as_f64()) {
        (Some(min), Some(max)) if max < 65_535.0 => text += &format!(" From {min} to {max}."),
        (Some(min), None) => text += &format!(" At least {min}."),
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::schema::schema;
    use super::*;

    const DOCUMENT: &str = include_str!("../../../../docs/operations/configuration.md");

    #[test]
    fn the_documentation_is_up_to_date_and_has_a_table_for_every_section() {
        assert!(
            regenerate_tables(DOCUMENT, &schema()).expect("valid markers") == DOCUMENT,
            "not up to date: run `dev generate`"
        );
        let paths = DOCUMENT.lines().filter_map(|line| line.strip_prefix(START_MARKER)?.strip_suffix("-->"));
        let schema = schema();
        let documented: Vec<_> = paths.filter_map(|path| find_section(&schema, path.trim())).collect();
        let mut missing = Vec::new();
        collect_undocumented(&schema, "", &documented, &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    /// Collects the sections without a table: top-level ones, and the entries of lists and maps.
    fn collect_undocumented(node: &Value, path: &str, documented: &[&Value], missing: &mut Vec<String>) {
        for (name, property) in node["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let entries = [&property["items"], &property["additionalProperties"]];
            let sections = entries.into_iter().chain(node.get("$schema").map(|_| property));
            for section in sections.filter(|section| section.get("properties").is_some()) {
                if !documented.contains(&section) {
                    missing.push(path.clone());
                }
            }
            entries.iter().for_each(|inner| collect_undocumented(inner, &path, documented, missing));
            collect_undocumented(property, &path, documented, missing);
        }
    }

    #[test]
    fn a_table_is_regenerated_and_an_unknown_path_is_refused() {
        let document = "before\n<!-- keys: rate_limit -->\nold\n<!-- end -->\nafter\n";
        let expected = "before\n<!-- keys: rate_limit -->\n\n| key | default | variable | meaning |\n\
                        |---|---|---|---|\n\
                        | `enabled` | `true` |  | Whether users' requests are limited. `false` is allowed in \
                        development mode only. |\n\n<!-- end -->\nafter\n";
        assert_eq!(regenerate_tables(document, &schema()).expect("valid"), expected);
        assert!(regenerate_tables("<!-- keys: nothing -->\n<!-- end -->\n", &schema()).is_err());
        assert!(regenerate_tables("<!-- keys: server -->\n", &schema()).is_err());
    }
}
