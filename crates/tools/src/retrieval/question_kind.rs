//! The kind of a question, by its words: what someone in a plant asks for, in English or German.
//!
//! The rules look at small words, which do not depend on the plant: `how do I` asks for a procedure, `how much` for a
//! value. Of a request in keywords, only a symptom (`wont start`) or the name of a setting (`setpoint`) tells the kind.

use domain::search::Candidate;

/// What a question asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuestionKind {
    /// How something is done: "How do I isolate P-101?"
    Procedure,
    /// What something is or means: "What is a permissive?"
    Definition,
    /// A number or a setting: "Which torque do the bolts get?"
    Value,
    /// What to do when an alarm comes: "What do I do if LAH-2001 comes?"
    AlarmResponse,
}

/// Phrases with which a question of one kind is asked, separated by `|`. A phrase is a sequence of whole words.
struct Phrases(&'static str);

/// Alarms and trips.
const ALARMS: Phrases = Phrases(
    "alarm|alarms|trip|trips|tripped|fault|faults|alarme|alarmmeldung|störung|störungen|störmeldung|\
     störmeldungen|abschaltung|ausgelöst|auslösung",
);
/// What is asked about an alarm by those who have to respond to it.
const RESPONSES: Phrases = Phrases(
    "if|what to do|what do i do|what do we do|what should i do|what must i do|what now|respond|response|\
     react|comes|comes in|comes up|goes off|came|went off|wont reset|acknowledge|wenn|falls|was tun|was nun|\
     was mache ich|was machen wir|was muss ich tun|was ist zu tun|reagieren|reaktion|kommt|gekommen|ansteht|\
     quittieren|anspricht",
);
/// What operators report, mostly without asking anything.
const SYMPTOMS: Phrases = Phrases(
    "wont start|won t start|will not start|doesnt start|doesn t start|does not start|wont open|won t open|\
     wont close|won t close|wont stop|won t stop|tripped|came in|keeps tripping|failed|broke|stuck|jammed|\
     leaking|too high|too low|too hot|startet nicht|läuft nicht|öffnet nicht|schließt nicht|springt nicht an|\
     lässt sich nicht|ausgelöst|ausgefallen|klemmt|undicht|zu hoch|zu niedrig|zu heiß",
);
/// Questions for amounts.
const AMOUNTS: Phrases = Phrases(
    "how much|how many|how high|how low|how hot|how cold|how long|how often|how fast|how warm|how strong|\
     how large|how big|how deep|how thick|how far|how heavy|how tight|what size|which size|wie viel|wieviel|\
     wie viele|wieviele|wie hoch|wie niedrig|wie heiß|wie kalt|wie lange|wie warm|wie stark|wie oft|\
     wie schnell|wie groß|wie tief|wie dick|wie weit|wie schwer|wie fest",
);
/// Names of settings, which ask for a value even where nothing else is said.
const SETTINGS: Phrases = Phrases(
    "setpoint|setpoints|set point|set points|torque|max|maximum|min|minimum|interval|rating|sollwert|\
     sollwerte|grenzwert|grenzwerte|drehmoment|anzugsmoment|anzugsdrehmoment|höchstens|mindestens",
);
/// Words for quantities and settings.
const QUANTITIES: Phrases = Phrases(
    "value|values|limit|limits|setpoint|setpoints|set point|set points|setting|settings|torque|pressure|\
     temperature|flow|level|speed|voltage|current|power|capacity|rating|range|clearance|gap|interval|\
     frequency|dosage|concentration|diameter|thickness|tolerance|maximum|minimum|wert|werte|grenzwert|\
     grenzwerte|grenze|sollwert|sollwerte|einstellung|einstellwert|drehmoment|anzugsmoment|anzugsdrehmoment|\
     druck|temperatur|durchfluss|füllstand|drehzahl|spannung|strom|leistung|bereich|messbereich|spiel|\
     abstand|intervall|häufigkeit|dosierung|konzentration|durchmesser|dicke|toleranz",
);
/// Words that ask for one thing out of many.
const SELECTIONS: Phrases =
    Phrases("what|which|was ist|was sind|welche|welcher|welches|welchen|welchem|wie lautet|wie lauten");
/// Questions for a way to do something.
const WAYS: Phrases = Phrases(
    "how do|how to|how can|how should|how must|how is|how are|how would|steps|procedure|instructions|\
     what must be done|what has to be done|wie|schritte|vorgehen|vorgehensweise|ablauf|anleitung|reihenfolge|\
     was muss ich|was ist zu tun",
);
/// Questions for a name, which begin as those for a way.
const NAMES: Phrases = Phrases("wie heißt|wie heißen|wie nennt|wie lautet|wie lauten");
/// Questions for a meaning.
const MEANINGS: Phrases = Phrases(
    "what is|what are|what does|whats|what s|meaning|mean|stand for|stands for|definition|was ist|was sind|\
     was bedeutet|was bedeuten|was heißt|wofür steht|bedeutung|wozu dient",
);

/// Questions for a cause.
const CAUSES: Phrases = Phrases(
    "why|what caused|what was the cause|what led to|what made|how come|warum|weshalb|wieso|weswegen|woran lag|\
     woran liegt|woran hat|wodurch",
);

/// What passages are called that answer questions for a cause. The question's own words rarely are in them.
const CAUSE_WORDS: [&str; 2] = ["cause", "Ursache"];

/// The words that passages use which answer the question, besides its own.
#[must_use]
pub(super) fn answer_words(question: &str) -> &'static [&'static str] {
    if CAUSES.are_in(&spaced_words(question)) { &CAUSE_WORDS } else { &[] }
}

