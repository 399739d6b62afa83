//! Repairs tool call arguments that are almost valid JSON. Models without constrained decoding wrap them in a code
//! fence, omit closing brackets, use Python's quotes and constants, or encode the whole object as a JSON string.
//!
//! The repair invents no values, but it closes open strings and brackets, so arguments truncated by a token limit must
//! not be passed here. It is a single pass without recursion over a bounded text, because model output is untrusted;
//! the existing JSON repair crates recurse without a limit.

use serde_json::Value;

/// Maximum length of arguments to repair, in bytes; longer ones are returned unchanged.
const MAX_BYTES: usize = 64 << 10;
/// Maximum nesting depth of arguments to repair; deeper ones are returned unchanged.
const MAX_DEPTH: usize = 64;

/// Returns `arguments` as a JSON object, or unchanged if they cannot be repaired.
pub(super) fn repair(arguments: String) -> String {
    let text = arguments.trim();
    if is_object(text) {
        return arguments;
    }
    if text.is_empty() {
        return "{}".to_owned();
    }
    if text.len() > MAX_BYTES {
        return arguments;
    }
    let unquoted = serde_json::from_str::<String>(text).ok();
    let text = from_first_brace(unquoted.as_deref().unwrap_or(text));
    let candidates = [text.map(str::to_owned), text.and_then(repair_syntax)];
    candidates.into_iter().flatten().find(|candidate| is_object(candidate)).unwrap_or(arguments)
}

fn is_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(_)))
}

/// The text from the first `{` on, without a closing code fence; `None` if there is no `{`.
fn from_first_brace(text: &str) -> Option<&str> {
    let text = &text[text.find('{')?..];
    let text = text.trim_end().trim_end_matches('`').trim_end();
    Some(text)
}

/// Converts Python's quotes and constants to JSON, removes trailing commas, and closes open strings and brackets. Text
/// after the object is dropped. `None` if the text cannot be repaired.
fn repair_syntax(text: &str) -> Option<String> {
    let mut repair =
        SyntaxRepair { out: String::with_capacity(text.len() + 8), missing_brackets: Vec::new(), quote: None };
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match repair.quote {
            Some(quote) => repair.push_in_string(quote, c, &mut rest),
            None => rest = repair.push_outside_string(c, rest)?,
        }
        if repair.is_complete() {
            break;
        }
    }
    Some(repair.finish())
}

struct SyntaxRepair {
    out: String,
    /// The closing brackets that are still missing, innermost last.
    missing_brackets: Vec<char>,
    /// The quote that ends the current string; `None` outside of strings.
    quote: Option<char>,
}

impl SyntaxRepair {
    fn push_in_string(&mut self, quote: char, c: char, rest: &mut std::str::Chars<'_>) {
        match c {
            '\\' => {
                // Python allows an escaped single quote, JSON does not.
                match rest.next() {
                    Some('\'') => self.out.push('\''),
                    Some(escaped) => self.out.extend(['\\', escaped]),
                    None => {}
                }
            }
            c if c == quote => {
                self.out.push('"');
                self.quote = None;
            }
            '"' => self.out.push_str("\\\""),
            '\n' => self.out.push_str("\\n"),
            '\t' => self.out.push_str("\\t"),
            c => self.out.push(c),
        }
    }

    /// Processes a character outside of strings; returns the remaining characters. `None` if the text is nested too
    /// deeply or closes a bracket that is not open.
    fn push_outside_string<'t>(&mut self, c: char, rest: std::str::Chars<'t>) -> Option<std::str::Chars<'t>> {
        match c {
            '"' | '\'' => {
                self.quote = Some(c);
                self.out.push('"');
            }
            '{' | '[' => {
                self.missing_brackets.push(if c == '{' { '}' } else { ']' });
                self.out.push(c);
                if self.missing_brackets.len() > MAX_DEPTH {
                    return None;
                }
            }
            '}' | ']' => {
                if self.missing_brackets.pop() != Some(c) {
                    return None;
                }
                self.remove_trailing_comma();
                self.out.push(c);
            }
            c if c.is_ascii_alphabetic() => {
                let remaining = rest.as_str();
                let end = remaining.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(remaining.len());
                let word = format!("{c}{}", &remaining[..end]);
                self.out.push_str(match word.as_str() {
                    "True" => "true",
                    "False" => "false",
                    "None" => "null",
                    word => word,
                });
                return Some(remaining[end..].chars());
            }
            c => self.out.push(c),
        }
        Some(rest)
    }

    fn remove_trailing_comma(&mut self) {
        self.out.truncate(self.out.trim_end().len());
        if self.out.ends_with(',') {
            self.out.pop();
        }
    }

    fn is_complete(&self) -> bool {
        self.missing_brackets.is_empty() && self.quote.is_none()
    }

    fn finish(mut self) -> String {
        if self.quote.is_some() {
            self.out.push('"');
        }
        if !self.missing_brackets.is_empty() {
            self.remove_trailing_comma();
        }
        while let Some(bracket) = self.missing_brackets.pop() {
            self.out.push(bracket);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse_repaired(text: &str) -> Value {
        serde_json::from_str(&repair(text.to_owned())).unwrap_or(Value::Null)
    }

    #[test]
    fn common_malformed_arguments_are_repaired() {
        let expected = json!({"query": "seal of P-101A", "top_k": 3});
        for text in [
            r#"{"query": "seal of P-101A", "top_k": 3}"#,
            "```json\n{\"query\": \"seal of P-101A\", \"top_k\": 3}\n```",
            r#"Sure: {"query": "seal of P-101A", "top_k": 3} as asked."#,
            r#"{"query": "seal of P-101A", "top_k": 3,}"#,
            r#"{"query": "seal of P-101A", "top_k": 3"#,
            r#"{'query': 'seal of P-101A', 'top_k': 3}"#,
            r#""{\"query\": \"seal of P-101A\", \"top_k\": 3}""#,
        ] {
            assert_eq!(parse_repaired(text), expected, "{text}");
        }
    }

    #[test]
    fn open_strings_and_lists_are_closed_and_constants_converted() {
        assert_eq!(parse_repaired(r#"{"a": [1, 2, {"b": "half"#), json!({"a": [1, 2, {"b": "half"}]}));
        assert_eq!(
            parse_repaired(r#"{"a": True, "b": None, "c": ["Trueman",]}"#),
            json!({"a": true, "b": null, "c": ["Trueman"]})
        );
        assert_eq!(parse_repaired(r#"{'a': 'it\'s "so"'}"#), json!({"a": "it's \"so\""}));
        assert_eq!(parse_repaired("{\"a\": \"two\nlines\"}"), json!({"a": "two\nlines"}));
        assert_eq!(parse_repaired(""), json!({}));
    }

    #[test]
    fn irreparable_arguments_are_returned_unchanged() {
        let deep = "[{\"a\":".repeat(5_000);
        for text in ["no object at all", "[1, 2]", r#"{"a": }"#, "{]", deep.as_str()] {
            assert_eq!(repair(text.to_owned()), text);
        }
    }

    proptest! {
        #[test]
        fn any_prefix_of_an_object_is_repaired_or_unchanged(cut in 0_usize..200, value in "\\PC{0,40}") {
            let whole = json!({"query": value, "list": [1, {"x": value}], "flag": true}).to_string();
            let cut = &whole[..whole.floor_char_boundary(cut)];
            let got = repair(cut.to_owned());
            prop_assert!(is_object(&got) || got == cut);
        }

        #[test]
        fn repair_never_panics(text in any::<String>()) {
            repair(text);
        }
    }
}
