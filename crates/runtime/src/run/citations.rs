//! Citations: finds the passages and readings that an answer cites, and the quote from each passage that supports the
//! cited statement.

use domain::conversation::{Citation, CitedSeries, DocumentCitation, ReadingCitation};
use domain::model::NumberedPassage;
use domain::plant::{NumberedReading, Quality, ReadingContent};
use std::collections::HashSet;
use std::num::IntErrorKind;

/// Maximum length of a quote, in characters.
const MAX_QUOTE_CHARS: usize = 300;

/// The sources that an answer may cite. Passages and readings share one numbering.
#[derive(Clone, Copy, Default)]
pub struct CitableSources<'a> {
    pub passages: &'a [NumberedPassage],
    pub readings: &'a [NumberedReading],
}

impl CitableSources<'_> {
    /// Returns whether a passage or reading has this number.
    pub fn contains(self, n: u32) -> bool {
        self.passages.iter().any(|passage| passage.n == n) || self.readings.iter().any(|reading| reading.n == n)
    }

    /// Returns the citation of the passage or reading with this number, for a statement.
    fn cite(self, n: u32, statement: &str) -> Option<Citation> {
        let passage = self.passages.iter().find(|passage| passage.n == n);
        let reading = || self.readings.iter().find(|reading| reading.n == n);
        passage.map(|passage| passage_citation(passage, statement)).or_else(|| reading().map(reading_citation))
    }
}

/// Finds the citation markers of an answer (`[1]`, `[1, 2]`) while it is streamed.
#[derive(Default)]
pub struct CitationScanner {
    text: String,
    scanned_bytes: usize,
    cited_numbers: HashSet<u32>,
}

impl CitationScanner {
    /// Appends the next piece of the answer. Returns the new citations, whose first marker this piece completes; each
    /// passage and reading is returned once.
    pub fn push(&mut self, piece: &str, sources: CitableSources<'_>) -> Vec<Citation> {
        self.text.push_str(piece);
        let mut found = Vec::new();
        while let Some(open) = self.text[self.scanned_bytes..].find('[').map(|at| at + self.scanned_bytes) {
            let Some(close) = self.text[open..].find(']').map(|at| at + open) else {
                // A later piece may complete the marker, unless the text is already too long for one.
                if self.text.len() - open > 32 {
                    self.scanned_bytes = open + 1;
                    continue;
                }
                break;
            };
            let statement = statement_before(&self.text[..open]);
            for n in marker_numbers(&self.text[open + 1..close]) {
                if sources.contains(n) && self.cited_numbers.insert(n) {
                    found.extend(sources.cite(n, statement));
                }
            }
            self.scanned_bytes = close + 1;
        }
        found
    }

