//! Reports of an evaluation: a printed table, and JSON with the results of each question.

use super::ask::{ALTERNATIVES, QuestionResult, Ranking, location};
use super::groups::{groupings, groups_json};
use super::interval::Interval;
use super::measured::{configured_metrics, ranking_metrics};
use super::metrics::{Metric, MetricValues};
use super::ranking::params_json;
use super::session::{IngestionStats, Session};
use domain::search::{Hit, Passage};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use tools::retrieval::{FusedHit, QuestionKind};

/// Name of the configured ranking in tables and JSON.
const CONFIGURED: &str = "configured";

/// The name and metric values of each ranking, the configured one first.
#[must_use]
pub fn ranking_columns(results: &[QuestionResult<'_>]) -> Vec<(&'static str, MetricValues)> {
    let results: Vec<&QuestionResult<'_>> = results.iter().collect();
    let mut all = vec![(CONFIGURED, configured_metrics(&results))];
    if results.iter().any(|result| !result.alternative_rankings.is_empty()) {
        all.extend(
            ALTERNATIVES.iter().enumerate().map(|(at, (name, _))| {
                (*name, ranking_metrics(&results, |result| result.alternative_rankings.get(at)))
            }),
        );
    }
    all
}

/// Formats the ingestion throughput, the search latency and the peak memory.
#[must_use]
pub fn resource_summary(session: &Session, results: &[QuestionResult<'_>]) -> String {
    let mut text = String::new();
    if let Some(IngestionStats { documents, pages, passages, seconds }) = session.ingestion_stats {
        let (rate, passage_rate) = (pages as f64 / seconds, passages as f64 / seconds);
        let _ = write!(text, "Ingested {documents} documents: {pages} pages, {passages} passages in {seconds:.1} s");
        let _ = writeln!(text, " ({rate:.1} pages/s, {passage_rate:.1} passages/s).");
    }
    let SearchLatency { median_ms, p95_ms } = SearchLatency::from_results(results);
    let _ = write!(text, "A search took {median_ms:.0} ms (median; p95 {p95_ms:.0} ms).");
    if let Some(bytes) = peak_memory() {
        let _ = write!(text, " This process needed {} MiB at most.", bytes >> 20);
    }
    text
}

/// Latency of the searches, in milliseconds.
#[derive(Serialize)]
struct SearchLatency {
    median_ms: f64,
    p95_ms: f64,
}

impl SearchLatency {
    fn from_results(results: &[QuestionResult<'_>]) -> Self {
        let mut times: Vec<f64> = results.iter().map(|result| result.search_duration.as_secs_f64() * 1_000.0).collect();
        times.sort_by(f64::total_cmp);
        // Percentile by the nearest-rank method.
        let percentile = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { median_ms: percentile(50).unwrap_or_default(), p95_ms: percentile(95).unwrap_or_default() }
    }
}

/// Peak memory of this process in bytes; Linux only (`VmHWM` of proc(5)).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A text table with a row for each measured metric and a column for each ranking. The first one has 95 % confidence
/// intervals, the others their differences to it.
#[must_use]
pub fn table(columns: &[(&str, MetricValues)]) -> String {
    let mut text = format!("{:32}", "");
    for (at, (name, _)) in columns.iter().enumerate() {
        if at == 0 {
            let _ = write!(text, "{name:>11}  {:14}", "95 % interval");
        } else {
            let _ = write!(text, "{name:>17}");
        }
    }
    let Some((_, first)) = columns.first() else { return text };
    for metric in Metric::ALL {
        let Some(base) = first.get(metric) else { continue };
        let interval = first.interval(metric).map(|Interval { low, high }| format!("[{low:.3}, {high:.3}]"));
        let _ = write!(text, "\n{:32}{base:>11.3}  {:14}", metric.title(), interval.unwrap_or_default());
        for (_, values) in columns.iter().skip(1) {
            let cell = values.get(metric).map(|value| format!("{value:.3} ({:+.3})", value - base));
            let _ = write!(text, "{:>17}", cell.unwrap_or_default());
        }
    }
    text
}

/// The JSON report, with the results of each question.
#[must_use]
pub fn json_report(
    session: &Session,
    set: &str,
    results: &[QuestionResult<'_>],
    columns: &[(&str, MetricValues)],
) -> Value {
    let values: serde_json::Map<_, _> =
        columns.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect();
    json!({
        "set": set,
        "tenant": session.tenant(),
        "documents": session.document_names.len(),
        "failed": session.failures,
        "ingested": session.ingestion_stats,
        "params": params_json(&session.platform.retrieval.params()),
        "search": SearchLatency::from_results(results),
        "peak_memory_bytes": peak_memory(),
        "metrics": values,
        "intervals": columns.first().map(|(_, values)| values.intervals()),
        "groups": groups_json(&groupings(results)),
        "questions": results.iter().map(|result| question_json(session, result)).collect::<Vec<_>>(),
    })
}

fn question_json(session: &Session, result: &QuestionResult<'_>) -> Value {
    let question = result.question;
    let mut value = json!({
        "id": question.id,
        "question": question.text,
        "kind": question.kind,
        "language": question.language,
        "asks_for": QuestionKind::of(question.text.as_str()).map(QuestionKind::as_str),
        "answerable": question.answerable,
        "took_ms": result.search_duration.as_secs_f64() * 1_000.0,
        "index_recall5": result.index_recall,
        "expected": question.expected,
        CONFIGURED: ranking_json(session, result, &result.configured_ranking),
    });
    for ((name, _), ranking) in ALTERNATIVES.iter().zip(&result.alternative_rankings) {
        value[*name] = ranking_json(session, result, ranking);
    }
    if !result.candidates.is_empty() {
        let candidate = |fused: &FusedHit<Passage>| {
            let mut value = passage_json(session, result, &fused.passage);
            value["score"] = json!(fused.score);
            value["similarity"] = json!(fused.similarity);
            value["bm25"] = json!(fused.bm25);
            value
        };
        value["candidates"] = result.candidates.iter().map(candidate).collect();
    }
    if let Some(answer) = &result.answer {
        value["answer"] =
            json!({ "text": answer.text, "cited": answer.cited_locations, "is_right": answer.cites_expected });
    }
    value
}

fn ranking_json(session: &Session, result: &QuestionResult<'_>, ranking: &Ranking) -> Value {
    let hit = |hit: &Hit| {
        let mut value = passage_json(session, result, &hit.passage);
        value["score"] = json!(hit.score);
        value["similarity"] = json!(hit.similarity);
        value["bm25"] = json!(hit.bm25);
        value["rerank"] = json!(hit.rerank_score);
        value
    };
    let found = &ranking.retrieval;
    json!({
        "answerable": found.answerable,
        "confidence": found.confidence,
        "degraded": found.degraded,
        "hits": ranking.scores,
        "places": ranking.locations.len(),
        "ranked": found.hits.iter().map(hit).collect::<Vec<_>>(),
    })
}

fn passage_json(session: &Session, result: &QuestionResult<'_>, passage: &Passage) -> Value {
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
        let (mut ours, mut theirs) = (MetricValues::default(), MetricValues::default());
        ours.set_mean(Metric::Ndcg10, [0.9]);
        ours.set_mean(Metric::Cited, [1.0]);
        theirs.set_mean(Metric::Ndcg10, [0.75]);
        let table = table(&[("configured", ours), ("dense", theirs)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "nDCG@10                               0.900  [0.900, 0.900]   0.750 (-0.150)");
        assert_eq!(lines[2].trim_end(), "answers: cited page correct           1.000  [1.000, 1.000]");
        assert_eq!(lines.len(), 3, "metrics that were not measured are left out:\n{table}");
    }
}
