//! Reports of an evaluation: a printed table, and JSON with the results of each question.

use super::ask::{ALTERNATIVES, QuestionResult, Ranking, location};
use super::figures::{Figures, Metric};
use super::session::{Ingested, Session};
use domain::search::{Hit, Passage};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use tools::retrieval::Fused;

/// Name of the configured ranking in tables and JSON.
const CONFIGURED: &str = "configured";

/// The name and metric values of each ranking, the configured one first.
#[must_use]
pub fn figures(asked: &[QuestionResult<'_>]) -> Vec<(&'static str, Figures)> {
    let mut configured = ranking_figures(asked, |result| Some(&result.configured));
    add_answer_figures(asked, &mut configured);
    configured.add_mean(Metric::IndexRecall5, asked.iter().filter_map(|result| result.index_recall).map(f64::from));
    let mut all = vec![(CONFIGURED, configured)];
    if asked.iter().any(|result| !result.others.is_empty()) {
        all.extend(
            ALTERNATIVES
                .iter()
                .enumerate()
                .map(|(at, (name, _))| (*name, ranking_figures(asked, |result| result.others.get(at)))),
        );
    }
    all
}

fn ranking_figures<'a>(
    asked: &'a [QuestionResult<'_>],
    ranking: impl Fn(&'a QuestionResult<'_>) -> Option<&'a Ranking>,
) -> Figures {
    let ranked: Vec<_> =
        asked.iter().filter_map(|result| Some((result.question.answerable, ranking(result)?))).collect();
    let hits = || ranked.iter().filter_map(|(_, ranked)| ranked.hits);
    let mut figures = Figures::default();
    figures.add_mean(Metric::Ndcg10, hits().map(|hits| hits.ndcg10));
    figures.add_mean(Metric::Recall5, hits().map(|hits| hits.recall5));
    figures.add_mean(Metric::Mrr, hits().map(|hits| hits.reciprocal_rank));
    figures.add_mean(Metric::Hit1, hits().map(|hits| hits.hit1));
    figures.add_mean(Metric::Hit5, hits().map(|hits| hits.hit5));
    figures.add_mean(Metric::DocumentRecall5, hits().map(|hits| hits.document_recall5));
    let refused = |answerable: bool| {
        ranked.iter().filter(move |(is, _)| *is == answerable).map(|(_, ranked)| !ranked.retrieval.answerable)
    };
    figures.add_share(Metric::Refused, refused(false));
    figures.add_share(Metric::WronglyRefused, refused(true));
    figures
}

fn add_answer_figures(asked: &[QuestionResult<'_>], figures: &mut Figures) {
    let answers = |answerable: bool| {
        asked
            .iter()
            .filter(move |result| result.question.answerable == answerable)
            .filter_map(|result| result.answer.as_ref())
    };
    let given = answers(true).filter(|answer| !answer.is_refusal());
    figures.add_share(Metric::Cited, given.map(|answer| answer.is_right));
    figures.add_share(Metric::AnswersRefused, answers(false).map(|answer| answer.is_refusal()));
    figures.add_share(Metric::AnswersWronglyRefused, answers(true).map(|answer| answer.is_refusal()));
}

/// Formats the ingestion throughput, the search latency and the peak memory.
#[must_use]
pub fn costs(session: &Session, asked: &[QuestionResult<'_>]) -> String {
    let mut text = String::new();
    if let Some(Ingested { documents, pages, passages, seconds }) = session.ingested {
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

/// Latency of the searches, in milliseconds.
#[derive(Serialize)]
struct SearchTimes {
    median_ms: f64,
    p95_ms: f64,
}

impl SearchTimes {
    fn of(asked: &[QuestionResult<'_>]) -> Self {
        let mut times: Vec<f64> = asked.iter().map(|result| result.took.as_secs_f64() * 1_000.0).collect();
        times.sort_by(f64::total_cmp);
        // Percentile by the nearest-rank method.
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { median_ms: at(50).unwrap_or_default(), p95_ms: at(95).unwrap_or_default() }
    }
}

/// Peak memory of this process in bytes; Linux only (`VmHWM` of proc(5)).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A text table with a row for each measured metric and a column for each ranking; differences are to the first column.
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

/// The JSON report, with the results of each question.
#[must_use]
pub fn json(session: &Session, set: &str, asked: &[QuestionResult<'_>], columns: &[(&str, Figures)]) -> Value {
    let figures: serde_json::Map<_, _> = columns.iter().map(|(name, of)| ((*name).to_owned(), json!(of))).collect();
    json!({
        "set": set,
        "tenant": session.tenant(),
        "documents": session.names.len(),
        "failed": session.failed,
        "ingested": session.ingested,
        "search": SearchTimes::of(asked),
        "peak_memory_bytes": peak_memory(),
        "figures": figures,
        "questions": asked.iter().map(|result| question(session, result)).collect::<Vec<_>>(),
    })
}

fn question(session: &Session, result: &QuestionResult<'_>) -> Value {
    let asked = result.question;
    let mut value = json!({
        "id": asked.id,
        "question": asked.text,
        "kind": asked.kind,
        "answerable": asked.answerable,
        "took_ms": result.took.as_secs_f64() * 1_000.0,
        "index_recall5": result.index_recall,
        "expected": asked.expected,
        CONFIGURED: ranked(session, result, &result.configured),
    });
    for ((name, _), ranking) in ALTERNATIVES.iter().zip(&result.others) {
        value[*name] = ranked(session, result, ranking);
    }
    if !result.candidates.is_empty() {
        let candidate = |fused: &Fused<Passage>| {
            let mut value = located(session, result, &fused.passage);
            value["score"] = json!(fused.score);
            value["similarity"] = json!(fused.similarity);
            value["bm25"] = json!(fused.bm25);
            value
        };
        value["candidates"] = result.candidates.iter().map(candidate).collect();
    }
    if let Some(answer) = &result.answer {
        value["answer"] = json!({ "text": answer.text, "cited": answer.cited, "is_right": answer.is_right });
    }
    value
}

fn ranked(session: &Session, result: &QuestionResult<'_>, ranking: &Ranking) -> Value {
    let hit = |hit: &Hit| {
        let mut value = located(session, result, &hit.passage);
        value["score"] = json!(hit.score);
        value["similarity"] = json!(hit.similarity);
        value["bm25"] = json!(hit.bm25);
        value["rerank"] = json!(hit.rerank);
        value
    };
    let found = &ranking.retrieval;
    json!({
        "answerable": found.answerable,
        "confidence": found.confidence,
        "degraded": found.degraded,
        "hits": ranking.hits,
        "places": ranking.locations.len(),
        "ranked": found.hits.iter().map(hit).collect::<Vec<_>>(),
    })
}

fn located(session: &Session, result: &QuestionResult<'_>, passage: &Passage) -> Value {
    let location = location(session, passage);
    json!({
        "doc": location.doc,
        "page": location.page,
        "section": passage.section,
        "chunk": passage.chunk_index,
        "expected": result.question.expected.iter().any(|expected| expected.matches(&location)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_differences_to_the_first_column() {
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        ours.add_mean(Metric::Ndcg10, [0.9]);
        ours.add_mean(Metric::Cited, [1.0]);
        theirs.add_mean(Metric::Ndcg10, [0.75]);
        let table = table(&[("configured", ours), ("dense", theirs)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "nDCG@10                               0.900   0.750 (-0.150)");
        assert_eq!(lines[2].trim_end(), "answers: cited page correct           1.000");
        assert_eq!(lines.len(), 3, "metrics that were not measured are left out:\n{table}");
    }
}
