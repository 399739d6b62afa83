//! English and German words and phrases, grouped by their role in a question. All are in lower case.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words before the question itself that carry no content: "OK, thanks, and …".
pub const OPENERS: &str = "\
    ah alright bitte danke fine good great gut hm hmm ja jetzt many now nun oh ok okay perfect please prima \
    right so super sure thank thanks vielen well yes you";

/// Words that join a question to the one before it.
pub const CONNECTORS: &str = "\
    aber also and auch but dann oder or then und";

/// Phrases that ask the previous question again about something else: "what about the filter?".
pub const WHAT_ABOUT_PHRASES: &[&str] = &[
    "das gleiche bei",
    "das gleiche für",
    "dasselbe bei",
    "dasselbe für",
    "gleiche frage für",
    "how about",
    "same for",
    "same question for",
    "same with",
    "the same for",
    "was gilt bei",
    "was gilt für",
    "was ist mit",
    "what about",
    "what of",
    "wie ist das bei",
    "wie ist es bei",
    "wie ist es mit",
    "wie sieht das bei",
    "wie sieht es bei",
    "wie sieht es mit",
    "wie steht es mit",
];

/// Phrases that announce another topic.
pub const TOPIC_SWITCHES: &[&str] = &[
    "anderes thema",
    "andere frage",
    "another question",
    "another topic",
    "by the way",
    "change of subject",
    "change of topic",
    "different question",
    "different topic",
    "etwas anderes",
    "etwas ganz anderes",
    "nebenbei",
    "neue frage",
    "neues thema",
    "new question",
    "new topic",
    "on another note",
    "on a different note",
    "something else",
    "something completely different",
    "themenwechsel",
    "unrelated",
    "unabhängig davon",
    "übrigens",
];

/// First words of a correction, before the corrected part.
pub const CORRECTION_OPENERS: &str = "\
    correction entschuldigung falsch halt korrektur ne nee nein no nope quatsch sorry stop verzeihung wrong";

/// Phrases of a correction, in any position.
pub const CORRECTIONS: &[&str] = &[
    "ich hatte gemeint",
    "ich meine",
    "ich meinte",
    "ich wollte",
    "i am asking about",
    "i asked about",
    "i asked for",
    "i mean",
    "i meant",
    "i wanted",
    "m asking about",
    "meine ich",
    "meinte ich",
    "should have been",
    "war gemeint",
];

/// Words before what a correction replaces: "not the oil", "statt P-720A".
pub const NEGATIONS: &str = "\
    anstatt anstelle instead kein keine nicht not statt than";

/// Words that introduce a correction and are not part of its content.
pub const CORRECTION_WORDS: &str = "\
    actually asked asking doch eher eigentlich frage gefragt gemeint mean meant meine meinte question rather \
    sondern wanted wissen wollte";

/// Words that a question can start with.
pub const INTERROGATIVES: &str = "\
    how wann warum was welche welchem welchen welcher welches wem wen wer weshalb wessen what when where which \
    who whom whose why wie wieso wieviel wieviele wo wodurch woher wohin womit woran worauf wozu";

/// Words directly before the noun that is asked for: "which pressure".
pub const ASKED_FOR: &str = "\
    how many much viel viele welche welchem welchen welcher welches what which";

/// Words that ask for a quantity together with a question word: "how often", "wie lange".
pub const MEASURES: &str = "\
    far lang lange long many much oft often soon viel viele weit wenig";

/// Verbs that make a sentence complete without saying what it is about.
pub const AUXILIARIES: &str = "\
    bist are be been being benötigt brauche brauchen braucht can could darf did do does dürfen gelten gibt gilt \
    haben had has hat hatte have is ist kann kannst konnte können may might muss musst must müssen need needs \
    sein shall should sind soll sollen sollte sollten war waren was werden were will wird would wurde wurden \
    wäre würde";

/// Verbs and fillers that say nothing about the topic.
pub const LIGHT_WORDS: &str = "\
    about again all any anyway applies apply aus aussehen bekommt btw denn detail details different doesn doing \
    don done eben ebenfalls eigentlich einmal either else etwa exactly geht gemacht gemeint genau genauer \
    genauso general get gets give go goes going happen happens hold isn jetzt just know kommt let like list ll \
    look looks läuft mach machen macht made make mal me mean means meant mehr meine meinte mir more needed nein \
    nicht no noch nochmal not nun nur nötig only other passiert please re really sag sage say says show sieht so \
    some sonst steht still tell there too true um up ve want wirklich would zeig zeige zu zutreffen überhaupt";

/// Articles, conjunctions and personal pronouns.
pub const FUNCTION_WORDS: &str = "\
    a als an as because dass daß de during each ein eine einem einen einer eines etwas every i ich if jede jeden \
    jeder jedes man mich my ob obwohl our per pro sich than though uns unser unsere unseren us we weil wenn \
    whether while wir you your";

