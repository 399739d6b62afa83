//! Separates reasoning, which some models put between `<think>` and `</think>` at the start, from the answer.

const OPENING_TAG: &str = "<think>";
const CLOSING_TAG: &str = "</think>";

/// Parser state: the current position in the model's output.
#[derive(Debug, Default, PartialEq, Eq)]
enum Position {
    /// Only white space so far; an opening tag may follow.
    #[default]
    Start,
    /// Between the tags.
    Reasoning,
    /// After the closing tag, or in an output without tags.
    Answer,
}

/// A piece of text, split into reasoning and answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SplitText {
    pub(super) reasoning: String,
    pub(super) answer: String,
}

impl SplitText {
    fn answer(answer: String) -> Self {
        Self { reasoning: String::new(), answer }
    }
}

/// Splits the output of a model incrementally; a tag may be spread over several pieces.
#[derive(Debug, Default)]
pub(super) struct ThinkFilter {
    position: Position,
    /// Text that may still turn out to be part of a tag.
    buffer: String,
}

impl ThinkFilter {
    /// Adds a piece; returns the text that can now be assigned to reasoning or answer.
    pub(super) fn push(&mut self, chunk: &str) -> SplitText {
        if self.position == Position::Answer {
            return SplitText::answer(chunk.to_owned());
        }
        self.buffer.push_str(chunk);
        if self.position == Position::Start {
            let start = self.buffer.trim_start();
            if OPENING_TAG.starts_with(start) {
                return SplitText::default();
            }
            let Some(reasoning) = start.strip_prefix(OPENING_TAG) else {
                self.position = Position::Answer;
                return SplitText::answer(std::mem::take(&mut self.buffer));
            };
            self.buffer = reasoning.to_owned();
            self.position = Position::Reasoning;
        }
        self.split_reasoning()
    }

    /// Ends the output; returns the text that is still buffered.
    pub(super) fn finish(&mut self) -> SplitText {
        let buffer = std::mem::take(&mut self.buffer);
        match self.position {
            Position::Reasoning => SplitText { reasoning: buffer, answer: String::new() },
            Position::Start | Position::Answer => SplitText::answer(buffer),
        }
    }

    fn split_reasoning(&mut self) -> SplitText {
        if let Some((reasoning, answer)) = self.buffer.split_once(CLOSING_TAG) {
            let split = SplitText { reasoning: reasoning.to_owned(), answer: answer.trim_start().to_owned() };
            self.buffer.clear();
            // White space after the tag may arrive in the next piece; it is harmless.
            self.position = Position::Answer;
            return split;
        }
        // Keep only what may turn out to be the start of the closing tag.
        let flushed_len = self.buffer.len().saturating_sub(CLOSING_TAG.len() - 1);
        let flushed_len = (flushed_len..=self.buffer.len()).find(|at| self.buffer.is_char_boundary(*at)).unwrap_or(0);
        SplitText { reasoning: self.buffer.drain(..flushed_len).collect(), answer: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> SplitText {
        let mut filter = ThinkFilter::default();
        let mut all = SplitText::default();
        let mut add = |split: SplitText| {
            all.reasoning.push_str(&split.reasoning);
            all.answer.push_str(&split.answer);
        };
        pieces.iter().for_each(|piece| add(filter.push(piece)));
        add(filter.finish());
        all
    }

    fn answer(pieces: &[&str]) -> String {
        split(pieces).answer
    }

    #[test]
    fn reasoning_at_the_start_is_removed_however_it_is_split() {
        let output = "\n<think>Überlegen: the valve…</think>\n\nClose HV-1003.";
        let chars: Vec<String> = output.chars().map(String::from).collect();
        assert_eq!(answer(&[output]), "Close HV-1003.");
        assert_eq!(answer(&chars.iter().map(String::as_str).collect::<Vec<_>>()).trim_start(), "Close HV-1003.");
    }

    #[test]
    fn reasoning_is_returned_separately_from_the_answer() {
        for pieces in
            [&["<think>a", "b</thi", "nk>c"][..], &["<think>ab</think>c"], &["<th", "ink>", "ab</think>", "c"]]
        {
            assert_eq!(split(pieces), SplitText { reasoning: "ab".to_owned(), answer: "c".to_owned() }, "{pieces:?}");
        }
        assert_eq!(split(&["<think>never", " ends"]).reasoning, "never ends");
    }

    #[test]
    fn an_answer_that_resembles_reasoning_is_not_changed() {
        assert_eq!(answer(&["<", "th", "e valve"]), "<the valve");
        assert_eq!(answer(&["a <think> b </think>"]), "a <think> b </think>");
        assert_eq!(answer(&["<thi"]), "<thi");
    }
}
