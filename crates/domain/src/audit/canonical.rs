//! JSON in the text form of PostgreSQL's `jsonb`: object members ordered by the length of their names and then
//! bytewise, `", "` and `": "` as separators, and only control characters below U+0020, quotes and backslashes escaped.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use uuid::Uuid;

/// A JSON array under construction.
#[derive(Debug)]
pub(super) struct ArrayBuilder(String);

impl ArrayBuilder {
    pub(super) fn new() -> Self {
        Self("[".to_owned())
    }

    fn write_separator(&mut self) {
        if self.0.len() > 1 {
            self.0.push_str(", ");
        }
    }

    pub(super) fn null(&mut self) {
        self.write_separator();
        self.0.push_str("null");
    }

    pub(super) fn number(&mut self, number: i64) {
        self.write_separator();
        let _ = write!(self.0, "{number}");
    }

    pub(super) fn text(&mut self, text: Option<&str>) {
        let Some(text) = text else { return self.null() };
        self.write_separator();
        write_string(&mut self.0, text);
    }

    pub(super) fn uuid(&mut self, id: Option<Uuid>) {
        let Some(id) = id else { return self.null() };
        self.write_separator();
        let _ = write!(self.0, "\"{id}\"");
    }

    pub(super) fn texts(&mut self, texts: &[String]) {
        let mut nested = Self::new();
        for text in texts {
            nested.text(Some(text));
        }
        self.write_separator();
        self.0.push_str(&nested.finish());
    }

    pub(super) fn json(&mut self, json: &RawValue) {
        self.write_separator();
        write_value(&mut self.0, json);
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

/// Normalizes a value. Text that PostgreSQL printed is unchanged; member order and white space introduced by other
/// programs are normalized away.
fn write_value(out: &mut String, json: &RawValue) {
    let text = json.get().trim();
    match text.as_bytes().first() {
        Some(b'{') => write_object(out, text),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            out.push('[');
            for (index, item) in items.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, item);
            }
            out.push(']');
        }
        Some(b'"') => write_string(out, &serde_json::from_str::<String>(text).unwrap_or_default()),
        Some(b'-' | b'0'..=b'9') => write_number(out, text),
        // true, false, null
        _ => out.push_str(text),
    }
}

/// Writes a number without an exponent, as PostgreSQL prints it, and keeps its digits.
fn write_number(out: &mut String, text: &str) {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return out.push_str(text) };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Audit rows contain no larger exponents; such a number is left unchanged.
    let Some(exponent) = exponent.parse::<i32>().ok().filter(|e| e.unsigned_abs() < 400) else {
        return out.push_str(text);
    };
    let digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).unwrap_or(0) + exponent;
    out.push_str(sign);
    match usize::try_from(point) {
        Ok(point) if point >= digits.len() => {
            let _ = write!(out, "{digits:0<point$}");
        }
        Ok(point) if point > 0 => {
            let _ = write!(out, "{}.{}", &digits[..point], &digits[point..]);
        }
        _ => {
            let zeros = usize::try_from(-point).unwrap_or(0);
            let _ = write!(out, "0.{:0<zeros$}{digits}", "");
        }
    }
}

fn write_object(out: &mut String, text: &str) {
    let members = serde_json::from_str::<Members<'_>>(text).map(|members| members.0).unwrap_or_default();
    out.push('{');
    for (index, ((_, name), member)) in members.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        write_string(out, name);
        out.push_str(": ");
        write_value(out, member);
    }
    out.push('}');
}

/// Members ordered by name length, then name; of duplicates, the last one wins.
#[derive(Default)]
struct Members<'a>(BTreeMap<(usize, String), &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = BTreeMap<(usize, String), &'de RawValue>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    members.insert((name.len(), name), map.next_value()?);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

/// A string as PostgreSQL's `escape_json` writes it.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonicalize(json: &str) -> String {
        let mut array = ArrayBuilder::new();
        array.json(serde_json::from_str::<&RawValue>(json).expect("JSON"));
        array.finish()
    }

    #[test]
    fn members_are_ordered_as_jsonb_orders_them_and_numbers_keep_their_digits() {
        let shuffled = r#" {"long":1.50,"b":[ ],"a":{"y":null,"x":"\u00e9\n\u0001/"},"b":[true, 2]} "#;
        assert_eq!(canonicalize(shuffled), r#"[{"a": {"x": "é\n\u0001/", "y": null}, "b": [true, 2], "long": 1.50}]"#);
    }

    #[test]
    fn numbers_with_an_exponent_are_written_as_plain_decimals() {
        for (input, expected) in [
            ("1e-6", "0.000001"),
            ("1.5E3", "1500"),
            ("-1.25e1", "-12.5"),
            ("12e0", "12"),
            ("3e-1", "0.3"),
            ("1e21", "1000000000000000000000"),
            ("2.0", "2.0"),
        ] {
            assert_eq!(canonicalize(input), format!("[{expected}]"));
        }
    }

    #[test]
    fn an_array_separates_its_items() {
        let mut array = ArrayBuilder::new();
        array.number(-3);
        array.text(None);
        array.texts(&["a\"b".to_owned(), "\\".to_owned()]);
        array.uuid(Some(Uuid::nil()));
        assert_eq!(array.finish(), r#"[-3, null, ["a\"b", "\\"], "00000000-0000-0000-0000-000000000000"]"#);
    }
}
