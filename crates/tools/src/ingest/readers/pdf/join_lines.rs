//! Joins lines of running text.

/// Joins lines of running text with spaces. A hyphen at the end of a line is dropped between lower-case letters. In
/// identifiers such as `P-` / `101A` it is kept, and no space is added. Lines of Chinese or Japanese are joined without
/// a space.
pub(in crate::ingest) fn join_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let next = line.chars().next().unwrap_or(' ');
        let mut last = out.chars().rev();
        match (last.next(), last.next()) {
            (None, _) => {}
            (Some('-'), Some(before)) if before.is_lowercase() && next.is_lowercase() => {
                out.pop();
            }
            (Some('-'), Some(before)) if before.is_alphanumeric() && next.is_alphanumeric() => {}
            (Some(end), _) if is_unspaced(end) && is_unspaced(next) => {}
            _ => out.push(' '),
        }
        out.push_str(line);
    }
    out
}

/// Whether a character belongs to a script written without spaces: Han characters, kana, and their punctuation.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_split_words_or_belong_to_identifiers() {
        let join = |lines: &[&str]| join_lines(lines.iter().copied());
        assert_eq!(join(&["intro-", "duction"]), "introduction");
        assert_eq!(join(&["valve P-", "101A"]), "valve P-101A");
        assert_eq!(join(&["from 1 -", "2"]), "from 1 - 2");
        assert_eq!(join(&["压力", "变送器"]), "压力变送器");
    }
}
