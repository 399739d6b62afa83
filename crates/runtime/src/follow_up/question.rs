//! Analyzes a question: what it asks for, and which of its words refer to something said before.

use super::lexicon::{self, is_content, is_one_of};
use super::tokens::{Identifier, Token, TokenKind, identifiers, tokens};

/// Maximum length of a follow-up, in characters. A longer message counts as standalone.
pub const MAX_FOLLOW_UP_CHARS: usize = 600;
/// Maximum number of content words in a fragment.
const MAX_FRAGMENT_WORDS: usize = 3;

/// A question, split into words, without its opening words ("OK, and …").
#[derive(Clone, Debug)]
pub struct Question<'t> {
    text: &'t str,
    /// All words, the opening ones included.
    all_tokens: Vec<Token<'t>>,
    /// Number of opening words.
    opening_length: usize,
    /// Whether it begins with a word or phrase that connects it to the previous question.
    pub starts_with_connective: bool,
    /// Whether it begins with a capital letter. Its author then presumably also capitalizes German nouns.
    user_capitalizes_nouns: bool,
    /// Whether it begins with a word that rejects something said before ("no, …").
    begins_with_rejection: bool,
}

impl<'t> Question<'t> {
    /// Splits a message into words, and removes its opening words.
    pub fn parse(message: &'t str) -> Self {
        let text = first_chars(message, MAX_FOLLOW_UP_CHARS);
        let user_capitalizes_nouns = text.starts_with(char::is_uppercase);
        let mut question = Self {
            text,
            all_tokens: Vec::new(),
            opening_length: 0,
            starts_with_connective: false,
            user_capitalizes_nouns,
            begins_with_rejection: false,
        };
        let tokens = tokens(text);
        question.opening_length = question.skip_opening(&tokens);
        question.all_tokens = tokens;
        question
    }

    /// The words without the opening ones.
    pub fn tokens(&self) -> &[Token<'t>] {
        &self.all_tokens[self.opening_length..]
    }

    /// Returns the number of opening tokens. Sets the fields that depend on them.
    fn skip_opening(&mut self, tokens: &[Token<'_>]) -> usize {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let word = &*token.lower;
            let rejects = is_one_of(word, lexicon::CORRECTION_OPENERS) && token.ends_clause;
            let connects = is_one_of(word, lexicon::CONNECTORS);
            let what_about_length =
                lexicon::WHAT_ABOUT_PHRASES.iter().map(|phrase| phrase_length(&tokens[at..], phrase)).max();
            let what_about_length = what_about_length.unwrap_or_default();
            if what_about_length > 0 {
                self.starts_with_connective = true;
                at += what_about_length;
                continue;
            }
            if !rejects && !connects && !is_one_of(word, lexicon::OPENERS) {
                break;
            }
            self.starts_with_connective |= connects;
            self.begins_with_rejection |= rejects;
            at += 1;
        }
        at
    }

    /// The question without its opening words.
    pub fn text_without_opener(&self) -> &str {
        self.tokens().first().map_or("", |first| self.text[first.span.start..].trim())
    }

    /// The identifiers in the question, in order.
    pub fn identifiers(&self) -> Vec<Identifier> {
        self.tokens().iter().flat_map(identifiers).collect()
    }

