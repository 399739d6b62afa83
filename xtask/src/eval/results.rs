//! The results of an evaluation, as `eval --json` wrote them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Rankings beside the configured one, which `--compare` without a file measures.
const ALTERNATIVES: [&str; 3] = ["dense", "bm25", "rrf"];

/// The results of one ranking: outcomes by the id of their question.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Results {
    /// Where they are from: a file, or a ranking.
    pub label: String,
    /// The outcome of each question.
    pub outcomes: BTreeMap<String, Outcome>,
}

/// What became of one question.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Text of the question.
    pub question: String,
    /// Whether the documents answer it.
    pub is_answerable: bool,
    /// Rank of the first right place, from 1; `None` if none was found, or the question has no answer.
    pub rank: Option<u64>,
    /// nDCG@10, 0 to 1; `None` if the question has no answer.
    pub ndcg10: Option<f64>,
    /// Whether the search says that the documents answer the question.
    pub says_answerable: bool,
    /// The answer, if the evaluation asked for answers.
    pub answer: Option<AnswerOutcome>,
}

/// What an answer cites.
#[derive(Clone, PartialEq, Debug)]
pub struct AnswerOutcome {
    /// The first cited place, as in `MAN-P101.pdf p. 25`; `None` if nothing is cited.
    pub cited: Option<String>,
    /// Whether an expected place is cited or, for a question without an answer, nothing is.
    pub is_right: bool,
}

#[derive(Deserialize)]
struct ResultFile {
    questions: Vec<QuestionEntry>,
}

#[derive(Deserialize)]
struct QuestionEntry {
    id: String,
    question: String,
    answerable: bool,
    configured: RankingEntry,
    dense: Option<RankingEntry>,
    bm25: Option<RankingEntry>,
    rrf: Option<RankingEntry>,
    answer: Option<AnswerEntry>,
}

#[derive(Deserialize)]
struct RankingEntry {
    answerable: bool,
    hits: Option<ScoresEntry>,
}

#[derive(Deserialize)]
struct ScoresEntry {
    ndcg10: f64,
    reciprocal_rank: f64,
}

#[derive(Deserialize)]
struct AnswerEntry {
    cited: Vec<PlaceEntry>,
    is_right: bool,
}

#[derive(Deserialize)]
struct PlaceEntry {
    doc: String,
    page: Option<u32>,
    section: Option<String>,
}

impl Results {
    /// Reads the configured ranking's results from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not one that `eval --json` wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let entries = read_questions(path)?;
        let outcomes = entries.iter().map(|entry| (entry.id.clone(), entry.outcome(&entry.configured))).collect();
        Ok(Self { label: path.display().to_string(), outcomes })
    }

    /// Reads the results of the other rankings from a file; none if they were not measured.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_alternatives(path: &Path) -> Result<Vec<Self>> {
        let entries = read_questions(path)?;
        let of_ranking = |name: &str| {
            let outcome = |entry: &QuestionEntry| {
                let ranking = entry.alternative(name)?;
                // The answer is not that of this ranking.
                Some((entry.id.clone(), Outcome { answer: None, ..entry.outcome(ranking) }))
            };
            Self { label: name.to_owned(), outcomes: entries.iter().filter_map(outcome).collect() }
        };
        Ok(ALTERNATIVES.map(of_ranking).into_iter().filter(|results| !results.outcomes.is_empty()).collect())
    }

    /// The same results without those of answers, to be compared with rankings that have none.
    #[must_use]
    pub fn without_answers(self) -> Self {
        let without = |(id, outcome): (String, Outcome)| (id, Outcome { answer: None, ..outcome });
        Self { outcomes: self.outcomes.into_iter().map(without).collect(), ..self }
    }
}

fn read_questions(path: &Path) -> Result<Vec<QuestionEntry>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    if value.get("metrics").is_none() && value.get("documents").is_some() {
        bail!(
            "{} is an evaluation set, not the results of one: name the set before --compare, and after it a file that \
             --json wrote",
            path.display()
        );
    }
    let file: ResultFile = serde_json::from_value(value)
        .with_context(|| format!("{} does not hold results that eval --json wrote", path.display()))?;
    ensure!(!file.questions.is_empty(), "{} has no questions", path.display());
    Ok(file.questions)
}

impl QuestionEntry {
    fn alternative(&self, name: &str) -> Option<&RankingEntry> {
        match name {
            "dense" => self.dense.as_ref(),
            "bm25" => self.bm25.as_ref(),
            "rrf" => self.rrf.as_ref(),
            _ => None,
        }
    }

    fn outcome(&self, ranking: &RankingEntry) -> Outcome {
        let answer = self.answer.as_ref().map(|answer| AnswerOutcome {
            cited: answer.cited.first().map(PlaceEntry::text),
            is_right: if self.answerable { answer.is_right } else { answer.cited.is_empty() },
        });
        Outcome {
            question: self.question.clone(),
            is_answerable: self.answerable,
            rank: ranking.hits.as_ref().and_then(|hits| rank(hits.reciprocal_rank)),
            ndcg10: ranking.hits.as_ref().map(|hits| hits.ndcg10),
            says_answerable: ranking.answerable,
            answer,
        }
    }
}

/// The rank that a reciprocal rank stands for; `None` for 0.
fn rank(reciprocal: f64) -> Option<u64> {
    (reciprocal > 0.0).then(|| (1.0 / reciprocal).round() as u64)
}

impl PlaceEntry {
    fn text(&self) -> String {
        match (self.page, &self.section) {
            (Some(page), _) => format!("{} p. {page}", self.doc),
            (None, Some(section)) => format!("{} “{section}”", self.doc),
            (None, None) => self.doc.clone(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    /// Writes a file as `eval --json` does, with these questions.
    pub fn write_results(dir: &Path, name: &str, questions: &Value) -> std::path::PathBuf {
        let path = dir.join(name);
        let file = json!({ "set": "pumps", "metrics": { "configured": {} }, "questions": questions });
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    #[test]
    fn ranks_verdicts_and_cited_places_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let hits = json!({ "ndcg10": 0.5, "reciprocal_rank": 1.0 / 3.0, "hit1": 0.0 });
        let questions = json!([
            {
                "id": "1", "question": "Which bolts?", "answerable": true,
                "configured": { "answerable": true, "hits": hits },
                "answer": { "text": "", "cited": [{ "doc": "a.pdf", "page": 4, "section": null }], "is_right": true },
            },
            { "id": "2", "question": "Who?", "answerable": false, "configured": { "answerable": true, "hits": null },
              "answer": { "text": "", "cited": [], "is_right": false } },
        ]);
        let path = write_results(dir.path(), "a.json", &questions);
        let results = Results::read(&path).unwrap();
        let first = &results.outcomes["1"];
        assert_eq!((first.rank, first.ndcg10, first.says_answerable), (Some(3), Some(0.5), true));
        let cited = AnswerOutcome { cited: Some("a.pdf p. 4".to_owned()), is_right: true };
        assert_eq!(first.answer, Some(cited));
        let second = &results.outcomes["2"];
        assert_eq!((second.rank, second.ndcg10), (None, None));
        assert_eq!(second.answer, Some(AnswerOutcome { cited: None, is_right: true }), "it rightly cites nothing");
        assert_eq!(Results::read_alternatives(&path).unwrap(), []);
    }

    #[test]
    fn a_set_in_the_place_of_results_is_recognized() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.json");
        std::fs::write(&path, json!({ "documents": [], "questions": [] }).to_string()).unwrap();
        let error = Results::read(&path).unwrap_err().to_string();
        assert!(error.contains("is an evaluation set, not the results of one"), "{error}");
    }
}
