//! Compares the results of two evaluations question by question: what became better, and what worse.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::results::{AnswerOutcome, Outcome, Results};

/// Differences of nDCG that are not counted, because they come from rounding.
const NDCG_TOLERANCE: f64 = 1e-6;

/// What is compared about a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aspect {
    /// Rank of the first right place.
    Rank,
    /// nDCG@10, for questions with several right places.
    Ndcg,
    /// Whether the search says that the documents answer the question.
    Verdict,
    /// What the answer cites.
    Answer,
}

impl Aspect {
    const ALL: [Self; 4] = [Self::Rank, Self::Ndcg, Self::Verdict, Self::Answer];

    fn title(self) -> &'static str {
        match self {
            Self::Rank => "rank of the first right place",
            Self::Ndcg => "nDCG@10",
            Self::Verdict => "verdict",
            Self::Answer => "answer",
        }
    }

    /// [`Ordering::Greater`] if `after` is better; `None` if it does not apply to the question.
    fn compare(self, before: &Outcome, after: &Outcome) -> Option<Ordering> {
        match self {
            Self::Rank => before.is_answerable.then(|| rank_order(before.rank, after.rank)),
            Self::Ndcg => {
                let difference = after.ndcg10? - before.ndcg10?;
                if difference.abs() < NDCG_TOLERANCE { Some(Ordering::Equal) } else { difference.partial_cmp(&0.0) }
            }
            Self::Verdict => Some(has_right_verdict(after).cmp(&has_right_verdict(before))),
            Self::Answer => Some(after.answer.as_ref()?.is_right.cmp(&before.answer.as_ref()?.is_right)),
        }
    }

    /// The values before and after, if they differ.
    fn change(self, before: &Outcome, after: &Outcome) -> Option<String> {
        let (before, after) = (self.value(before)?, self.value(after)?);
        (before != after).then(|| format!("{} {before} → {after}", self.label()))
    }

    fn label(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Ndcg => "nDCG",
            Self::Verdict => "verdict",
            Self::Answer => "cites",
        }
    }

    fn value(self, outcome: &Outcome) -> Option<String> {
        match self {
            Self::Rank => {
                let rank = outcome.rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string());
                outcome.is_answerable.then_some(rank)
            }
            Self::Ndcg => outcome.ndcg10.map(|ndcg| format!("{ndcg:.3}")),
            Self::Verdict => {
                let verdict = if outcome.says_answerable { "answerable" } else { "no answer" };
                Some(format!("{verdict}{}", mark(has_right_verdict(outcome))))
            }
            Self::Answer => {
                let AnswerOutcome { cited, is_right } = outcome.answer.as_ref()?;
                Some(format!("{}{}", cited.as_deref().unwrap_or("nothing"), mark(*is_right)))
            }
        }
    }
}

/// [`Ordering::Greater`] if the rank after is better, which is a lower one.
fn rank_order(before: Option<u64>, after: Option<u64>) -> Ordering {
    before.unwrap_or(u64::MAX).cmp(&after.unwrap_or(u64::MAX))
}

fn has_right_verdict(outcome: &Outcome) -> bool {
    outcome.says_answerable == outcome.is_answerable
}

fn mark(is_right: bool) -> &'static str {
    if is_right { " (right)" } else { " (wrong)" }
}

/// Numbers of questions by how an aspect changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    better: u64,
    worse: u64,
    same: u64,
}

impl Counts {
    fn add(&mut self, change: Ordering) {
        match change {
            Ordering::Greater => self.better += 1,
            Ordering::Less => self.worse += 1,
            Ordering::Equal => self.same += 1,
        }
    }
}

/// How a question changed as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Better,
    Worse,
    /// Better in one aspect and worse in another.
    Mixed,
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Worse, Self::Mixed, Self::Better];

    fn of(before: &Outcome, after: &Outcome) -> Option<Self> {
        let changes: Vec<Ordering> = Aspect::ALL.iter().filter_map(|aspect| aspect.compare(before, after)).collect();
        match (changes.contains(&Ordering::Greater), changes.contains(&Ordering::Less)) {
            (true, false) => Some(Self::Better),
            (false, true) => Some(Self::Worse),
            (true, true) => Some(Self::Mixed),
            (false, false) => None,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Better => "Better",
            Self::Worse => "Worse",
            Self::Mixed => "Better and worse",
        }
    }
}

/// A question of both evaluations.
struct Pair<'r> {
    id: &'r str,
    before: &'r Outcome,
    after: &'r Outcome,
}

impl Pair<'_> {
    /// The question with everything that differs.
    fn describe(&self) -> String {
        let changes = Aspect::ALL.iter().filter_map(|aspect| aspect.change(self.before, self.after));
        let changes: Vec<String> = changes.collect();
        format!("  {}  {}\n      {}\n", self.id, self.after.question, changes.join("; "))
    }
}

/// What changed from `before` to `after`: each question that became better or worse, and how many did, with a sign
/// test. Only questions with the same id and text are compared.
#[must_use]
pub fn compare(before: &Results, after: &Results) -> String {
    let pairs: Vec<Pair<'_>> = after
        .outcomes
        .iter()
        .filter_map(|(id, after)| Some(Pair { id, before: before.outcomes.get(id)?, after }))
        .filter(|pair| pair.before.question == pair.after.question)
        .collect();
    let mut text = format!("From {} to {}: {} questions", before.label, after.label, pairs.len());
    let (only_before, only_after) = (before.outcomes.len() - pairs.len(), after.outcomes.len() - pairs.len());
    if only_before + only_after > 0 {
        let _ = write!(text, "; {only_before} only before and {only_after} only after are not compared");
    }
    text.push('\n');
    for verdict in Verdict::ALL {
        let of_verdict = pairs.iter().filter(|pair| Verdict::of(pair.before, pair.after) == Some(verdict));
        let described: Vec<String> = of_verdict.map(Pair::describe).collect();
        if !described.is_empty() {
            let _ = write!(text, "\n{} ({})\n{}", verdict.title(), described.len(), described.concat());
        }
    }
    text.push_str(&summary(&pairs));
    text
}

