//! An evaluation set: documents, questions, and the locations of their answers, read from a JSON file
//! (`docs/operations/evaluation.md` describes the format).

use super::locations::{ExpectedLocation, Location};
use super::metrics::Thresholds;
use crate::files::{DocumentFile, FileEntry};
use anyhow::{Context as _, Result, bail, ensure};
use domain::text::QueryText;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A validated set: its files exist, names and ids are unique, and all expected documents are in it.
#[derive(Debug)]
pub struct EvaluationSet {
    /// File name without its extension.
    pub name: String,
    /// Documents to upload.
    pub documents: Vec<DocumentFile>,
    /// Questions to ask.
    pub questions: Vec<Question>,
    /// Thresholds that the metrics are compared with.
    pub thresholds: Thresholds,
}

/// A question with the locations of its answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// Id of the question in reports, unique in the set.
    pub id: String,
    /// Text of the question.
    pub text: QueryText,
    /// Kind of question, by which the results are grouped.
    pub kind: Option<String>,
    /// Language of the question, by which the results are grouped.
    pub language: Option<String>,
    /// Whether the documents answer the question.
    pub answerable: bool,
    /// All locations that answer the question; empty if it is unanswerable.
    pub expected: Vec<ExpectedLocation>,
}

/// Content of the file. `documents` and `questions` are each a list, or the path of a JSON file that contains the list,
/// either as the whole document or under the key of the same name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvaluationSetFile {
    documents: Value,
    questions: Value,
    #[serde(default, rename = "floor")]
    thresholds: Thresholds,
    /// Language of the questions that name none.
    language: Option<String>,
}

#[derive(Deserialize)]
struct QuestionEntry {
    id: String,
    question: String,
    kind: Option<String>,
    language: Option<String>,
    #[serde(default)]
    expected: Vec<ExpectedEntry>,
    answerable: Option<bool>,
}

/// An expected location as the file describes it; `page` is short for `pages` with one element.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedEntry {
    #[serde(alias = "file")]
    doc: String,
    #[serde(default)]
    pages: Vec<u32>,
    page: Option<u32>,
    section: Option<String>,
}

impl EvaluationSet {
    /// Reads and validates a set.
    ///
    /// # Errors
    /// If the set is not valid; the message names the file, and the document or question.
    pub fn read(path: &Path) -> Result<Self> {
        let file: EvaluationSetFile = read_json(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let not_valid = || format!("{} is not valid", path.display());
        let (documents_dir, documents) =
            read_list::<FileEntry>(file.documents, dir, "documents").with_context(not_valid)?;
        let (_, questions) = read_list::<QuestionEntry>(file.questions, dir, "questions").with_context(not_valid)?;
        let set = Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            documents: documents.iter().map(|entry| entry.resolve(&documents_dir)).collect::<Result<_>>()?,
            questions: questions
                .into_iter()
                .map(|entry| parse_question(entry, file.language.as_deref()))
                .collect::<Result<_>>()?,
            thresholds: file.thresholds,
        };
        set.check().with_context(not_valid)?;
        Ok(set)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.documents.is_empty(), "it has no documents");
        ensure!(!self.questions.is_empty(), "it has no questions");
        let mut names = HashSet::new();
        for document in &self.documents {
            ensure!(names.insert(document.name.as_str()), "two documents are called {}", document.name);
            ensure!(document.path.is_file(), "there is no file {}", document.path.display());
        }
        let mut ids = HashSet::new();
        for question in &self.questions {
            ensure!(ids.insert(question.id.as_str()), "two questions have the id {}", question.id);
            for ExpectedLocation(location) in &question.expected {
                ensure!(
                    names.contains(location.doc.as_str()),
                    "the question {} expects {}, which is not among the documents",
                    question.id,
                    location.doc
                );
            }
        }
        Ok(())
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
}

/// The entries of a list, and the directory to which paths in them are relative.
fn read_list<T: DeserializeOwned>(value: Value, dir: &Path, name: &str) -> Result<(PathBuf, Vec<T>)> {
    let (base, value) = match value {
        Value::String(file) => {
            let path = dir.join(file);
            let mut value: Value = read_json(&path)?;
            let list = value.get_mut(name).map(Value::take).unwrap_or(value);
            (path.parent().unwrap_or(dir).to_path_buf(), list)
        }
        list => (dir.to_path_buf(), list),
    };
    let Value::Array(entries) = value else { bail!("{name} is neither a list nor the path of a file with one") };
    let entry = |(at, entry)| serde_json::from_value(entry).with_context(|| format!("number {} of {name}", at + 1));
    Ok((base, entries.into_iter().enumerate().map(entry).collect::<Result<_>>()?))
}

