//! Recognizes sentences that say that the documents do not contain something. They are not claims about the plant.

use super::content::Content;

/// Nouns for the documents of a run.
const DOCUMENTS: &str = "document documents documentation passage passages source sources manual manuals excerpt \
    excerpts procedure procedures text texts context materials dokument dokumente dokumenten dokumentation quelle \
    quellen unterlagen textstelle textstellen handbuch handbücher handbüchern auszug auszüge auszügen anleitung \
    passagen kontext abschnitt";
/// Words after `manual` that make it an adjective.
const AFTER_ADJECTIVE: &str = "mode operation valve override start stop control reset handwheel";
/// Verbs, and participles of verbs, that say what a document contains.
const HOLD: &str = "say says said mention mentions mentioned contain contains contained answer answers answered \
    specify specifies specified state states stated cover covers covered describe describes described include \
    includes included give gives given provide provides provided address addresses addressed list lists listed name \
    names named indicate indicates indicated define defines defined tell tells explain explains explained discuss \
    discusses discussed refer documented found hold holds have has show shows shown detail details detailed appear \
    appears recorded available mentioning enthält enthalten nennt nennen genannt sagt sagen erwähnt erwähnen \
    beantwortet beantworten angegeben gibt geben macht machen beschreibt beschreiben beschrieben steht stehen findet \
    finden gefunden hervor aufgeführt behandelt behandeln entnehmen festgelegt dokumentiert vorhanden geregelt \
    definiert ersichtlich erläutert ausgeführt spezifiziert verfügbar liefert liefern hinterlegt";
/// Verbs among these that report: `the manual says no one may enter` reports what the manual contains.
const REPORT: &str = "say says said state states specify specifies tell tells indicate indicates explain explains \
    sagt sagen show shows define defines";
/// Nouns for what a document can contain.
const INFORMATION: &str = "information info details detail data mention figure figures answer answers indication \
    reference guidance instruction instructions statement angabe angaben information informationen aussage aussagen \
    hinweis hinweise antwort daten details auskunft";
const NOT: &str = "not nicht never cannot nirgends nowhere";
const NO: &str = "no nothing none neither kein keine keinen keiner keines keinem nichts any";
const COPULAS: &str = "is are was were be been ist sind war wird werden wurde wurden does do could can kann konnte \
    konnten können lässt lassen geht gehen steht stehen findet finden there gibt";
/// Verbs of instructions, which a sentence about documents does not need.
const DIRECTIVES: &str = "must shall may should darf dürfen muss müssen soll sollen";
/// Words that begin a subordinate clause: what the documents do not say.
const QUESTION_WORDS: &str = "which what who whom whose how when where why whether if that welche welcher welches \
    welchen was wer wen wie wann wo warum ob wozu womit wofür dass";
const WRITER: &str = "i we ich wir mir uns";
/// Words after which another claim can follow.
const SEPARATORS: &[&str] = &[" but ", " however", ", aber ", " jedoch ", "; ", " sondern ", " – ", " — "];

/// A statement, divided into what it says to be absent and its other claims.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct AbsenceStatement {
    /// The parts that say that the documents do not contain something.
    pub absent: String,
    /// The other parts.
    pub claim: String,
}

/// Divides a statement; `None` if it does not say that the documents do not contain something.
pub(super) fn absence(statement: &str) -> Option<AbsenceStatement> {
    if is_about_the_assistant(statement) {
        return Some(AbsenceStatement { absent: statement.to_owned(), claim: String::new() });
    }
    let mut found = AbsenceStatement::default();
    for part in split(statement) {
        let target = if says_absent(part) { &mut found.absent } else { &mut found.claim };
        target.push_str(part);
        target.push(' ');
    }
    (!found.absent.is_empty()).then_some(found)
}

/// Whether a statement is about the assistant, as `No language model is configured; …`, which follows quotations, or
/// about plant systems that were not read.
fn is_about_the_assistant(statement: &str) -> bool {
    let lower = statement.to_lowercase();
    let is_unread =
        lower.contains("plant systems could not be read") || lower.contains("anlagensysteme konnten nicht gelesen");
    is_unread || lower.contains("language model") || lower.contains("sprachmodell")
}

/// Returns what a sentence says to be absent: its content without the words about documents.
pub(super) fn topic(absent: &str) -> Content {
    let vocabulary = [DOCUMENTS, HOLD, INFORMATION, WRITER, "often much many long oft viel lange"];
    let is_topic = |word: &&str| {
        let plain = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        !vocabulary.iter().any(|list| is_in(list, &plain))
    };
    Content::of(&absent.split_whitespace().filter(is_topic).collect::<Vec<_>>().join(" "))
}