/// A line for each aspect that was measured in both evaluations.
fn summary(pairs: &[Pair<'_>]) -> String {
    let mut text = format!("\n{:32}{:>8}{:>8}{:>8}{:>12}\n", "", "better", "worse", "same", "sign test p");
    for aspect in Aspect::ALL {
        let mut counts = Counts::default();
        pairs.iter().filter_map(|pair| aspect.compare(pair.before, pair.after)).for_each(|change| counts.add(change));
        let Counts { better, worse, same } = counts;
        if better + worse + same > 0 {
            let p = sign_test(better, worse);
            let _ = writeln!(text, "{:32}{better:>8}{worse:>8}{same:>8}{p:>12.3}", aspect.title());
        }
    }
    text
}

/// The two-sided p value of the sign test: how likely it is that as many, or more, of the changed questions changed in
/// one direction if both were equally likely. 1 if nothing changed.
fn sign_test(better: u64, worse: u64) -> f64 {
    let (changed, fewer) = (better + worse, better.min(worse));
    let mut log_binomial = 0.0;
    let mut tail = 0.0;
    for successes in 0..=fewer {
        if successes > 0 {
            log_binomial += ((changed - successes + 1) as f64 / successes as f64).ln();
        }
        tail += (log_binomial - changed as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rank: Option<u64>, says_answerable: bool) -> Outcome {
        Outcome {
            question: "Which bolts?".to_owned(),
            is_answerable: true,
            rank,
            ndcg10: Some(rank.map_or(0.0, |rank| 1.0 / rank as f64)),
            says_answerable,
            answer: None,
        }
    }

    fn unanswerable(says_answerable: bool) -> Outcome {
        Outcome { is_answerable: false, ndcg10: None, ..outcome(None, says_answerable) }
    }

    fn results(label: &str, outcomes: &[(&str, Outcome)]) -> Results {
        let outcomes = outcomes.iter().map(|(id, outcome)| ((*id).to_owned(), outcome.clone())).collect();
        Results { label: label.to_owned(), outcomes }
    }

    fn answered(cited: Option<&str>, is_right: bool) -> Outcome {
        let answer = AnswerOutcome { cited: cited.map(str::to_owned), is_right };
        Outcome { answer: Some(answer), ..outcome(Some(1), true) }
    }

    #[test]
    fn each_question_that_changed_is_listed_with_what_changed() {
        let before = results(
            "before.json",
            &[
                ("better", outcome(Some(4), true)),
                ("cited", answered(Some("a.pdf p. 2"), false)),
                ("denied", outcome(Some(1), true)),
                ("lost", outcome(Some(2), true)),
                ("mixed", outcome(Some(2), true)),
                ("same", outcome(Some(2), true)),
                ("unknown", unanswerable(true)),
            ],
        );
        let after = results(
            "after.json",
            &[
                ("better", outcome(Some(1), true)),
                ("cited", answered(Some("b.pdf p. 3"), true)),
                ("denied", outcome(Some(1), false)),
                ("lost", outcome(None, true)),
                ("mixed", outcome(Some(1), false)),
                ("same", outcome(Some(2), true)),
                ("unknown", unanswerable(false)),
            ],
        );
        let expected = "\
From before.json to after.json: 7 questions

Worse (2)
  denied  Which bolts?
      verdict answerable (right) → no answer (wrong)
  lost  Which bolts?
      rank 2 → none; nDCG 0.500 → 0.000

Better and worse (1)
  mixed  Which bolts?
      rank 2 → 1; nDCG 0.500 → 1.000; verdict answerable (right) → no answer (wrong)

Better (3)
  better  Which bolts?
      rank 4 → 1; nDCG 0.250 → 1.000
  cited  Which bolts?
      cites a.pdf p. 2 (wrong) → b.pdf p. 3 (right)
  unknown  Which bolts?
      verdict answerable (wrong) → no answer (right)

                                  better   worse    same sign test p
rank of the first right place          2       1       3       1.000
nDCG@10                                2       1       3       1.000
verdict                                1       2       4       1.000
answer                                 1       0       0       1.000
";
        assert_eq!(compare(&before, &after), expected);
    }

    #[test]
    fn other_questions_are_counted_and_not_compared() {
        let before = results("a", &[("1", outcome(Some(1), true)), ("2", outcome(Some(1), true))]);
        let reworded = Outcome { question: "Which nuts?".to_owned(), ..outcome(None, true) };
        let after = results("b", &[("1", reworded), ("2", outcome(Some(1), true)), ("3", outcome(Some(1), true))]);
        let text = compare(&before, &after);
        assert!(
            text.starts_with("From a to b: 1 questions; 1 only before and 2 only after are not compared\n"),
            "{text}"
        );
        assert!(!text.contains("Worse"), "{text}");
    }

    #[test]
    fn the_sign_test_has_the_values_of_the_binomial_distribution() {
        for (better, worse, expected) in
            [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (0, 6, 0.031_25), (9, 1, 0.021_484_375), (8, 8, 1.0)]
        {
            let p = sign_test(better, worse);
            assert!((p - expected).abs() < 1e-9, "{better} {worse}: {p}");
        }
        let many = sign_test(1_300, 1_000);
        assert!((0.0..1e-8).contains(&many), "{many}");
    }
}
