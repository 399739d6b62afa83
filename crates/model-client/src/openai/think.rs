//! Leaves out what a model thinks aloud between `<think>` and `</think>` at the beginning of its answer.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Where in the answer it is.
#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing but white space so far; this may become the opening mark.
    #[default]
    Start,
    /// Between the marks.
    Thinking,
    /// In the answer.
    Answer,
}

/// Filters the text of one answer, piece by piece; a mark may be split over pieces.
#[derive(Debug, Default)]
pub(super) struct ThinkFilter {
    place: Place,
    held: String,
}

impl ThinkFilter {
    /// What of the answer so far and `piece` is to be shown now.
    pub(super) fn push(&mut self, piece: &str) -> String {
        if self.place == Place::Answer {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        if self.place == Place::Start {
            let begun = self.held.trim_start();
            if OPEN.starts_with(begun) {
                return String::new();
            }
            let Some(thought) = begun.strip_prefix(OPEN) else {
                self.place = Place::Answer;
                return std::mem::take(&mut self.held);
            };
            self.held = thought.to_owned();
            self.place = Place::Thinking;
        }
        self.end_thinking()
    }

    /// What was held back and turned out to be the answer.
    pub(super) fn finish(&mut self) -> String {
        if self.place == Place::Start { std::mem::take(&mut self.held) } else { String::new() }
    }

    fn end_thinking(&mut self) -> String {
        if let Some((_, answer)) = self.held.split_once(CLOSE) {
            let answer = answer.trim_start().to_owned();
            self.held.clear();
            // White space after the mark may come in the next piece; it does no harm there.
            self.place = Place::Answer;
            return answer;
        }
        // Only as much is kept as may be the beginning of the mark.
        let keep = self.held.len().saturating_sub(CLOSE.len() - 1);
        let keep = (keep..=self.held.len()).find(|at| self.held.is_char_boundary(*at)).unwrap_or(0);
        self.held.drain(..keep);
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(pieces: &[&str]) -> String {
        let mut filter = ThinkFilter::default();
        let mut text: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        text.push_str(&filter.finish());
        text
    }

    #[test]
    fn thoughts_at_the_beginning_are_left_out_however_they_are_split() {
        let whole = "\n<think>Überlegen: the valve…</think>\n\nClose HV-1003.";
        let chars: Vec<String> = whole.chars().map(String::from).collect();
        assert_eq!(filtered(&[whole]), "Close HV-1003.");
        assert_eq!(filtered(&chars.iter().map(String::as_str).collect::<Vec<_>>()).trim_start(), "Close HV-1003.");
    }

    #[test]
    fn an_answer_that_only_looks_like_a_thought_is_kept() {
        assert_eq!(filtered(&["<", "th", "e valve"]), "<the valve");
        assert_eq!(filtered(&["a <think> b </think>"]), "a <think> b </think>");
        assert_eq!(filtered(&["<thi"]), "<thi");
    }
}
