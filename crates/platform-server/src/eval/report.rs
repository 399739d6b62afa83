//! What an evaluation says: a table for people, and everything else as JSON for programs.

use super::ask::{Asked, Ranked, WAYS, place};
use super::figures::{Figures, Metric};
use super::site::{Ingested, Site};
use domain::search::{Hit, Passage};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use tools::retrieval::Fused;

/// Name of the column of the configured way.
const CONFIGURED: &str = "configured";

/// The figures of each way to rank, the configured one first, under its name.
#[must_use]
pub fn figures(asked: &[Asked<'_>]) -> Vec<(&'static str, Figures)> {
    let mut configured = of_way(asked, |one| Some(&one.configured));
    add_answers(asked, &mut configured);
    configured.mean(Metric::IndexRecall5, asked.iter().filter_map(|one| one.index_recall).map(f64::from));
    let mut all = vec![(CONFIGURED, configured)];
    if asked.iter().any(|one| !one.others.is_empty()) {
        all.extend(WAYS.iter().enumerate().map(|(at, (name, _))| (*name, of_way(asked, |one| one.others.get(at)))));
    }
    all
}

fn of_way<'a>(asked: &'a [Asked<'_>], way: impl Fn(&'a Asked<'_>) -> Option<&'a Ranked>) -> Figures {
    let ranked: Vec<_> = asked.iter().filter_map(|one| Some((one.question.answerable, way(one)?))).collect();
    let hits = || ranked.iter().filter_map(|(_, ranked)| ranked.hits);
    let mut figures = Figures::default();
    figures.mean(Metric::Ndcg10, hits().map(|hits| hits.ndcg10));
    figures.mean(Metric::Recall5, hits().map(|hits| hits.recall5));
    figures.mean(Metric::Mrr, hits().map(|hits| hits.reciprocal_rank));
    figures.mean(Metric::Hit1, hits().map(|hits| hits.hit1));
    figures.mean(Metric::Hit5, hits().map(|hits| hits.hit5));
    figures.mean(Metric::DocumentRecall5, hits().map(|hits| hits.document_recall5));
    let refused = |answerable: bool| {
        ranked.iter().filter(move |(is, _)| *is == answerable).map(|(_, ranked)| !ranked.retrieval.answerable)
    };
    figures.share(Metric::Refused, refused(false));
    figures.share(Metric::WronglyRefused, refused(true));
    figures
}

fn add_answers(asked: &[Asked<'_>], figures: &mut Figures) {
    let answers = |answerable: bool| {
        asked.iter().filter(move |one| one.question.answerable == answerable).filter_map(|one| one.answer.as_ref())
    };
    let given = answers(true).filter(|answer| !answer.is_refusal());
    figures.share(Metric::Cited, given.map(|answer| answer.is_right));
    figures.share(Metric::AnswersRefused, answers(false).map(|answer| answer.is_refusal()));
    figures.share(Metric::AnswersWronglyRefused, answers(true).map(|answer| answer.is_refusal()));
}

/// How long things took, and what they needed, in sentences.
#[must_use]
pub fn costs(site: &Site, asked: &[Asked<'_>]) -> String {
    let mut text = String::new();
    if let Some(Ingested { documents, pages, passages, seconds }) = site.ingested {
        let (rate, passage_rate) = (pages as f64 / seconds, passages as f64 / seconds);
        let _ = write!(text, "Ingested {documents} documents: {pages} pages, {passages} passages in {seconds:.1} s");
        let _ = writeln!(text, " ({rate:.1} pages/s, {passage_rate:.1} passages/s).");
    }
    let SearchTimes { median_ms, p95_ms } = SearchTimes::of(asked);
    let _ = write!(text, "A search took {median_ms:.0} ms (median; p95 {p95_ms:.0} ms).");
    if let Some(bytes) = peak_memory() {
        let _ = write!(text, " This process needed {} MiB at most.", bytes >> 20);
    }
    text
}

/// How long the searches took.
#[derive(Serialize)]
struct SearchTimes {
    median_ms: f64,
    p95_ms: f64,
}

impl SearchTimes {
    fn of(asked: &[Asked<'_>]) -> Self {
        let mut times: Vec<f64> = asked.iter().map(|one| one.took.as_secs_f64() * 1_000.0).collect();
        times.sort_by(f64::total_cmp);
        // The nearest rank: the smallest time that this share of the searches did not exceed.
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { median_ms: at(50).unwrap_or_default(), p95_ms: at(95).unwrap_or_default() }
    }
}

/// The most memory that this process had in use so far, in bytes, where the system tells (Linux, `VmHWM` of proc(5)).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A table: a line for each figure, a column for each way, with the difference to the first one.
#[must_use]
pub fn table(columns: &[(&str, Figures)]) -> String {
    let mut text = format!("{:32}", "");
    for (at, (name, _)) in columns.iter().enumerate() {
        let width = if at == 0 { 11 } else { 17 };
        let _ = write!(text, "{name:>width$}");
    }
    let Some((_, first)) = columns.first() else { return text };
    for metric in Metric::ALL {
        let Some(base) = first.get(metric) else { continue };
        let _ = write!(text, "\n{:32}{base:>11.3}", metric.title());
        for (_, figures) in columns.iter().skip(1) {
            let cell = figures.get(metric).map(|value| format!("{value:.3} ({:+.3})", value - base));
            let _ = write!(text, "{:>17}", cell.unwrap_or_default());
        }
    }
    text
}

/// Everything, question by question.
#[must_use]
pub fn json(site: &Site, set: &str, asked: &[Asked<'_>], columns: &[(&str, Figures)]) -> Value {
    let figures: serde_json::Map<_, _> = columns.iter().map(|(name, of)| ((*name).to_owned(), json!(of))).collect();
    json!({
        "set": set,
        "tenant": site.tenant(),
        "documents": site.names.len(),
        "failed": site.failed,
        "ingested": site.ingested,
        "search": SearchTimes::of(asked),
        "peak_memory_bytes": peak_memory(),
        "figures": figures,
        "questions": asked.iter().map(|one| question(site, one)).collect::<Vec<_>>(),
    })
}

fn question(site: &Site, one: &Asked<'_>) -> Value {
    let asked = one.question;
    let mut value = json!({
        "id": asked.id,
        "question": asked.text,
        "kind": asked.kind,
        "answerable": asked.answerable,
        "took_ms": one.took.as_secs_f64() * 1_000.0,
        "index_recall5": one.index_recall,
        "expected": asked.expected,
        CONFIGURED: ranked(site, one, &one.configured),
    });
    for ((name, _), way) in WAYS.iter().zip(&one.others) {
        value[*name] = ranked(site, one, way);
    }
    if !one.candidates.is_empty() {
        let candidate = |fused: &Fused| {
            let mut value = located(site, one, &fused.passage);
            value["score"] = json!(fused.score);
            value["similarity"] = json!(fused.similarity);
            value["bm25"] = json!(fused.bm25);
            value
        };
        value["candidates"] = one.candidates.iter().map(candidate).collect();
    }
    if let Some(answer) = &one.answer {
        value["answer"] = json!({ "text": answer.text, "cited": answer.cited, "is_right": answer.is_right });
    }
    value
}

fn ranked(site: &Site, one: &Asked<'_>, way: &Ranked) -> Value {
    let hit = |hit: &Hit| {
        let mut value = located(site, one, &hit.passage);
        value["score"] = json!(hit.score);
        value["similarity"] = json!(hit.similarity);
        value["bm25"] = json!(hit.bm25);
        value["rerank"] = json!(hit.rerank);
        value
    };
    let found = &way.retrieval;
    json!({
        "answerable": found.answerable,
        "confidence": found.confidence,
        "degraded": found.degraded,
        "hits": way.hits,
        "places": way.places.len(),
        "ranked": found.hits.iter().map(hit).collect::<Vec<_>>(),
    })
}

fn located(site: &Site, one: &Asked<'_>, passage: &Passage) -> Value {
    let place = place(site, passage);
    json!({
        "doc": place.doc,
        "page": place.page,
        "section": passage.section,
        "chunk": passage.chunk_index,
        "expected": one.question.expected.iter().any(|expected| expected.is_at(&place)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_differences_to_the_first_column() {
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        ours.mean(Metric::Ndcg10, [0.9]);
        ours.mean(Metric::Cited, [1.0]);
        theirs.mean(Metric::Ndcg10, [0.75]);
        let table = table(&[("configured", ours), ("dense", theirs)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "nDCG@10                               0.900   0.750 (-0.150)");
        assert_eq!(lines[2].trim_end(), "answers: cited page right             1.000");
        assert_eq!(lines.len(), 3, "what was not measured is left out:\n{table}");
    }
}