/// The words of a text in lower case, each between two spaces.
fn spaced_words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |spaced, word| spaced + &word.to_lowercase() + " ")
}

impl Phrases {
    /// Whether one of the phrases is in `text`: words in lower case, each between two spaces.
    fn are_in(&self, text: &str) -> bool {
        let is_in = |phrase: &str| text.match_indices(phrase).any(|(start, _)| is_whole(text, start, phrase.len()));
        self.0.split('|').any(is_in)
    }
}

/// Whether a part of `text` is surrounded by spaces.
fn is_whole(text: &str, start: usize, length: usize) -> bool {
    text[..start].ends_with(' ') && text[start + length..].starts_with(' ')
}

impl QuestionKind {
    /// The kind of a question; `None` if its words do not tell.
    #[must_use]
    pub fn of(question: &str) -> Option<Self> {
        let text = spaced_words(question);
        if ALARMS.are_in(&text) && RESPONSES.are_in(&text) {
            return Some(Self::AlarmResponse);
        }
        if asks_for_value(&text) {
            return Some(Self::Value);
        }
        if WAYS.are_in(&text) && !NAMES.are_in(&text) {
            return Some(Self::Procedure);
        }
        if SYMPTOMS.are_in(&text) {
            return Some(Self::AlarmResponse);
        }
        MEANINGS.are_in(&text).then_some(Self::Definition)
    }

    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Procedure => "procedure",
            Self::Definition => "definition",
            Self::Value => "value",
            Self::AlarmResponse => "alarm_response",
        }
    }

    /// Whether documents of this type usually answer questions of this kind. `doc_type` is the plant's own word: a word
    /// of it is compared, in the singular, and as the last part of a compound (`Betriebsanweisung`).
    #[must_use]
    pub fn prefers(self, doc_type: &str) -> bool {
        let types = self.preferred_types();
        let lower = doc_type.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric());
        words.any(|word| {
            let singular = word.strip_suffix('s').unwrap_or(word);
            let mut types = types.split_whitespace();
            types.any(|preferred| word.ends_with(preferred) || singular.ends_with(preferred))
        })
    }

    /// The last parts of words for types of documents.
    fn preferred_types(self) -> &'static str {
        match self {
            Self::Procedure => {
                "procedure sop instruction checklist permit method anleitung anweisung verfahren checkliste"
            }
            Self::Definition => {
                "manual standard legend glossary guideline training handbuch norm richtlinie legende glossar schulung"
            }
            Self::Value => {
                "specification datasheet sheet table register list calculation datenblatt spezifikation tabelle liste \
                 verzeichnis"
            }
            Self::AlarmResponse => "alarm response troubleshooting procedure störung alarmliste anweisung",
        }
    }

    /// Whether a passage is from a document of a preferred type.
    pub(super) fn prefers_passage(self, passage: &Candidate) -> bool {
        passage.doc_type.as_deref().is_some_and(|doc_type| self.prefers(doc_type))
    }
}

fn asks_for_value(text: &str) -> bool {
    let names_quantity = SETTINGS.are_in(text) || QUANTITIES.are_in(text) && SELECTIONS.are_in(text);
    AMOUNTS.are_in(text) || names_quantity && !asks_for_meaning(text)
}

