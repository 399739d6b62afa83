//! Decides by simple text rules whether a question has several parts, and whether it is a calculation. What these rules
//! do not recognize is answered by the assistant alone, with one model call.

/// Words that lead from one part of a task to the next.
const CONNECTIVES: &[&str] = &[
    " and then ",
    ", then ",
    "; then ",
    " and calculate ",
    " and compute ",
    " and convert ",
    " and draft ",
    " and check whether ",
    " and compare ",
    " und dann ",
    " danach ",
    " und berechne ",
    " und vergleiche ",
];
/// Units that conversions are recognized by, in lower case.
const UNITS: &[&str] = &[
    "bar",
    "mbar",
    "psi",
    "pa",
    "kpa",
    "mpa",
    "m",
    "mm",
    "cm",
    "km",
    "µm",
    "inch",
    "inches",
    "ft",
    "kg",
    "g",
    "lb",
    "t",
    "°c",
    "°f",
    "k",
    "degc",
    "degf",
    "celsius",
    "fahrenheit",
    "l",
    "ml",
    "gal",
    "m3",
    "m³",
    "m3/h",
    "m³/h",
    "l/s",
    "l/min",
    "gpm",
    "rpm",
    "hz",
    "kw",
    "w",
    "mw",
    "hp",
    "kwh",
    "j",
    "kj",
    "s",
    "min",
    "h",
    "hours",
    "minutes",
    "seconds",
    "days",
    "nm",
];
/// Maximum number of words of a question that is nothing but a calculation.
const MAX_CALCULATION_WORDS: usize = 12;

/// Returns whether the question seems to have parts for several specialists.
#[must_use]
pub fn has_several_parts(question: &str) -> bool {
    let text = question.to_lowercase();
    let is_comparison = text.starts_with("compare ") || text.starts_with("vergleiche ");
    is_comparison || CONNECTIVES.iter().any(|words| text.contains(words))
}

/// Returns whether the question is a calculation and nothing else, such as `17.5% of 2480` or `250 psi to bar`.
#[must_use]
pub fn is_calculation(question: &str) -> bool {
    let text = question.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    if words.len() > MAX_CALCULATION_WORDS || !words.iter().any(is_number) {
        return false;
    }
    let is_percentage = text.contains("% of ") || text.contains("percent of ");
    let is_unit = |word: &str| UNITS.contains(&word.trim_end_matches(['.', '?']));
    let converts = words.windows(4).any(|part| {
        is_number(&part[0]) && is_unit(part[1]) && matches!(part[2], "to" | "in" | "into") && is_unit(part[3])
    });
    let is_operator = |word: &str| matches!(word, "+" | "-" | "*" | "/" | "×");
    let operates = words.windows(3).any(|part| is_number(&part[0]) && is_operator(part[1]) && is_number(&part[2]));
    is_percentage || converts || operates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_with_one_part_are_left_to_the_assistant() {
        for question in [
            "What torque do the casing bolts of P-101 get?",
            "Which valve closes first?",
            "Thanks!",
            "What does section 5 say in the manual?",
            "Which step is 3 levels in?",
        ] {
            assert!(!has_several_parts(question) && !is_calculation(question), "{question}");
        }
    }

    #[test]
    fn tasks_of_several_parts_are_recognized() {
        for question in [
            "Compare the trips of P-101 with the limits of the manual.",
            "Read PIT-1001 and then convert it to psi.",
            "Lies PIT-1001 und dann vergleiche den Wert.",
        ] {
            assert!(has_several_parts(question), "{question}");
        }
    }

    #[test]
    fn calculations_are_recognized() {
        for question in
            ["17.5% of 2480", "250 psi to bar", "What is 12 percent of 80 bar?", "Convert 20 °C to °F.", "2 + 2"]
        {
            assert!(is_calculation(question), "{question}");
        }
        for question in ["What happens at 250 bar to the seal of P-101 when the valve in the line is closed?", "P-101"]
        {
            assert!(!is_calculation(question), "{question}");
        }
    }
}