    /// Returns the text of the answer so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the complete text of the answer.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Parses the numbers in a marker: `1`, `1, 2` or `1;2`. A number that is too large becomes `u32::MAX`, which no
/// passage has. Returns an empty list for any other text in brackets.
pub(super) fn marker_numbers(marker_text: &str) -> Vec<u32> {
    let number = |part: &str| match part.trim().trim_start_matches('^').parse::<u32>() {
        Ok(number) => Some(number),
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(u32::MAX),
    };
    marker_text.split([',', ';']).map(number).collect::<Option<Vec<u32>>>().unwrap_or_default()
}

/// Returns the statement before a marker: the quotation directly before it, or otherwise the text after the end of the
/// previous sentence, line or marker.
fn statement_before(text: &str) -> &str {
    let text = text.trim_end();
    if let Some(quoted) = text.strip_suffix(['"', '”'])
        && let Some(open) = quoted.rfind(['"', '“'])
    {
        return &text[open..];
    }
    let body = text.trim_end_matches(['.', '!', '?']);
    let start = body.rfind(['\n', ']']).map_or(0, |at| at + 1).max(sentence_start(body));
    text[start..].trim()
}

fn sentence_start(text: &str) -> usize {
    [". ", "! ", "? "].iter().filter_map(|end| text.rfind(end)).max().map_or(0, |at| at + 2)
}

fn passage_citation(numbered_passage: &NumberedPassage, statement: &str) -> Citation {
    let passage = &numbered_passage.passage;
    Citation::Document(DocumentCitation {
        n: numbered_passage.n,
        document_id: passage.document_id,
        file_name: passage.file_name.clone(),
        title: passage.title.clone(),
        page: passage.page,
        section: passage.section.clone(),
        chunk_id: passage.chunk_id,
        quote: quote(&passage.content, statement),
        score: numbered_passage.score,
    })
}

fn reading_citation(numbered: &NumberedReading) -> Citation {
    let NumberedReading { n, content, read_at, .. } = numbered;
    let citation = match content {
        ReadingContent::Present(reading) => ReadingCitation {
            n: *n,
            tag: reading.tag.clone(),
            // An unusable value is not shown with an answer either.
            value: reading.value.clone().filter(|_| reading.quality != Quality::Bad),
            unit: reading.unit.clone(),
            quality: reading.quality,
            at: reading.taken_at(*read_at),
            source: reading.source.clone(),
            stale: reading.stale,
            classification: reading.classification,
            series: None,
        },
        ReadingContent::History { history, period } => {
            let last = history.last_point();
            ReadingCitation {
                n: *n,
                tag: history.tag.clone(),
                value: last.and_then(|point| point.value.clone()),
                unit: history.unit.clone(),
                quality: last.map_or(Quality::Bad, |point| point.quality),
                at: last.map_or(period.to, |point| point.at),
                source: history.source.clone(),
                // The last point that was read is not the last one of the period.
                stale: history.truncated,
                classification: history.classification,
                series: Some(CitedSeries { period: *period, aggregate: history.aggregate }),
            }
        }
    };
    Citation::Reading(citation)
}

/// Returns the part of `content` that supports `statement`: the statement itself if `content` contains each of its
/// lines verbatim, or otherwise the sentence or line that shares the most words with it.
#[must_use]
pub fn quote(content: &str, statement: &str) -> String {
    let trimmed = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || "\"“”>*".contains(c)).to_owned();
    let lines: Vec<String> = statement.lines().map(trimmed).filter(|line| !line.is_empty()).collect();
    let is_long_enough = lines.iter().map(String::len).sum::<usize>() >= 8;
    if is_long_enough && lines.iter().all(|line| content.contains(line)) {
        return truncate_quote(&lines.join("\n"));
    }
    let statement_words = words(statement);
    let best_sentence = sentences(content)
        .map(|sentence| (overlap_score(&words(sentence), &statement_words), sentence))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(content, |(_, sentence)| sentence);
    truncate_quote(best_sentence)
}

fn sentences(content: &str) -> impl Iterator<Item = &str> {
    content.lines().flat_map(|line| line.split_inclusive(". ")).map(str::trim).filter(|sentence| sentence.len() > 1)
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1).map(str::to_lowercase).collect()
}

/// Scores a sentence: the number of shared words divided by the square root of the sentence's length, so that long
/// sentences are not preferred only for their length. Words with digits count double.
fn overlap_score(sentence: &HashSet<String>, statement_words: &HashSet<String>) -> f64 {
    if sentence.is_empty() {
        return 0.0;
    }
    let weight = |word: &String| if word.bytes().any(|b| b.is_ascii_digit()) { 2.0 } else { 1.0 };
    let shared: f64 = sentence.intersection(statement_words).map(weight).sum();
    #[expect(clippy::cast_precision_loss, reason = "a sentence has few words")]
    let length = sentence.len() as f64;
    shared / length.sqrt()
}

