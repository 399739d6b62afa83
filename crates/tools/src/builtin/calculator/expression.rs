//! Evaluates arithmetic with units by `fend-core`, which calculates with rational numbers.
//!
//! The expressions come from a model. `fend` is a small programming language whose functions may call themselves
//! without end, so that what defines or nests too much is refused before it is evaluated; what remains runs for a
//! limited time, in a thread with a stack of its own.

use fend_core::{Context, Interrupt};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Maximum time of an evaluation.
const TIME_LIMIT: Duration = Duration::from_millis(300);
/// Stack of the thread that evaluates, in bytes.
const STACK_BYTES: usize = 16 << 20;
/// Maximum nesting of parentheses.
const MAX_DEPTH: usize = 20;
/// Maximum number of characters of a result.
const MAX_RESULT_CHARS: usize = 200;
/// Characters of an expression besides letters, digits and white space. Those that define functions and variables are
/// not among them.
const SYMBOLS: &str = "+-*/^().,%°µ!²³·×÷−";

/// Words of the plant, and what `fend` calls them. Each is replaced where it stands alone.
const SYNONYMS: &[(&str, &str)] = &[
    ("percent", "%"),
    ("degC", "°C"),
    ("degF", "°F"),
    ("celsius", "°C"),
    ("fahrenheit", "°F"),
    ("gpm", "(gallon/minute)"),
    ("rpm", "(1/minute)"),
    ("lpm", "(liter/minute)"),
    ("Nm", "(N m)"),
    ("per", "/"),
];

/// The result of an evaluation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Evaluated {
    pub(super) result: String,
    /// Whether the result is exact rather than rounded.
    pub(super) is_exact: bool,
}

struct Deadline(Instant);

impl Interrupt for Deadline {
    fn should_interrupt(&self) -> bool {
        self.0.elapsed() > TIME_LIMIT
    }
}

/// Evaluates an expression in a thread of its own, which ends within [`TIME_LIMIT`].
///
/// # Errors
/// What is wrong with the expression, as a sentence for the model.
pub(super) async fn evaluate_in_own_thread(expression: String) -> Result<Evaluated, String> {
    let (sender, receiver) = oneshot::channel();
    let started = Instant::now();
    let evaluate_and_send = move || {
        // Nobody waits for the result if the call was cancelled.
        let _ = sender.send(evaluate(&expression, started));
    };
    let thread = std::thread::Builder::new().name("calculator".to_owned()).stack_size(STACK_BYTES);
    let failed = || "The expression could not be evaluated.".to_owned();
    thread.spawn(evaluate_and_send).map_err(|_| failed())?;
    receiver.await.map_err(|_| failed())?
}

fn evaluate(expression: &str, started: Instant) -> Result<Evaluated, String> {
    let expression = normalized(expression)?;
    let mut context = Context::new();
    let evaluated = fend_core::evaluate_with_interrupt(&expression, &mut context, &Deadline(started));
    let evaluated = evaluated.map_err(|error| format!("The expression cannot be evaluated: {error}."))?;
    let text = evaluated.get_main_result().trim();
    if text.is_empty() {
        return Err("The expression has no result.".to_owned());
    }
    if text.chars().count() > MAX_RESULT_CHARS {
        return Err("The result is too long.".to_owned());
    }
    let (result, is_exact) = match text.strip_prefix("approx. ") {
        Some(rounded) => (rounded, false),
        None => (text, true),
    };
    Ok(Evaluated { result: result.to_owned(), is_exact })
}

/// Checks an expression, and writes it as `fend` reads it.
fn normalized(expression: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || SYMBOLS.contains(c);
    if let Some(c) = expression.chars().find(|c| !is_allowed(*c)) {
        return Err(format!("The character {c:?} is not allowed in an expression."));
    }
    if nesting_depth(expression) > MAX_DEPTH {
        return Err(format!("Parentheses are nested deeper than {MAX_DEPTH} levels."));
    }
    let mut text = String::with_capacity(expression.len());
    for c in expression.chars() {
        match c {
            '×' | '·' => text.push('*'),
            '÷' => text.push('/'),
            '−' => text.push('-'),
            '²' => text.push_str("^2"),
            '³' => text.push_str("^3"),
            other => text.push(other),
        }
    }
    let mut words = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let synonym = SYNONYMS.iter().find(|(name, _)| *name == word);
        words.push_str(synonym.map_or(word, |(_, meaning)| *meaning));
        let symbol = after.chars().next().map_or(0, char::len_utf8);
        words.push_str(&after[..symbol]);
        rest = &after[symbol..];
    }
    Ok(words)
}

fn nesting_depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn result(expression: &str) -> Result<String, String> {
        evaluate_in_own_thread(expression.to_owned()).await.map(|evaluated| evaluated.result)
    }

    #[tokio::test]
    async fn arithmetic_percentages_and_units_are_exact() {
        for (expression, expected) in [
            ("17.5% of 2480", "434"),
            ("17.5 percent of 2480", "434"),
            ("0.1 + 0.2", "0.3"),
            ("19.99 * 3", "59.97"),
            ("1/3 * 3", "1"),
            ("2480 × 1.175", "2914"),
            ("12.5 % of 80 bar", "10 bar"),
            ("(4.6 bar - 250 kPa) to kPa", "210 kPa"),
            ("2 degC to degF", "35.6 °F"),
            ("100 °C to K", "373.15 K"),
            ("48 h + 30 min to h", "48.5 h"),
            ("3/8 inch to mm", "9.525 mm"),
            ("1500 rpm to Hz", "25 Hz"),
            ("10 m² to cm^2", "100000 cm^2"),
            ("12 kW * 3 h to kWh", "36 kWh"),
        ] {
            assert_eq!(result(expression).await.as_deref(), Ok(expected), "{expression}");
        }
    }

    #[tokio::test]
    async fn a_rounded_result_says_so() {
        let evaluated = evaluate_in_own_thread("250 psi to bar".to_owned()).await;
        assert_eq!(evaluated, Ok(Evaluated { result: "17.2368932329 bar".to_owned(), is_exact: false }));
    }

    #[tokio::test]
    async fn what_has_no_result_is_an_error_that_says_why() {
        for expression in ["5 kg + 3 m", "10 barg to psi", "1 usd to eur", "roll d20", "1 / 0", "hello", "()", "+"] {
            assert!(result(expression).await.is_err(), "{expression}");
        }
        assert!(result("5 kg + 3 m").await.is_err_and(|detail| detail.contains("incompatible")));
    }

    /// Programs that would run without end, exhaust the stack or the memory.
    #[tokio::test]
    async fn hostile_expressions_end_quickly() {
        let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        let hostile = [
            r"(\x. x x)(\x. x x)",
            "f = x: f x; f 1",
            "(x => x x)(x => x x)",
            "9999!",
            "10^1000000",
            "2^2^2^2^2^2^2^2",
            "9^9^9",
            deep.as_str(),
        ];
        let started = Instant::now();
        for expression in hostile {
            assert!(result(expression).await.is_err(), "{expression}");
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        for long in
            ["-".repeat(299) + "1", "1+".repeat(149) + "1", "5!".repeat(150), "sin ".repeat(74), "not ".repeat(74)]
        {
            let _ = result(&long).await;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever a model writes: a result or an error, and the process lives.
        #[test]
        fn every_text_is_evaluated_or_refused(expression in "[0-9a-z+*/^()%. !°-]{0,60}") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(result(&expression));
        }
    }
}