fn parse_question(entry: QuestionEntry, default_language: Option<&str>) -> Result<Question> {
    let QuestionEntry { id, question, kind, language, expected, answerable } = entry;
    let language = language.or_else(|| default_language.map(str::to_owned));
    let text = QueryText::parse(&question).with_context(|| format!("the question {id}"))?;
    let answerable = answerable.unwrap_or(true);
    let expected: Vec<_> = expected.into_iter().flat_map(expected_locations).map(ExpectedLocation).collect();
    match (answerable, expected.is_empty()) {
        (true, true) => bail!(
            "the question {id} has no expected locations; if the documents do not answer it, set \"answerable\": false"
        ),
        (false, false) => bail!("the question {id} is not answerable, but has expected locations"),
        _ => Ok(Question { id, text, kind, language, answerable, expected }),
    }
}

fn expected_locations(entry: ExpectedEntry) -> Vec<Location> {
    let ExpectedEntry { doc, mut pages, page, section } = entry;
    pages.extend(page);
    let location = |page| Location { doc: doc.clone(), page, section: section.clone() };
    if pages.is_empty() { vec![location(None)] } else { pages.into_iter().map(|page| location(Some(page))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a set from a directory with a file `a.pdf`.
    fn read(text: &str) -> Result<EvaluationSet> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a.pdf"), "x").expect("written");
        std::fs::write(dir.path().join("list.json"), r#"{"documents": [{"path": "a.pdf", "title": "A"}]}"#).expect("w");
        let path = dir.path().join("my set.json");
        std::fs::write(&path, text).expect("written");
        EvaluationSet::read(&path)
    }

    fn error_text(text: &str) -> String {
        format!("{:#}", read(text).expect_err("not valid"))
    }

    #[test]
    fn expected_locations_have_a_page_a_list_of_pages_or_none() {
        let set = read(
            r#"{"documents": "list.json", "questions": [
                {"id": "1", "question": "why?",
                 "expected": [{"doc": "a.pdf", "pages": [3, 4]}, {"file": "a.pdf", "page": null}]},
                {"id": "2", "question": "was?", "answerable": false, "kind": "near miss", "language": "de"}],
                "floor": {"ndcg10": 0.5}, "language": "en"}"#,
        );
        let set = set.expect("valid");
        let pages: Vec<_> = set.questions[0].expected.iter().map(|ExpectedLocation(location)| location.page).collect();
        assert_eq!(pages, [Some(3), Some(4), None]);
        assert!(set.questions[0].answerable && !set.questions[1].answerable);
        let languages: Vec<_> = set.questions.iter().map(|question| question.language.as_deref()).collect();
        assert_eq!(languages, [Some("en"), Some("de")]);
        assert_eq!((set.name.as_str(), set.documents[0].name.as_str()), ("my set", "a.pdf"));
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        let set_with = |question: &str| format!(r#"{{"documents": [{{"path": "a.pdf"}}], "questions": [{question}]}}"#);
        let no_location = error_text(&set_with(r#"{"id": "q7", "question": "why?"}"#));
        assert!(no_location.contains("q7 has no expected locations"), "{no_location}");
        let unknown = error_text(&set_with(r#"{"id": "q7", "question": "why?", "expected": [{"doc": "b.pdf"}]}"#));
        assert!(unknown.contains("q7 expects b.pdf, which is not among the documents"), "{unknown}");
        let typo =
            error_text(&set_with(r#"{"id": "q7", "question": "why?", "expected": [{"doc": "a.pdf", "pags": [1]}]}"#));
        assert!(typo.contains("number 1 of questions: unknown field `pags`"), "{typo}");
        let missing = error_text(
            r#"{"documents": [{"path": "c.pdf"}], "questions": [{"id": "1", "question": "?", "answerable": false}]}"#,
        );
        assert!(missing.contains("there is no file") && missing.contains("c.pdf"), "{missing}");
        assert!(error_text(r#"{"documents": []}"#).contains("questions"), "names the missing list");
    }
}
