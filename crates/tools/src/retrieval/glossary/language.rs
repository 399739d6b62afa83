//! Tells the language of a query by its function words.

use domain::glossary::GlossaryLanguage;
use std::collections::BTreeSet;

/// Function words of questions and short requests, by language. A word may stand in several lists.
const FUNCTION_WORDS: [(GlossaryLanguage, &str); 7] = [
    (
        GlossaryLanguage::English,
        "the of to is are was were what which when where who why how do does did must should can may with \
         from for and or not before after there have has be been on at by it if this that",
    ),
    (
        GlossaryLanguage::German,
        "der die das den dem des ein eine einen einem einer ist sind war wird werden wurde was welche welcher \
         welches welchen wann wo wer wie warum wieso womit muss müssen soll darf kann mit von vom zu zum zur \
         für und oder nicht kein keine vor nach bei beim auf im am es ich wir man wenn gibt hat haben auch \
         noch",
    ),
    (
        GlossaryLanguage::Spanish,
        "el la los las un una unos unas es son fue qué que cuál cuáles cuándo dónde quién cómo como por para \
         con de del al y o no antes después hay tiene está están se su si en cuánto cuántos debe puede",
    ),
    (
        GlossaryLanguage::French,
        "le la les un une des du de est sont quel quelle quels quelles quand où qui comment pourquoi avec \
         pour par et ou ne pas avant après il elle on dans sur au aux que faut doit peut",
    ),
    (
        GlossaryLanguage::Italian,
        "il lo la gli le un una è sono quale quali quando dove chi come perché con per da di del della dei e \
         o non prima dopo nel nella si deve può che quanto",
    ),
    (
        GlossaryLanguage::Dutch,
        "de het een is zijn was wat welke wanneer waar wie hoe waarom moet mag kan met van voor naar en of \
         niet geen na bij op in er wordt worden dit dat",
    ),
    (
        GlossaryLanguage::Portuguese,
        "o a os as um uma é são qual quais quando onde quem como por para com de do da dos das e ou não antes \
         depois há está se em no na deve pode que quanto",
    ),
];

/// The language with the most function words among these words, which are in lower case. `None` if there are no
/// function words, or as many of two languages.
pub(super) fn language_of(words: &[String]) -> Option<GlossaryLanguage> {
    let words: BTreeSet<&str> = words.iter().map(String::as_str).collect();
    let counts = FUNCTION_WORDS.map(|(language, list)| {
        let count = list.split_whitespace().filter(|word| words.contains(word)).count();
        LanguageCount { language, count }
    });
    let best = counts.iter().max_by_key(|counted| counted.count).filter(|counted| counted.count > 0)?;
    let is_alone = counts.iter().filter(|counted| counted.count == best.count).count() == 1;
    is_alone.then_some(best.language)
}

/// How many function words of a language were found.
#[derive(Clone, Copy)]
struct LanguageCount {
    language: GlossaryLanguage,
    count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::glossary::GlossaryLanguage::{Dutch, English, French, German, Italian, Portuguese, Spanish};

    fn detected(query: &str) -> Option<GlossaryLanguage> {
        let words: Vec<String> = query.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
        language_of(&words)
    }

    #[test]
    fn questions_are_told_apart_by_their_small_words() {
        for (query, language) in [
            ("How do I isolate P-101 before opening it?", English),
            ("What is the trip set point of PIT-1001?", English),
            ("Wie wird P-101 freigeschaltet?", German),
            ("Welches Drehmoment bekommen die Schrauben?", German),
            ("Was ist LOTO?", German),
            ("¿Dónde está la antorcha norte?", Spanish),
            ("¿Cómo se bloquea la bomba antes de abrirla?", Spanish),
            ("Quelle est la pression d'ouverture de la soupape ?", French),
            ("Qual è la coppia delle viti prima della prova?", Italian),
            ("Hoe wordt de pomp geïsoleerd voor het openen?", Dutch),
            ("Qual é o torque dos parafusos e quando são apertados?", Portuguese),
        ] {
            assert_eq!(detected(query), Some(language), "{query}");
        }
    }

    #[test]
    fn words_and_tags_alone_have_no_language() {
        for query in ["P-101 seal leak", "Freischaltung P-101", "", "42"] {
            assert_eq!(detected(query), None, "{query}");
        }
    }
}
