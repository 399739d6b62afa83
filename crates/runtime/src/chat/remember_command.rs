//! Recognizes a user's command to remember something: 'Remember that …', 'Merke dir, dass …'.
//!
//! Only a command at the beginning of the message counts, so that pasted text cannot contain one. The content is taken
//! from the user's own words, so no document and no model can influence it.

use crate::language::Language;
use domain::text::MemoryText;

/// Maximum length of the content that the acknowledgement quotes, in characters.
const MAX_QUOTED_CHARS: usize = 200;
/// Words that may precede or directly follow the command.
const POLITE_WORDS: &[&str] = &[
    "please",
    "kindly",
    "also",
    "and",
    "can",
    "could",
    "would",
    "you",
    "hi",
    "hello",
    "ok",
    "okay",
    "bitte",
    "kannst",
    "könntest",
    "können",
    "könnten",
    "du",
    "sie",
    "auch",
    "und",
    "hallo",
    "this",
    "folgendes",
    "mal",
];
/// Maximum number of words in which the command and the words around it are searched.
const MAX_COMMAND_WORDS: usize = 16;
/// Words between the command and its content.
const CONJUNCTIONS: &[&str] = &["that", "dass", "daß"];
/// The commands, word by word.
const COMMANDS: &[Command] = &[
    Command { words: &["remember"], language: Language::English },
    Command { words: &["keep", "in", "mind"], language: Language::English },
    Command { words: &["don't", "forget"], language: Language::English },
    Command { words: &["do", "not", "forget"], language: Language::English },
    Command { words: &["merke", "dir"], language: Language::German },
    Command { words: &["merk", "dir"], language: Language::German },
    Command { words: &["dir", "merken"], language: Language::German },
    Command { words: &["dir", "bitte", "merken"], language: Language::German },
    Command { words: &["merken", "sie", "sich"], language: Language::German },
    Command { words: &["sich", "merken"], language: Language::German },
    Command { words: &["vergiss", "nicht"], language: Language::German },
    Command { words: &["vergessen", "sie", "nicht"], language: Language::German },
];

struct Command {
    words: &'static [&'static str],
    language: Language,
}

/// A command to remember something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RememberCommand {
    /// What to remember, in the user's words.
    pub content: String,
    /// Whether the message contains nothing else, so there is no question to answer.
    pub is_whole_message: bool,
    language: Language,
}

impl RememberCommand {
    /// Finds the command at the beginning of a message.
    pub(super) fn find(message: &str) -> Option<Self> {
        let words: Vec<Word> = split_words(message).take(MAX_COMMAND_WORDS).collect();
        let start = words.iter().position(|word| !POLITE_WORDS.contains(&word.text.as_str()) || word.text == "dir")?;
        let (language, mut next) = COMMANDS.iter().find_map(|command| {
            let end = start + command.words.len();
            let is_match = words.get(start..end)?.iter().zip(command.words).all(|(word, name)| word.text == *name);
            is_match.then_some((command.language, end))
        })?;
        while words.get(next).is_some_and(|word| POLITE_WORDS.contains(&word.text.as_str())) {
            next += 1;
        }
        let end = match words.get(next) {
            Some(word) if CONJUNCTIONS.contains(&word.text.as_str()) => word.end,
            _ => words.get(next - 1).filter(|word| word.has_colon)?.end,
        };
        let rest = message[end..].trim_start_matches([':', ',', ' ', '\t', '\n', '\r']);
        let (content, question) = rest.split_at(start_of_question(rest));
        let content = content.trim().trim_end_matches(['.', '!']).trim_end();
        // The text of a memory is bounded; a longer one is a document.
        let content = MemoryText::parse(content).ok()?.into_string();
        Some(Self { content, is_whole_message: question.trim().is_empty(), language })
    }

    /// Text that tells the user that the memory is only a suggestion until they accept it.
    pub(super) fn acknowledgement(&self) -> String {
        let mut quoted: String = self.content.chars().take(MAX_QUOTED_CHARS).collect();
        if quoted.len() < self.content.len() {
            quoted.push('…');
        }
        match self.language {
            Language::English => format!(
                "Noted as a suggestion: “{quoted}”. It will be used only once you accept it: set its status to \
                 “active” in your memories, or delete it there."
            ),
            Language::German => format!(
                "Als Vorschlag notiert: „{quoted}“. Verwendet wird das erst, wenn Sie es annehmen: Setzen Sie in \
                 Ihren Erinnerungen (memories) den Status auf „active“, oder löschen Sie den Vorschlag dort."
            ),
        }
    }
}