fn truncate_quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE_CHARS) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{ChunkId, DocumentId};
    use domain::plant::{
        Aggregate, HistoryOrigin, HistoryPoint, SeriesPeriod, TagHistory, TagLimits, TagReading, TagValue,
    };
    use domain::role::Classification;
    use domain::search::{Passage, SurroundingText};
    use domain::time::Timestamp;
    use uuid::Uuid;

    fn sources(passages: &[NumberedPassage]) -> CitableSources<'_> {
        CitableSources { passages, ..CitableSources::default() }
    }

    fn quote_of(citation: &Citation) -> &str {
        &citation.document().expect("a passage").quote
    }

    fn passage(n: u32, content: &str) -> NumberedPassage {
        NumberedPassage {
            n,
            passage: Passage {
                chunk_id: ChunkId::from_uuid(Uuid::from_u128(n.into())),
                document_id: DocumentId::from_uuid(Uuid::nil()),
                chunk_index: 0,
                file_name: "m.pdf".to_owned(),
                title: "Manual".to_owned(),
                page: Some(n),
                section: None,
                content: content.to_owned(),
                classification: Classification::Internal,
            },
            score: 0.5,
            surrounding_text: SurroundingText::default(),
        }
    }

    #[test]
    fn markers_are_found_even_when_a_piece_ends_inside_one() {
        let passages = [passage(1, "Close FV-2003 first. Then wait."), passage(2, "Torque is 60 Nm. Use a wrench.")];
        let mut scanner = CitationScanner::default();
        assert!(scanner.push("Close the valve FV-2003 [", sources(&passages)).is_empty());
        let first = scanner.push("1]. The torque is 60 Nm [2, 1][7] [note].", sources(&passages));
        assert_eq!(first.iter().map(Citation::n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(quote_of(&first[0]), "Close FV-2003 first.");
        assert_eq!(quote_of(&first[1]), "Torque is 60 Nm.");
        assert!(scanner.push(" Again [1].", sources(&passages)).is_empty(), "each passage is cited once");
        assert!(scanner.text().ends_with("Again [1]."));
    }

    #[test]
    fn a_quotation_of_several_sentences_is_cited_completely() {
        let passages = [passage(1, "Stop the pump. Drain it while it is warm. Lock it.")];
        let mut scanner = CitationScanner::default();
        let found = scanner
            .push("From the documents:\n\n> \"Stop the pump. Drain it while it is warm.\" [1]", sources(&passages));
        assert_eq!(quote_of(&found[0]), "Stop the pump. Drain it while it is warm.");
    }

    #[test]
    fn an_unclosed_bracket_does_not_hide_later_markers() {
        let passages = [passage(1, "x")];
        let mut scanner = CitationScanner::default();
        let found =
            scanner.push(&format!("a list [of {} things and then a fact [1]", "many ".repeat(20)), sources(&passages));
        // The first bracket closes only at the end of the marker, so the text between them is not a number.
        let again = scanner.push(" and once more [1].", sources(&passages));
        assert_eq!(found.len() + again.len(), 1);
    }

    #[test]
    fn a_verbatim_quote_is_quoted_verbatim() {
        let content = "Intro. The casing bolts get 480 Nm in three steps. Outro.";
        assert_eq!(
            quote(content, "> \"The casing bolts get 480 Nm in three steps.\""),
            "The casing bolts get 480 Nm in three steps."
        );
        let block = "> \"The casing bolts get 480 Nm in three steps.\n> Outro.\"";
        assert_eq!(quote(content, block), "The casing bolts get 480 Nm in three steps.\nOutro.");
        assert_eq!(quote("ä".repeat(400).as_str(), "x").chars().count(), MAX_QUOTE_CHARS + 1);
    }

    #[test]
    fn readings_are_cited_beside_passages_and_a_bad_value_is_not_shown() {
        let passages = [passage(1, "Close FV-2003 first.")];
        let reading = fakes::plant::reading("PIT-1001", Classification::Confidential);
        let bad = TagReading { quality: Quality::Bad, ..reading.clone() };
        let number = |n, reading| NumberedReading {
            n,
            content: ReadingContent::Present(reading),
            equipment: None,
            read_at: Timestamp::UNIX_EPOCH,
        };
        let readings = [number(2, reading), number(3, bad)];
        let sources = CitableSources { passages: &passages, readings: &readings };
        let found = CitationScanner::default().push("It is 4.6 bar [2], FV-2003 first [1]. PIT [3]. [4]", sources);
        assert_eq!(found.iter().map(Citation::n).collect::<Vec<_>>(), [2, 1, 3]);
        let cited = found[0].reading().expect("a reading");
        assert_eq!((cited.value.clone(), cited.unit.as_deref()), (TagValue::number(4.6), Some("bar")));
        assert_eq!((cited.at, cited.classification), (Timestamp::UNIX_EPOCH, Classification::Confidential));
        let bad = found[2].reading().expect("a reading");
        assert_eq!((bad.value.clone(), bad.quality), (None, Quality::Bad));
    }

    #[test]
    fn a_history_that_was_cut_off_is_cited_as_stale() {
        let (at, value) = (Timestamp::UNIX_EPOCH, TagValue::number(4.5));
        let history = |truncated| TagHistory {
            tag: "PIT-1001".to_owned(),
            unit: None,
            aggregate: Aggregate::Raw,
            interval_s: None,
            points: vec![HistoryPoint { at, value: value.clone(), quality: Quality::Good }],
            good_share: 1.0,
            samples: 1,
            truncated,
            origin: HistoryOrigin::Source,
            limits: TagLimits::default(),
            source: "simulator:demo".to_owned(),
            classification: Classification::Internal,
        };
        for truncated in [false, true] {
            let period = SeriesPeriod { from: at, to: at };
            let content = ReadingContent::History { history: history(truncated), period };
            let readings = [NumberedReading { n: 1, content, equipment: None, read_at: at }];
            let sources = CitableSources { readings: &readings, ..CitableSources::default() };
            let found = CitationScanner::default().push("It was 4.5 [1].", sources);
            assert_eq!(found[0].reading().expect("a reading").stale, truncated);
        }
    }
}