    /// The words that say what the question is about, without the noun in front of an identifier ("pump P-101A").
    pub fn content_words(&self) -> Vec<&Token<'t>> {
        let next_is_identifier = |at: usize| {
            let next = self.tokens().get(at + 1);
            !self.tokens()[at].ends_clause && next.is_some_and(|next| next.kind == TokenKind::Identifier)
        };
        let tokens = self.tokens().iter().enumerate();
        let content = tokens.filter(|(at, token)| is_content_token(token) && !next_is_identifier(*at));
        content.map(|(_, token)| token).collect()
    }

    /// The nouns that say what the question is about.
    pub fn topics(&self) -> Vec<&Token<'t>> {
        topics(self.tokens(), self.user_capitalizes_nouns)
    }

    /// Whether the message contains nothing to search for, such as "Thanks!".
    pub fn has_nothing_to_search(&self) -> bool {
        let is_filler = |token: &Token<'_>| token.kind == TokenKind::Word && !is_content(&token.lower);
        let has_interrogative = self.tokens().iter().any(|token| is_one_of(&token.lower, lexicon::INTERROGATIVES));
        let addresses_assistant = self.tokens().iter().any(|token| is_one_of(&token.lower, "you du dir dich"));
        let is_filler = self.tokens().iter().all(is_filler);
        is_filler
            && (addresses_assistant || (!has_interrogative && !self.starts_with_connective && !self.has_anaphora()))
    }

    /// The question without an announcement of its topic ("Another question: …").
    pub fn without_announcement(&self) -> &str {
        let body = self.text_without_opener();
        if !self.switches_topic() {
            return body;
        }
        let start = self.tokens().first().map_or(0, |token| token.span.start);
        let end = self.tokens().iter().take(6).find(|token| token.ends_clause).map(|token| token.span.end - start);
        let rest = end.and_then(|end| body.get(end..)).unwrap_or(body);
        let rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        if rest.is_empty() { body } else { rest }
    }

    /// Whether the message announces another topic.
    pub fn switches_topic(&self) -> bool {
        self.has_phrase(lexicon::TOPIC_SWITCHES)
    }

    /// Whether the message corrects the previous question.
    pub fn corrects(&self) -> bool {
        let first = self.tokens().first().map_or("", |token| &token.lower);
        self.begins_with_rejection || is_one_of(first, "nicht not") || self.has_phrase(lexicon::CORRECTIONS)
    }

    /// Whether the question begins with a question word.
    pub fn begins_with_interrogative(&self) -> bool {
        let is_interrogative = |token: &&Token<'_>| is_one_of(&token.lower, lexicon::INTERROGATIVES);
        let mut first = self.tokens().iter().take(2);
        first.next().filter(is_interrogative).is_some()
            || first.next().filter(is_interrogative).is_some() && self.begins_with(lexicon::PREPOSITIONS)
    }

    /// Whether the first word is in the list.
    pub fn begins_with(&self, list: &str) -> bool {
        self.tokens().first().is_some_and(|token| is_one_of(&token.lower, list))
    }

    /// Whether the question contains an auxiliary verb. If not, it may be a fragment.
    pub fn has_verb(&self) -> bool {
        let rest = self.tokens().iter().skip(usize::from(self.begins_with(lexicon::INTERROGATIVES)));
        rest.clone().any(|token| is_one_of(&token.lower, lexicon::AUXILIARIES))
    }

    /// Whether the question is a sentence fragment, to be completed from the previous question.
    pub fn is_fragment(&self) -> bool {
        let content = self.content_words().len();
        let has_definite = self.tokens().iter().any(|token| is_one_of(&token.lower, lexicon::DEFINITE_DETERMINERS));
        if self.begins_with_interrogative() {
            let is_complete = content >= 2 && has_definite;
            let max = if self.starts_with_connective { MAX_FRAGMENT_WORDS } else { 2 };
            if content == 1 && self.ends_with_predicate() {
                return true;
            }
            return (!self.has_verb() && !is_complete && content <= max) || (content == 0 && !has_definite);
        }
        !self.has_verb() && (self.starts_with_connective || content <= MAX_FRAGMENT_WORDS)
    }

    /// Whether the question ends with `be` and a predicate, and so does not name its subject: "Who has to be present?".
    fn ends_with_predicate(&self) -> bool {
        let last = self.tokens().windows(2).last();
        last.is_some_and(|pair| pair[0].lower == "be" && is_content_token(&pair[1]))
    }

    /// Whether the question asks if something also applies to another thing.
    pub fn asks_if_same_applies(&self) -> bool {
        self.tokens().iter().any(|token| is_one_of(&token.lower, lexicon::SAMENESS))
    }

    /// Whether the question compares things that were mentioned before.
    pub fn compares(&self) -> bool {
        let has = |list: &str| self.tokens().iter().any(|token| is_one_of(&token.lower, list));
        self.has_phrase(lexicon::COMPARISONS) || (has("they sie") && has("same identical gleich identisch alike"))
    }

    /// Whether the question asks what differs between two things.
    pub fn asks_for_difference(&self) -> bool {
        let words = "differ difference differences unterscheiden unterschied unterschiede";
        self.tokens().iter().any(|token| is_one_of(&token.lower, words))
    }

    /// The range of the tokens that refer to the other one of several ("the other pump").
    pub fn other_reference_span(&self) -> Option<std::ops::Range<usize>> {
        let introduces = |token: &Token<'_>| {
            is_one_of(&token.lower, lexicon::DEFINITE_DETERMINERS) || is_one_of(&token.lower, lexicon::PREPOSITIONS)
        };
        let at = self.tokens().iter().enumerate().position(|(at, token)| {
            is_one_of(&token.lower, lexicon::OTHER_ONE_WORDS) && at > 0 && introduces(&self.tokens()[at - 1])
        })?;
        let next_token = self.tokens().get(at + 1).filter(|_| !self.tokens()[at].ends_clause);
        let has_noun = next_token.is_some_and(|token| is_content_token(token) || token.lower == "one");
        let has_article = is_one_of(&self.tokens()[at - 1].lower, "the der die das dem den");
        Some(at - usize::from(has_article)..at + 1 + usize::from(has_noun))
    }

    /// Whether the question refers to a document as a whole ("that procedure").
    pub fn refers_to_document(&self) -> bool {
        self.definite_words().any(|token| is_one_of(&token.lower, lexicon::DOCUMENT_NOUNS))
    }

    /// The content words after a definite article, a demonstrative or a possessive.
    pub fn definite_words(&self) -> impl Iterator<Item = &Token<'t>> {
        let is_definite = |at: usize| {
            let before = &self.tokens()[at.saturating_sub(2)..at];
            before
                .iter()
                .rev()
                .take_while(|token| !token.ends_clause)
                .any(|t| is_one_of(&t.lower, lexicon::DEFINITE_DETERMINERS))
        };
        let words = self.tokens().iter().enumerate();
        words.filter(move |(at, token)| is_content_token(token) && is_definite(*at)).map(|(_, token)| token)
    }

    /// Whether a pronoun refers to something said before this message.
    pub fn has_anaphora(&self) -> bool {
        let first_identifier = self.tokens().iter().position(|token| token.kind == TokenKind::Identifier);
        let before_identifier = 0..first_identifier.unwrap_or(self.tokens().len());
        before_identifier.into_iter().any(|at| self.is_pronoun(at))
    }

    /// Whether a pronoun may refer to the topic of the previous question, and not only to its equipment as in "its
    /// seal" and "Which oil does it take?".
    pub fn has_pronoun_for_topic(&self) -> bool {
        if self.topics().is_empty() {
            return true;
        }
        let word = |at: usize| self.tokens().get(at).map_or("", |token| &token.lower);
        let names_equipment = |at: usize| {
            let is_possessive = is_one_of(word(at), lexicon::POSSESSIVES) && !self.tokens()[at].ends_clause;
            is_possessive || (word(at) == "it" && at > 0 && is_one_of(word(at - 1), "do does did can must"))
        };
        (0..self.tokens().len()).any(|at| self.is_pronoun(at) && !names_equipment(at))
    }

    /// Whether a pronoun refers to the previous statement as a whole: "Who does that?".
    pub fn has_pronoun_for_statement(&self) -> bool {
        (0..self.tokens().len())
            .any(|at| self.is_pronoun(at) && is_one_of(&self.tokens()[at].lower, "that this das dies"))
    }

    fn is_pronoun(&self, at: usize) -> bool {
        let word = |at: usize| self.tokens().get(at).map_or("", |token| &token.lower);
        let token = &self.tokens()[at];
        let (next, is_last) = (word(at + 1), at + 1 == self.tokens().len() || token.ends_clause);
        let before = if at == 0 { "" } else { word(at - 1) };
        // German capitalizes the pronouns of polite address.
        let is_polite = at > 0 && token.text.starts_with(char::is_uppercase);
        match &*token.lower {
            "it" => !(at + 1..at + 4).any(|at| is_one_of(word(at), "to if until")),
            "es" => {
                let expletive = is_one_of(before, "gibt geht") || is_one_of(next, "gibt bis geht");
                !expletive && !self.tokens()[at..].iter().any(|token| is_one_of(&token.lower, "bis zu wenn"))
            }
            "that" => is_last || before.is_empty() || is_function_word(before),
            "sein" => !is_last && self.tokens()[at + 1].text.starts_with(char::is_uppercase),
            "there" => is_last && at > 0 && !is_one_of(before, "is are"),
            "sie" | "ihr" | "ihre" | "ihnen" | "ihrem" | "ihren" | "ihrer" if is_polite => false,
            "this" | "diese" | "diesem" | "diesen" | "dieser" | "dieses"
                if is_one_of(next, lexicon::TIME_AND_SITE_NOUNS) =>
            {
                false
            }
            article if is_one_of(article, lexicon::ARTICLE_PRONOUNS) => self.is_without_noun(at),
            pronoun => is_one_of(pronoun, lexicon::PRONOUNS),
        }
    }

    /// Whether no noun follows a German article within its clause.
    fn is_without_noun(&self, at: usize) -> bool {
        let mut is_open = !self.tokens()[at].ends_clause;
        for token in self.tokens()[at + 1..].iter().take(3) {
            if !is_open {
                break;
            }
            if token.kind != TokenKind::Word || token.text.starts_with(char::is_uppercase) {
                return false;
            }
            is_open = !token.ends_clause;
        }
        true
    }

    /// Whether the message contains one of the phrases.
    pub fn has_phrase(&self, phrases: &[&str]) -> bool {
        let all = &self.all_tokens;
        (0..all.len()).any(|at| phrases.iter().any(|phrase| phrase_length(&all[at..], phrase) > 0))
    }
}