fn split(statement: &str) -> Vec<&str> {
    let mut parts = vec![statement];
    for separator in SEPARATORS {
        parts = parts.into_iter().flat_map(|part| part.split(separator)).collect();
    }
    parts
}

fn says_absent(text: &str) -> bool {
    let lower = text.to_lowercase().replace('’', "'").replace("can't", "cannot").replace("n't", " not");
    // A comma ends the reach of a negation, so it counts as a word.
    let spaced = lower.replace(',', " , ");
    let words: Vec<&str> = spaced
        .split(|c: char| c.is_whitespace() || "\"“”„.:()[]*'!".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let main = Sentence { words: &words[..subordinate_start(&words)] };
    main.denies_that_documents_hold() || main.denies_that_it_is_in_documents() || main.denies_information()
}

/// Returns where the words begin that say what is absent, which may contain anything.
fn subordinate_start(words: &[&str]) -> usize {
    let is_start = |at: &usize| {
        is_in(QUESTION_WORDS, words[*at]) && words[..*at].iter().any(|word| is_in(NOT, word) || is_in(NO, word))
    };
    (0..words.len()).find(is_start).unwrap_or(words.len())
}

/// The main clause of a sentence, in lower case.
struct Sentence<'w> {
    words: &'w [&'w str],
}

impl Sentence<'_> {
    /// `The manual does not say …`, `Die Unterlagen enthalten dazu nichts`, `No document says …`.
    fn denies_that_documents_hold(&self) -> bool {
        self.document_positions().any(|document| {
            let before = &self.words[..document];
            let after = &self.words[document + 1..];
            let clause = &after[..after.iter().position(|word| *word == ",").unwrap_or(after.len())];
            let verbs = || (0..clause.len()).filter(|at| is_in(HOLD, clause[*at]));
            let is_denied = |verb: &usize| clause[..*verb].iter().any(|word| is_in(NOT, word));
            let Some(verb) = verbs().find(is_denied).or(verbs().next()) else { return is_silent(clause) };
            let (to_verb, from_verb) = (&clause[..verb], &clause[verb + 1..]);
            let is_denied_subject = before.iter().rev().take(4).any(|word| is_in(NO, word)) && verb <= 3;
            let is_not = is_denied(&verb) && (has_none(to_verb, DIRECTIVES) || to_verb == ["may", "not"]);
            let is_report = is_in(REPORT, clause[verb]);
            let has_nothing = |word: &&str| {
                if is_report { ["nothing", "nichts"].contains(word) } else { is_in(NO, word) && *word != "any" }
            };
            let is_followed = has_none(from_verb, DIRECTIVES)
                && (from_verb.iter().take(4).any(has_nothing) || from_verb.contains(&"nicht"));
            is_denied_subject || is_not || is_followed
        })
    }

    /// `… is not mentioned in the manual`, `… geht aus den Dokumenten nicht hervor`.
    fn denies_that_it_is_in_documents(&self) -> bool {
        let is_denied = |word: &&str| is_in(NOT, word) || (is_in(NO, word) && *word != "any");
        let prepositions = ["in", "im", "from", "by", "aus", "with", "mit", "anhand", "within", "anywhere", "among"];
        let is_in_document = |document: usize| {
            let start = document.saturating_sub(3);
            self.words[start..document].iter().any(|word| prepositions.contains(word))
        };
        let is_held = self.words.iter().any(|word| is_in(HOLD, word)) || self.has("there") || self.is_short();
        let copula = |word: &&str| is_in(COPULAS, word) || is_in(WRITER, word);
        self.document_positions().any(is_in_document)
            && self.words.iter().any(is_denied)
            && is_held
            && (self.words.iter().any(copula) || self.is_short() || self.begins_with_nothing())
            && has_none(self.words, DIRECTIVES)
            && !self.tells_before_denial()
    }

    /// `I could not find it`, `There is no information about …`, `Dazu liegen keine Angaben vor`.
    fn denies_information(&self) -> bool {
        let denies = self.words.iter().any(|word| is_in(NOT, word) || is_in(NO, word));
        let no_information = (0..self.words.len()).any(|at| {
            is_in(NO, self.words[at]) && self.words[at..].iter().skip(1).take(2).any(|word| is_in(INFORMATION, word))
        });
        let finds = ["find", "found", "answer", "know", "weiß", "finden", "gefunden", "beantworten", "locate", "see"];
        let is_search = self.words.iter().any(|word| finds.contains(word)) && self.has_any(WRITER);
        has_none(self.words, DIRECTIVES) && denies && (no_information || is_search)
    }

    fn document_positions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.words.len()).filter(|at| {
            let next = self.words.get(at + 1);
            is_in(DOCUMENTS, self.words[*at]) && !next.is_some_and(|next| is_in(AFTER_ADJECTIVE, next))
        })
    }

    /// Whether a document says something before the negation: `the manual says it is not listed`.
    fn tells_before_denial(&self) -> bool {
        let denial = self.words.iter().position(|word| is_in(NOT, word) || is_in(NO, word)).unwrap_or(0);
        self.words[..denial]
            .iter()
            .any(|word| ["says", "states", "sagt", "requires", "schreibt", "warns"].contains(word))
    }

    fn begins_with_nothing(&self) -> bool {
        self.words.first().is_some_and(|word| is_in(NO, word))
    }

    fn is_short(&self) -> bool {
        self.words.len() <= 6
    }

    fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn has_any(&self, list: &str) -> bool {
        self.words.iter().any(|word| is_in(list, word))
    }
}

