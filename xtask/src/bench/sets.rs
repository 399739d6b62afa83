//! Large evaluation sets. They are generated and identical in every run, so nothing has to be downloaded.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// File name of the set in the working directory.
pub const SET_FILE_NAME: &str = "set.json";

/// Number of files of the search set.
const LOGBOOK_COUNT: usize = 15;
/// Number of sections of each file; each becomes one passage.
const SECTIONS_PER_LOGBOOK: usize = 1_000;
/// Number of sections per question: every 75th section has one.
const QUESTION_INTERVAL: usize = 75;

/// Writes a set with the large PDF that the preceding step generated, and one question.
///
/// # Errors
/// If the set cannot be written.
pub fn write_large_pdf_set(work_dir: &Path) -> Result<()> {
    let questions = json!([{
        "id": "torque", "question": "What torque do the casing tie bolts of P-101A get?",
        "expected": [{ "doc": "volume.pdf" }],
    }]);
    write(work_dir, &json!([{ "path": "volume.pdf" }]), &questions)
}

/// Writes a set of 15 log books with 1,000 entries each, and 200 questions.
///
/// # Errors
/// If the files cannot be written.
pub fn write_logbook_set(work_dir: &Path) -> Result<()> {
    let (mut documents, mut questions) = (Vec::new(), Vec::new());
    for book in 0..LOGBOOK_COUNT {
        let name = format!("logbook-{book:02}.md");
        let mut text = format!("# Log book of area {book}00\n");
        for number in (0..SECTIONS_PER_LOGBOOK).map(|section| book * SECTIONS_PER_LOGBOOK + section) {
            let entry = Entry::new(number);
            let _ = write!(text, "\n## {}\n\n{}\n", entry.heading(), entry.text());
            if number % QUESTION_INTERVAL == 0 {
                let expected = json!([{ "doc": name, "section": entry.heading() }]);
                questions.push(json!({ "id": number.to_string(), "question": entry.question(), "expected": expected }));
            }
        }
        let path = work_dir.join(&name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        documents.push(json!({ "path": name }));
    }
    write(work_dir, &Value::from(documents), &Value::from(questions))
}

fn write(work_dir: &Path, documents: &Value, questions: &Value) -> Result<()> {
    let path = work_dir.join(SET_FILE_NAME);
    let set = json!({ "documents": documents, "questions": questions });
    fs::write(&path, format!("{set:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}

/// A log book entry: what was found at a machine, and what was done. The number determines its whole content.
struct Entry {
    number: usize,
}

const MACHINES: [&str; 7] = [
    "feedwater pump",
    "cooling water pump",
    "air compressor",
    "agitator",
    "heat exchanger",
    "induced draught fan",
    "conveyor",
];
const PARTS: [&str; 11] = [
    "bearing",
    "shaft seal",
    "coupling",
    "gearbox",
    "strainer",
    "gland packing",
    "impeller",
    "oil cooler",
    "non-return valve",
    "tube bundle",
    "drive belt",
];
const FINDINGS: [&str; 13] = [
    "was warm to the touch",
    "leaked a few drops a minute",
    "made a grinding noise",
    "was clogged with scale",
    "vibrated more than last week",
    "showed fretting on the shaft",
    "had lost two of its bolts",
    "was dry",
    "was discoloured by heat",
    "had play in the axial direction",
    "was cracked near the flange",
    "ran out of line by a hair",
    "had been fitted the wrong way round",
];
const ACTIONS: [&str; 17] = [
    "It was replaced from store.",
    "The shift cleaned and refitted it.",
    "Maintenance will look at it on Monday.",
    "It was tightened and is watched.",
    "The spare set was started in its place.",
    "A work permit was opened for it.",
    "Grease was renewed.",
    "The alignment was corrected.",
    "The drawing was marked up.",
    "The supplier was asked for advice.",
    "It was isolated and tagged.",
    "A new gasket was fitted.",
    "The oil was changed and sampled.",
    "Its guard was put back.",
    "The reading was checked with another instrument.",
    "Nothing was done until the next outage.",
    "It was repaired by welding.",
];

impl Entry {
    fn new(number: usize) -> Self {
        Self { number }
    }

    /// Picks an element by the entry's number. The lists' lengths are coprime, so that combinations hardly ever repeat.
    fn pick<'a>(&self, words: &[&'a str]) -> &'a str {
        words.get(self.number % words.len()).copied().unwrap_or_default()
    }

    fn tag(&self) -> String {
        format!("M-{:05}", self.number * 7 + 101)
    }

    fn heading(&self) -> String {
        format!("Entry {} on {}", self.number, self.tag())
    }

    fn text(&self) -> String {
        let Self { number } = self;
        let (machine, part, finding) = (self.pick(&MACHINES), self.pick(&PARTS), self.pick(&FINDINGS));
        format!(
            "On the round of shift {} the {part} of the {machine} {} {finding}. {} Discharge pressure stood at {}.{} \
             bar and the motor drew {} A; the operator noted {} operating hours since the last overhaul.",
            number % 5,
            self.tag(),
            self.pick(&ACTIONS),
            number % 19,
            number % 10,
            20 + number % 83,
            number * 13 % 9_001,
        )
    }

    /// Half of the questions name the tag, the other half describe the finding.
    fn question(&self) -> String {
        let (machine, part, finding) = (self.pick(&MACHINES), self.pick(&PARTS), self.pick(&FINDINGS));
        if (self.number / QUESTION_INTERVAL).is_multiple_of(2) {
            format!("What was found at the {part} of {}?", self.tag())
        } else {
            format!(
                "What was done when the {part} of the {machine} {finding} and {} A were drawn?",
                20 + self.number % 83
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_log_books_are_the_same_in_each_run_and_no_two_entries_are_alike() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&first, &second] {
            write_logbook_set(dir.path()).unwrap();
        }
        let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap();
        for name in [SET_FILE_NAME, "logbook-07.md"] {
            assert_eq!(read(first.path(), name), read(second.path(), name));
        }
        let set: Value = serde_json::from_str(&read(first.path(), SET_FILE_NAME)).unwrap();
        assert_eq!(
            set["questions"].as_array().unwrap().len(),
            LOGBOOK_COUNT * SECTIONS_PER_LOGBOOK / QUESTION_INTERVAL
        );
        let texts: HashSet<String> =
            (0..LOGBOOK_COUNT * SECTIONS_PER_LOGBOOK).map(|number| Entry::new(number).text()).collect();
        assert_eq!(texts.len(), LOGBOOK_COUNT * SECTIONS_PER_LOGBOOK);
    }
}