/// Returns the beginning of a text, at most `max_chars` characters.
pub fn first_chars(text: &str, max_chars: usize) -> &str {
    text.char_indices().nth(max_chars).map_or(text, |(end, _)| &text[..end])
}

fn is_function_word(word: &str) -> bool {
    let lists = [lexicon::AUXILIARIES, lexicon::PREPOSITIONS, lexicon::INTERROGATIVES, lexicon::CONNECTORS];
    lists.iter().any(|list| is_one_of(word, list))
}

/// The number of words in `phrase` if the tokens begin with it, otherwise 0.
fn phrase_length(tokens: &[Token<'_>], phrase: &str) -> usize {
    let mut words = 0;
    // Most phrases differ in the first letter already.
    let first_byte = |text: &str| text.bytes().next();
    if tokens.first().is_none_or(|token| first_byte(&token.lower) != first_byte(phrase)) {
        return 0;
    }
    for word in phrase.split(' ') {
        if tokens.get(words).is_none_or(|token| token.lower != word) {
            return 0;
        }
        words += 1;
    }
    words
}

/// Whether the token says what a question is about.
pub fn is_content_token(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Word
        && is_content(&token.lower)
        && !is_one_of(&token.lower, lexicon::CORRECTION_WORDS)
        && !is_one_of(&token.lower, lexicon::COMPARISON_WORDS)
}

/// The nouns among the tokens: in German the words with a capital letter, unless the user writes without capital
/// letters; otherwise the content words that are not verbs.
pub fn topics<'a, 't>(tokens: &'a [Token<'t>], user_capitalizes_nouns: bool) -> Vec<&'a Token<'t>> {
    let is_capital = |token: &Token<'_>| token.text.starts_with(char::is_uppercase);
    let is_german = tokens.iter().any(|token| is_german(&token.lower));
    let capitalizes_nouns = is_german
        && (user_capitalizes_nouns || tokens.iter().any(|token| is_content_token(token) && is_capital(token)));
    let is_noun = |at: usize| {
        let (token, before) = (&tokens[at], at.checked_sub(1).map(|before| &tokens[before]));
        // "How heavy": a property that is asked for.
        let is_property = before.is_some_and(|before| before.lower == "how");
        let follows_noun =
            before.is_some_and(|b| is_content_token(b) || is_one_of(&b.lower, lexicon::DEFINITE_DETERMINERS));
        let is_verb = token.lower.ends_with("ed") || (is_one_of(&token.lower, lexicon::VERBS) && !follows_noun);
        is_content_token(token) && if capitalizes_nouns { is_capital(token) } else { !is_verb && !is_property }
    };
    (0..tokens.len()).filter(|at| is_noun(*at)).map(|at| &tokens[at]).collect()
}

fn is_german(word: &str) -> bool {
    const GERMAN: &str = "\
        auf bei beim das dem den der des die ein eine er es für ihm ihn im ist mit sie und vom von wann warum welche \
        welchem welchen welcher welches wer werden wie wird wo zum zur";
    is_one_of(word, GERMAN) || word.contains(['ä', 'ö', 'ü', 'ß'])
}