/// Whether a document is silent: `The documents are silent on this`.
fn is_silent(words: &[&str]) -> bool {
    words.iter().any(|word| ["silent", "schweigen", "schweigt"].contains(word))
}

fn has_none(words: &[&str], list: &str) -> bool {
    !words.iter().any(|word| is_in(list, word))
}

fn is_in(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_wordings_are_recognized() {
        for text in [
            "The documents do not say which colour the pump has.",
            "The manual doesn’t mention the seal.",
            "The documents contain no information about the warranty.",
            "The torque is not specified in the manual.",
            "I could not find the serial number in the documents.",
            "There is no information about spare parts.",
            "None of the documents mentions a flow meter.",
            "No document says so.",
            "The documents may not answer this question.",
            "The documents hold no answer to this question.",
            "No language model is configured; these are the passages that match best, quoted word for word.",
            "No language model is configured, so the platform can only quote passages that contain the answer.",
            "Nothing in the documents indicates a change.",
            "The passages do not state whether the valve must be closed.",
            "The provided sources don't answer this question.",
            "The manual says nothing about the paint.",
            "The documents are silent on this.",
            "Not in the documents.",
            "Die Unterlagen enthalten dazu nichts.",
            "Die Dokumente nennen den Werkstoff nicht.",
            "Das Handbuch nennt kein Intervall für den Filter.",
            "In den Unterlagen steht nicht, wer den Schein unterschreibt.",
            "Das Drehmoment ist in den Dokumenten nicht angegeben.",
            "Aus den Unterlagen geht nicht hervor, ob die Pumpe stehen muss.",
            "Dazu gibt es in den Dokumenten keine Angaben.",
            "Dazu liegen mir keine Informationen vor.",
            "Keines der Dokumente erwähnt einen Durchflussmesser.",
            "Dazu enthalten die Dokumente keine Angaben.",
            "Das lässt sich anhand der Unterlagen nicht beantworten.",
        ] {
            assert!(absence(text).is_some_and(|found| found.claim.is_empty()), "{text}");
        }
    }

    #[test]
    fn negated_instructions_are_claims() {
        for text in [
            "The manual says the valve must not be opened.",
            "According to the documents the pump must not run dry.",
            "The manual says no one may enter the vessel.",
            "Never open valves that are not listed in the manual.",
            "The manual valve is not open.",
            "The document says that smoking is not allowed.",
            "The procedure requires that no tool is left inside.",
            "The document may not be given to visitors.",
            "The source of the leak is not the seal.",
            "Laut Handbuch darf das Ventil nicht geöffnet werden.",
            "Das Handbuch sagt, das Ventil darf nicht geöffnet werden.",
            "Das Handbuch schreibt vor, dass keine Werkzeuge liegen bleiben.",
            "Die Unterlagen verbieten das nicht geprüfte Werkzeug.",
            "Gemäß den Dokumenten ist die Pumpe nicht selbstansaugend.",
        ] {
            assert_eq!(absence(text), None, "{text}");
        }
    }

    #[test]
    fn another_claim_in_the_sentence_is_kept() {
        let found = absence("The documents do not mention the seal, but it is made of titanium.").expect("an absence");
        assert_eq!(found.claim.trim(), "it is made of titanium.");
    }
}