/// Definite articles, demonstratives and possessives, alone or contracted with a preposition. They mark the next noun
/// as already known.
pub const DEFINITE_DETERMINERS: &str = "\
    am beim das dem den der des die diese diesem diesen dieser dieses ihr ihre ihrem ihren ihrer im its sein \
    seine seinem seinen seiner that the their these this those vom zum zur";

/// Prepositions. The words after them narrow the question or, after `for` and similar ones, replace its object.
pub const PREPOSITIONS: &str = "\
    ab above after am an at auf aus before bei beim below between bis by durch during for from für gegen im in \
    innerhalb ins into mit nach of off ohne on out over per seit since through to under unter until vom von vor \
    with within without während zu zum zur zwischen über";

/// Prepositions and conjunctions before a time, a place or a condition, which is added to the earlier question.
pub const ADVERBIAL_OPENERS: &str = "\
    ab above after am at before below between bis during falls gegen if im in innerhalb nach ohne on seit since \
    under unter until vor wenn when within without während zwischen über";

/// Pronouns that refer to something said before, in any position.
pub const PRONOUNS: &str = "\
    dabei dadurch dafür dagegen daher damit danach daran darauf daraus darin darunter darüber davon davor dazu \
    dazwischen deren dessen diese diesem diesen dieser dieses dort dran drauf drin er es he her hers hierfür \
    hiervon hierzu him his ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres it its itself sein seine seinem seinen \
    seiner seines she sie solche solcher that their theirs them these they this those";

/// Pronouns before something that belongs to what was said before.
pub const POSSESSIVES: &str = "\
    deren dessen ihr ihre ihrem ihren ihrer ihres its sein seine seinem seinen seiner seines their";

/// German articles that are pronouns if no noun follows.
pub const ARTICLE_PRONOUNS: &str = "\
    das dem den der die";

/// Words that refer to the other of two or more things: "the other one", "die zweite".
pub const OTHER_ONE_WORDS: &str = "\
    andere anderem anderen anderer anderes latter letztere letzterer other others second zweite zweiten zweiter \
    zweites";

/// Phrases that compare what was talked about.
pub const COMPARISONS: &[&str] = &[
    "beide",
    "beiden",
    "both",
    "difference",
    "differences",
    "differ",
    "either of",
    "of them",
    "of the two",
    "of these two",
    "of those two",
    "the two",
    "unterschied",
    "unterschiede",
    "unterscheiden",
    "von ihnen",
    "which one",
    "zueinander",
];

/// Words that only compare.
pub const COMPARISON_WORDS: &str = "\
    beide beiden both compare compared differ difference differences either gleich identical identisch one ones \
    same two unterscheiden unterschied unterschiede vergleiche zwei zwischen";

/// Words for a text as a whole.
pub const DOCUMENT_NOUNS: &str = "\
    abschnitt anweisung arbeitsanweisung bericht betriebsanweisung chapter checklist checkliste document \
    dokument handbuch instruction kapitel log manual page procedure protokoll report section seite text \
    unterlage verfahren vorschrift";

/// Words that say that something also applies to another thing.
pub const SAMENESS: &str = "\
    also auch dasselbe denselben derselbe dieselbe dieselben ebenfalls either genauso gleich gleiche gleichen \
    identical identisch likewise same selbe selben too";

/// Verbs that are common in questions about a plant and do not say what a question is about.
pub const VERBS: &str = "\
    allowed apply built call change check checks clean cleans close closes cost costs drain fill fit found \
    grease held inspect isolate keep kept last lasts lead leads leave left lost lubricate measure open opens \
    paid put remove repair replace reset run runs sent set shut sign signs start starts stop stops store take \
    taken takes test tighten trip trips turn use uses wear weigh weighs worn written";

/// Nouns after which `this` means the present time or place and not something said before: "this week", "this plant".
pub const TIME_AND_SITE_NOUNS: &str = "\
    anlage jahr monat month plant shift site week werk woche year";

/// Whether the word is in a list of words, separated by spaces.
pub fn is_one_of(word: &str, list: &str) -> bool {
    let is_end = |text: &str| text.is_empty() || text.starts_with(' ');
    let is_word = |at: usize| (at == 0 || list.as_bytes()[at - 1] == b' ') && is_end(&list[at + word.len()..]);
    !word.is_empty() && list.match_indices(word).any(|(at, _)| is_word(at))
}

/// The words that do not say what a question is about, from all lists of such words.
static NON_CONTENT_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    const LISTS: [&str; 13] = [
        OPENERS,
        CONNECTORS,
        CORRECTION_OPENERS,
        INTERROGATIVES,
        MEASURES,
        AUXILIARIES,
        LIGHT_WORDS,
        FUNCTION_WORDS,
        DEFINITE_DETERMINERS,
        PREPOSITIONS,
        PRONOUNS,
        OTHER_ONE_WORDS,
        SAMENESS,
    ];
    LISTS.iter().flat_map(|list| list.split_ascii_whitespace()).collect()
});

/// Whether the word says what a question is about.
pub fn is_content(word: &str) -> bool {
    word.chars().count() > 1 && !NON_CONTENT_WORDS.contains(word)
}
