//! Tells apart what a model thinks aloud between `<think>` and `</think>` at the beginning of its answer.

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

/// What became of a piece.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// What the model thinks.
    pub(super) thought: String,
    /// What it answers.
    pub(super) shown: String,
}

impl Told {
    fn shown(shown: String) -> Self {
        Self { thought: String::new(), shown }
    }
}

/// Filters the text of one answer, piece by piece; a mark may be split over pieces.
#[derive(Debug, Default)]
pub(super) struct ThinkFilter {
    place: Place,
    held: String,
}

impl ThinkFilter {
    /// What is settled now of the answer so far and `piece`.
    pub(super) fn push(&mut self, piece: &str) -> Told {
        if self.place == Place::Answer {
            return Told::shown(piece.to_owned());
        }
        self.held.push_str(piece);
        if self.place == Place::Start {
            let begun = self.held.trim_start();
            if OPEN.starts_with(begun) {
                return Told::default();
            }
            let Some(thought) = begun.strip_prefix(OPEN) else {
                self.place = Place::Answer;
                return Told::shown(std::mem::take(&mut self.held));
            };
            self.held = thought.to_owned();
            self.place = Place::Thinking;
        }
        self.end_thinking()
    }

    /// What was held back and turned out to be the answer, or the end of a thought.
    pub(super) fn finish(&mut self) -> Told {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Thinking => Told { thought: held, shown: String::new() },
            Place::Start | Place::Answer => Told::shown(held),
        }
    }

    fn end_thinking(&mut self) -> Told {
        if let Some((thought, answer)) = self.held.split_once(CLOSE) {
            let told = Told { thought: thought.to_owned(), shown: answer.trim_start().to_owned() };
            self.held.clear();
            // White space after the mark may come in the next piece; it does no harm there.
            self.place = Place::Answer;
            return told;
        }
        // Only as much is kept as may be the beginning of the mark.
        let keep = self.held.len().saturating_sub(CLOSE.len() - 1);
        let keep = (keep..=self.held.len()).find(|at| self.held.is_char_boundary(*at)).unwrap_or(0);
        Told { thought: self.held.drain(..keep).collect(), shown: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> Told {
        let mut filter = ThinkFilter::default();
        let mut all = Told::default();
        let mut add = |told: Told| {
            all.thought.push_str(&told.thought);
            all.shown.push_str(&told.shown);
        };
        pieces.iter().for_each(|piece| add(filter.push(piece)));
        add(filter.finish());
        all
    }

    fn filtered(pieces: &[&str]) -> String {
        told(pieces).shown
    }

    #[test]
    fn thoughts_at_the_beginning_are_left_out_however_they_are_split() {
        let whole = "\n<think>Überlegen: the valve…</think>\n\nClose HV-1003.";
        let chars: Vec<String> = whole.chars().map(String::from).collect();
        assert_eq!(filtered(&[whole]), "Close HV-1003.");
        assert_eq!(filtered(&chars.iter().map(String::as_str).collect::<Vec<_>>()).trim_start(), "Close HV-1003.");
    }

    #[test]
    fn thoughts_are_told_apart_and_none_is_lost() {
        for pieces in
            [&["<think>a", "b</thi", "nk>c"][..], &["<think>ab</think>c"], &["<th", "ink>", "ab</think>", "c"]]
        {
            assert_eq!(told(pieces), Told { thought: "ab".to_owned(), shown: "c".to_owned() }, "{pieces:?}");
        }
        assert_eq!(told(&["<think>never", " ends"]).thought, "never ends");
    }

    #[test]
    fn an_answer_that_only_looks_like_a_thought_is_kept() {
        assert_eq!(filtered(&["<", "th", "e valve"]), "<the valve");
        assert_eq!(filtered(&["a <think> b </think>"]), "a <think> b </think>");
        assert_eq!(filtered(&["<thi"]), "<thi");
    }
}
