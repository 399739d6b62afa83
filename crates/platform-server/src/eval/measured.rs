//! Computes the metrics of questions from their results.

use super::ask::{QuestionResult, Ranking};
use super::metrics::{Metric, MetricValues};

/// The metrics of the configured ranking, of the answers, and of the vector index.
#[must_use]
pub fn configured_metrics(results: &[&QuestionResult<'_>]) -> MetricValues {
    let mut values = ranking_metrics(results, |result| Some(&result.configured_ranking));
    add_answer_metrics(results, &mut values);
    values.set_mean(Metric::IndexRecall5, results.iter().filter_map(|result| result.index_recall).map(f64::from));
    values
}

/// The metrics of one ranking of each question.
pub fn ranking_metrics<'a>(
    results: &[&'a QuestionResult<'_>],
    ranking: impl Fn(&'a QuestionResult<'_>) -> Option<&'a Ranking>,
) -> MetricValues {
    let ranked: Vec<_> =
        results.iter().copied().filter_map(|result| Some((result.question.answerable, ranking(result)?))).collect();
    let scores = || ranked.iter().filter_map(|(_, ranked)| ranked.scores);
    let mut values = MetricValues::default();
    values.set_mean(Metric::Ndcg10, scores().map(|ranking_scores| ranking_scores.ndcg10));
    values.set_mean(Metric::Recall5, scores().map(|ranking_scores| ranking_scores.recall5));
    values.set_mean(Metric::Mrr, scores().map(|ranking_scores| ranking_scores.reciprocal_rank));
    values.set_mean(Metric::Hit1, scores().map(|ranking_scores| ranking_scores.hit1));
    values.set_mean(Metric::Hit5, scores().map(|ranking_scores| ranking_scores.hit5));
    values.set_mean(Metric::DocumentRecall5, scores().map(|ranking_scores| ranking_scores.document_recall5));
    let refused = |answerable: bool| {
        ranked
            .iter()
            .filter(move |(is_answerable, _)| *is_answerable == answerable)
            .map(|(_, ranked)| !ranked.retrieval.answerable)
    };
    values.set_share(Metric::Refused, refused(false));
    values.set_share(Metric::WronglyRefused, refused(true));
    values
}

fn add_answer_metrics(results: &[&QuestionResult<'_>], values: &mut MetricValues) {
    let answers = |answerable: bool| {
        results
            .iter()
            .filter(move |result| result.question.answerable == answerable)
            .filter_map(|result| result.answer.as_ref())
    };
    let citing_answers = answers(true).filter(|answer| !answer.is_refusal());
    values.set_share(Metric::Cited, citing_answers.map(|answer| answer.cites_expected));
    values.set_share(Metric::AnswersRefused, answers(false).map(|answer| answer.is_refusal()));
    values.set_share(Metric::AnswersWronglyRefused, answers(true).map(|answer| answer.is_refusal()));
}