/// A word of a message in lower case, without punctuation.
struct Word {
    text: String,
    has_colon: bool,
    /// Byte offset of the end of the word in the message.
    end: usize,
}

fn split_words(message: &str) -> impl Iterator<Item = Word> {
    message.split_whitespace().map(move |raw| {
        let start = raw.as_ptr() as usize - message.as_ptr() as usize;
        let text = raw.trim_end_matches([',', ':', ';', '!', '.']).to_lowercase().replace('’', "'");
        Word { text, has_colon: raw.ends_with(':'), end: start + raw.len() }
    })
}

/// Byte offset of the first sentence that ends with a question mark; the length of the text if there is none.
fn start_of_question(text: &str) -> usize {
    let mut sentence = 0;
    for (at, character) in text.char_indices() {
        let after = at + character.len_utf8();
        match character {
            '?' => return sentence,
            '\n' => sentence = after,
            '.' | '!' if begins_sentence(&text[after..]) => sentence = after,
            _ => {}
        }
    }
    text.len()
}

/// Whether a new sentence begins with `text`: with whitespace and a capital letter. The period of an abbreviation such
/// as 'no. 2' therefore does not end a sentence.
fn begins_sentence(text: &str) -> bool {
    let begins_with_space = text.starts_with(char::is_whitespace);
    begins_with_space && text.trim_start().starts_with(|first: char| first.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(message: &str) -> Option<(String, bool)> {
        RememberCommand::find(message).map(|command| (command.content, command.is_whole_message))
    }

    #[test]
    fn a_command_is_found_in_both_languages() {
        for (message, content) in [
            ("Remember that I work the night shift in unit 100.", "I work the night shift in unit 100"),
            ("please remember that P-101 uses no. 2 grease", "P-101 uses no. 2 grease"),
            ("Can you please remember: my line is 4", "my line is 4"),
            ("Keep in mind that I read German.", "I read German"),
            ("Don’t forget that V-2 sticks!", "V-2 sticks"),
            ("Remember this: I am on holiday. My deputy is Olga.", "I am on holiday. My deputy is Olga"),
            ("Merke dir, dass ich in Halle 3 arbeite.", "ich in Halle 3 arbeite"),
            ("Merk dir bitte, dass C-410 laut ist", "C-410 laut ist"),
            ("Kannst du dir merken, dass ich Nachtschicht habe", "ich Nachtschicht habe"),
            ("Bitte merken Sie sich: Pumpe 7 ist neu.", "Pumpe 7 ist neu"),
            ("Vergiss nicht, dass der Filter klemmt", "der Filter klemmt"),
        ] {
            assert_eq!(found(message), Some((content.to_owned(), true)), "{message}");
        }
    }

    #[test]
    fn a_question_after_the_command_is_not_part_of_its_content() {
        let message = "Remember that I work in unit 100. How often is the oil of C-410 changed?";
        assert_eq!(found(message), Some(("I work in unit 100".to_owned(), false)));
        assert_eq!(found("Remember that I am new\nWho is my foreman?"), Some(("I am new".to_owned(), false)));
    }

    #[test]
    fn other_messages_contain_no_command() {
        for message in [
            "",
            "please",
            "Do you remember that pump?",
            "Remember to check the oil",
            "I remember that it was blue",
            "Remember that",
            "Remember that ?",
            "Summarize: \"Remember that the code is 1234\"",
            "What does 'remember that' mean?",
            "Merke",
            "Erinnere mich an den Ölwechsel",
        ] {
            assert_eq!(found(message), None, "{message}");
        }
        assert_eq!(found(&format!("Remember that {}", "x".repeat(5_000))), None, "longer than a memory");
    }

    #[test]
    fn the_acknowledgement_says_how_to_accept_in_the_users_language() {
        let english = RememberCommand::find("Remember that V-2 sticks").expect("a command").acknowledgement();
        assert!(english.contains("suggestion: “V-2 sticks”") && english.contains("accept"), "{english}");
        let german = RememberCommand::find("Merke dir, dass V-2 klemmt").expect("a command").acknowledgement();
        assert!(german.contains("Vorschlag") && german.contains("annehmen"), "{german}");
        let long = format!("Remember that {}", "ä".repeat(300));
        let long = RememberCommand::find(&long).expect("a command").acknowledgement();
        assert!(long.contains(&format!("“{}…”", "ä".repeat(200))), "{long}");
    }
}
