//! Splits running text into sentences.

/// Splits running text into sentences, each with its closing punctuation and without surrounding white space.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let end = at + c.len_utf8();
        let ends_sentence = match c {
            '。' | '！' | '？' => true,
            '\n' => true,
            '.' | '!' | '?' | '…' => {
                next.is_some_and(char::is_whitespace)
                    && begins_sentence(&text[end..])
                    && !(c == '.' && is_abbreviation(&text[start..at]))
            }
            _ => false,
        };
        if ends_sentence {
            push_trimmed(&mut parts, &text[start..end]);
            start = end;
        }
    }
    push_trimmed(&mut parts, &text[start..]);
    parts
}

fn push_trimmed<'a>(parts: &mut Vec<&'a str>, part: &'a str) {
    let part = part.trim();
    if !part.is_empty() {
        parts.push(part);
    }
}

/// Whether `rest` can start a sentence: its first character is anything but a lower-case letter.
fn begins_sentence(rest: &str) -> bool {
    rest.trim_start().chars().next().is_some_and(|c| !c.is_lowercase())
}

/// Whether `text`, which is followed by a full stop, ends with an abbreviation or an initial.
fn is_abbreviation(text: &str) -> bool {
    const ABBREVIATIONS: [&str; 26] = [
        "no", "nr", "fig", "figs", "e.g", "i.e", "z.b", "d.h", "vs", "approx", "ca", "max", "min", "dr", "mr", "mrs",
        "ms", "prof", "st", "sec", "tab", "eq", "vol", "rev", "bzw", "abb",
    ];
    let word = text.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_new_one_begins() {
        assert_eq!(
            split("Open V-12. Wait 3.5 min. then close it! Done?"),
            ["Open V-12.", "Wait 3.5 min. then close it!", "Done?"]
        );
    }

    #[test]
    fn abbreviations_and_initials_do_not_end_a_sentence() {
        assert_eq!(split("See Fig. 3 by J. Brandt. Next."), ["See Fig. 3 by J. Brandt.", "Next."]);
    }

    #[test]
    fn chinese_sentences_need_no_space() {
        assert_eq!(split("关闭阀门。打开泵。"), ["关闭阀门。", "打开泵。"]);
    }
}