/// Whether a question that names a quantity asks what it means, as in "What does set point mean?"
fn asks_for_meaning(text: &str) -> bool {
    const EXPLICIT: Phrases = Phrases("mean|meaning|stand for|stands for|definition|was bedeutet|was heißt|bedeutung");
    EXPLICIT.are_in(text)
}

#[cfg(test)]
mod tests {
    use super::QuestionKind::{AlarmResponse, Definition, Procedure, Value};
    use super::*;

    #[test]
    fn english_questions_have_the_kind_of_their_small_words() {
        for (question, kind) in [
            ("How do I isolate P-101 before opening it?", Procedure),
            ("how to change the seal of P-302B", Procedure),
            ("How is the boiler started from cold?", Procedure),
            ("Steps for draining V-201", Procedure),
            ("What is a permissive?", Definition),
            ("What does LOTO stand for?", Definition),
            ("What does set point mean?", Definition),
            ("What torque do the casing bolts get?", Value),
            ("What is the trip set point of PIT-1001?", Value),
            ("setpoint of LIC-404", Value),
            ("Which pressure may V-201 have at most?", Value),
            ("How often is the strainer cleaned?", Value),
            ("How much oil does the gearbox take?", Value),
            ("What do I do if LAH-2001 comes? It's a high level alarm.", AlarmResponse),
            ("P-101 tripped, what now", AlarmResponse),
            ("p101 wont start soft starter fault?", AlarmResponse),
            ("LAL1004 just came in", AlarmResponse),
            ("Response to alarm PAL-1001", AlarmResponse),
        ] {
            assert_eq!(QuestionKind::of(question), Some(kind), "{question}");
        }
    }

    #[test]
    fn german_questions_have_the_kind_of_their_small_words() {
        for (question, kind) in [
            ("Wie wird P-101 freigeschaltet?", Procedure),
            ("Wie schalte ich P-101 frei?", Procedure),
            ("Anleitung zum Wechsel der Dichtung", Procedure),
            ("Was ist eine Freigabe?", Definition),
            ("Was bedeutet SIS?", Definition),
            ("Welches Drehmoment bekommen die Gehäuseschrauben?", Value),
            ("Wie hoch ist der zulässige Druck in V-201?", Value),
            ("Wie viel Öl braucht das Getriebe?", Value),
            ("Wie lautet der Sollwert von LIC-404?", Value),
            ("Was ist der Grenzwert für Sauerstoff?", Value),
            ("Was mache ich, wenn der Alarm LAH-2001 kommt?", AlarmResponse),
            ("Kesselwasser Leitfähigkeit zu hoch", AlarmResponse),
            ("Störung am Sanftanlauf von P-101, was tun?", AlarmResponse),
        ] {
            assert_eq!(QuestionKind::of(question), Some(kind), "{question}");
        }
    }

    #[test]
    fn questions_for_a_cause_look_for_passages_that_are_called_so() {
        for question in ["Why did the seal of P-302B fail?", "what caused the release", "Warum ist P-101 ausgefallen?"]
        {
            assert_eq!(answer_words(question), CAUSE_WORDS, "{question}");
        }
        for question in ["How do I isolate P-101?", "Whyte valve", "P-101 seal", ""] {
            assert!(answer_words(question).is_empty(), "{question}");
        }
    }

    #[test]
    fn keywords_and_other_questions_have_no_kind() {
        for question in
            ["P-101 seal", "alarm list", "Druck V-201", "Howden fan", "Wie heißt der Betriebsarzt?", "", "?!"]
        {
            assert_eq!(QuestionKind::of(question), None, "{question}");
        }
    }

    #[test]
    fn types_of_documents_are_compared_in_the_plants_own_spelling() {
        for (kind, preferred, other) in [
            (Procedure, "Work instructions", "manual"),
            (Procedure, "Betriebsanweisung", "Protokoll"),
            (Procedure, "SOP", "report"),
            (Definition, "Handbuch", "procedure"),
            (Value, "data sheet", "manual"),
            (Value, "Ersatzteilliste", "log"),
            (AlarmResponse, "alarm_response", "form"),
            (AlarmResponse, "procedure", "specification"),
        ] {
            assert!(kind.prefers(preferred), "{kind:?} {preferred}");
            assert!(!kind.prefers(other), "{kind:?} {other}");
        }
    }
}
