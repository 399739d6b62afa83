//! The words that the comparison knows, in English and German: words without content, words with the same meaning, and
//! words that exclude each other. Words are looked up as written and by stem, so that each list needs only the forms
//! that have different stems.

use super::{periods, units};
use crate::language::Language;
use rust_stemmers::{Algorithm, Stemmer};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The lexicon, built once.
pub(super) static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::new);

/// English words that carry little meaning: function words, and words that describe a document or an obligation.
const ENGLISH_FUNCTION_WORDS: &str = "a about according after again all also although an and any are around as at be \
    because been before being between both but by can cannot carried carries carry could once twice thrice describe \
    described did do document documents does doing done during each either ensure every everyone following for from \
    further given gives had has have having he here how however if in into is it its itself least let likewise \
    listed make manual may mentioned mentions most must necessary need needed needs neither no none nor not note of \
    on once one only or other out passage per perform performed please procedure required requires same say says \
    section shall she should since so source specified specifies stated states such sure take taken takes than that \
    the their them then there therefore these they this those thus to too until up upon use used uses using was we \
    were what when where whether which while who will with within without would you your allowed permitted \
    permissible recommended interval intervals come comes goes get gets put located time times frequency regularly \
    approx approximately roughly value values due sooner earlier lasts duration whereas even known just simply well \
    hence never unless instead via whenever if whichever comes first along onto off on";
/// German words that carry little meaning.
const GERMAN_FUNCTION_WORDS: &str = "aber alle allen aller als also am an anhand auch auf aus bei beim beide beiden \
    bevor bis bzw da dabei dafür damit danach dann daran darauf darf das dass davon davor dazu dem den denn der \
    deren des deshalb dessen die dies diese diesem diesen dieser dieses doch dokument dokumente dokumenten dort \
    durch dürfen ein eine einem einen einer eines einmal er erforderlich erlaubt erst es etwa falls für gegen gemäß \
    genau gibt habe haben handbuch hat hier ich ihr ihre im immer in innerhalb ist je jede jedem jeden jeder jedes \
    jedoch jeweils kann kein keine keinem keinen keiner keines können laut man mehr mit mittels muss musste müssen \
    nach nachdem nachher nicht nie niemals noch notwendig nur nötig ob oder ohne pro sein seine sich sie sind so \
    sobald sodass soll sollen sollte sollten somit sondern sonst sowie sowohl stets unterlagen um und uns unter vom \
    von vor vorgeschrieben verwenden verwendet benutzen benutzt benutzung verwendung nutzung vorgesehen vorher war \
    waren was weder wegen weil welche welcher wenn werden wie wieder wird wo wobei wurde wurden während zu zudem \
    zuerst zulässig zum zur zusätzlich zuvor zwischen über angegeben genannt durchgeführt durchzuführen durchführen \
    sagt sagen besagt fällig erneut nochmals zweimal dreimal viermal beträgt betragen liegt liegen erfolgt erfolgen \
    dürfen intervall intervalle";

/// Begins a word of which other words with the same stem mean something else: `operator`, `operating`.
const AS_WRITTEN: char = '=';
/// Words that mean the same in texts about plants. The first word stands for its group.
const SYNONYMS: &[&str] = &[
    "replace replaced replacement change changed renew renewed renewal exchange swap wechseln wechsel gewechselt \
        auswechseln ausgewechselt ölwechsel ersetzen ersetzt erneuern erneuert austauschen ausgetauscht \
        auszutauschen auszuwechseln tauschen austausch",
    "inspect inspected inspection check checked examine examined verify verified prüfen geprüft prüfung überprüfen \
        überprüft überprüfung kontrollieren kontrolliert kontrolle inspizieren inspektion inspiziert",
    "clean cleaned cleaning wash washed reinigen gereinigt reinigung säubern gesäubert",
    "lubricate lubricated lubrication lubricant grease greased greasing schmieren geschmiert schmierung \
        nachschmieren nachgeschmiert abschmieren abgeschmiert schmierfett fetten fett",
    "repair repaired fix fixed mend reparieren repariert reparatur instandsetzen instandsetzung",
    "service serviced servicing maintain maintained maintenance wartung gewartet instandhaltung",
    "=operator =operators personnel staff =worker =workers employee employees bediener bedienpersonal personal \
        mitarbeiter",
    "amount quantity volume =charge =holds capacity füllmenge menge volumen füllung fassungsvermögen fasst",
    "grade type kind sorte typ art",
    "leak leaks leaking leaked leakage leckage leckt leck undicht",
    "notify notified inform informed call called contact tell report reported alert melden gemeldet meldet \
        informieren informiert verständigen verständigt benachrichtigen benachrichtigt anrufen gerufen rufen",
    "supervisor foreman leader lead schichtführer schichtleiter vorarbeiter",
    "temperature temp temperatur",
    "vent vented venting bleed bled entlüften entlüftet entlüftung",
    "isolate isolated isolation absperren abgesperrt absperrung",
    "sample samples sampled sampling beproben beprobt probe proben probenahme",
    "store stored storage lagern gelagert lagerung aufbewahren aufbewahrt aufbewahrung",
    "depressurize depressurise depressurized depressurised depressurizing pressureless unpressurized drucklos \
        druckentlastet entspannt entspannen",
    "extend extended extension prolong prolonged verlängern verlängert verlängerung",
    "vendor =supplier =suppliers manufacturer maker hersteller lieferant",
    "glasses goggles spectacles eyewear schutzbrille",
    "damage damaged defect defective fault faulty broken beschädigt beschädigung defekt schaden schäden",
    "immediately instantly straightaway promptly sofort unverzüglich umgehend",
    "approve approved approval authorize authorise authorization permission release released freigabe freigeben \
        freigegeben genehmigung genehmigen genehmigt erlaubnis",
    "install installed installation fit fitted mount mounted einbauen eingebaut einbau montieren montiert",
    "responsible responsibility zuständig verantwortlich verantwortung",
    "wear worn wearing tragen getragen trägt",
    "speed drehzahl geschwindigkeit rpm",
    "strainer screen sieve sieb",
    "rinse rinsed flush flushed flushing spülen gespült spülung",
    "cause causes caused reason ursache grund",
    "trigger triggers triggered auslösen ausgelöst löst",
    "protect protected protection schützen geschützt schutz",
    "calibrate calibrated calibration kalibrieren kalibriert kalibrierung",
    "measure measured measurement messen gemessen messung",
    "record recorded log logged document documented dokumentieren dokumentiert protokollieren protokolliert \
        eintragen eingetragen vermerken vermerkt",
    "run runs running ran =operated =operates =operate betreiben betrieben betrieb",
    "fall =falls",
    "show shows shown read reads display displays indicate indicates zeigt zeigen angezeigt anzeigen",
    "enter enters entered entering entry access betreten betritt zutritt zugang",
    "break breaks broke broken breaking",
    "keep keeps kept keeping",
    "hold holding held",
    "draw draws drew drawn drawing",
    "blow blows blew blown",
    "simultaneously gleichzeitig zeitgleich",
    "drive drives driven driving fahren gefahren fährt",
    "set setting setpoint adjusted adjust eingestellt einstellen einstellung sollwert",
    "transport move moved carry transportieren befördern",
    "consist consists made manufactured besteht gefertigt hergestellt",
    "tighten tightened torque torqued anziehen angezogen anzuziehen festziehen anzugsmoment",
    "alarm alarms alert alarme",
];

/// The two sides of a limit: upper and lower. A negated one means the other.
const LIMITS: &[&str] = &[
    "above over über exceed exceeds exceeded exceeding more greater higher larger faster longer hotter minimum \
        minimal least überschreiten überschritten überschreitet übersteigen übersteigt oberhalb mehr größer höher \
        =länger =schneller =heißer =wärmer reach reaches reached erreichen erreicht mindestens mindest wenigstens \
        min",
    "below under unter less lower smaller fewer slower shorter colder cooler maximum maximal max most limit limited \
        limits unterschreiten unterschritten unterschreitet unterhalb weniger kleiner niedriger geringer =kürzer \
        =langsamer =kälter höchstens höchst grenzwert maximale",
];

/// Groups of words that exclude each other: where one text has a word of one side only, and the other text one of
/// another side only, they contradict each other.
const EXCLUSIVE: &[&[&str]] = &[
    LIMITS,
    &[
        "open opens opened opening öffnen öffnet geöffnet offen öffnung offenen aufdrehen aufgedreht",
        "close closes closed closing shut shuts schließen schließt schließe geschlossen geschlossene geschlossenen \
            zu schließend zudrehen zugedreht",
    ],
    &[
        "increase increases increased rise rises rising raise raised erhöhen erhöht steigt steigen steigern \
            gestiegen",
        "decrease decreases decreased reduce reduces reduced fall falls falling drop drops dropped verringern \
            verringert reduzieren reduziert senken gesenkt sinkt sinken sinkend fällt fallen",
    ],
    &[
        "start starts started starting restart restarted startup begin begins starten gestartet startet anfahren \
            angefahren einschalten eingeschaltet schaltet-ein einzuschalten anlaufen läuft ein on energized energize \
            activated activate aktiviert activates anlauf",
        "stop stops stopped stopping shutdown trip trips tripped off stoppen gestoppt stoppt abschalten abgeschaltet \
            abschaltung ausschalten ausgeschaltet auszuschalten abzuschalten abstellen abgestellt abfahren \
            abgefahren aus ab cutout cutouts deenergized deactivated deaktiviert anhalten angehalten halt",
    ],
    &["high highest hoch hohe hohen hoher hohem", "low lowest niedrig niedrige niedrigen niedriger niedrigem tief"],
    &["left links linke linken linker", "right rechts rechte rechten rechter"],
    &[
        "inlet inlets intake eintritt einlass zulauf zulaufseitig eintrittsseite",
        "outlet outlets austritt auslass ablauf ablaufseitig austrittsseite",
    ],
    &["suction saugseite saugseitig saugleitung saugdruck", "discharge druckseite druckseitig druckleitung"],
    &["hot warm warmer heiß heißen heiße warmen", "cold cool kalt kalten kalte kalter"],
    &["heat heats heated heating heizen beheizt aufheizen erwärmen", "cooled cooling cools kühlen gekühlt abkühlen"],
    &["clockwise uhrzeigersinn", "counterclockwise anticlockwise gegenuhrzeigersinn"],
    &["upstream stromaufwärts", "downstream stromabwärts"],
    &["lock locked locks verriegeln verriegelt", "unlock unlocked entriegeln entriegelt"],
    &["loosen loosened lösen gelöst lockern gelockert", "tighten tightened anziehen angezogen anzuziehen festziehen"],
    &[
        "fill filled filling refill füllen gefüllt befüllen befüllt auffüllen aufgefüllt",
        "drain drained draining empty emptied entleeren entleert ablassen abgelassen leeren leer",
    ],
    &["add added hinzufügen zugeben zugegeben", "remove removed removing entfernen entfernt ausbauen ausgebaut"],
    &["connect connected anschließen angeschlossen", "disconnect disconnected abklemmen abgeklemmt trennen getrennt"],
    &["manually hand manuell handbetrieb", "automatically automatic automatisch automatikbetrieb"],
    &["remote remotely fern fernbedient", "local locally lokal"],
    &["top oben obere oberen oberer", "bottom unten untere unteren unterer"],
    &["inside internal innen innere inneren", "outside external outdoors außen äußere äußeren"],
    &["wet nass nassen feucht", "dry dried trocken trockenen getrocknet"],
    &["full voll voller", "empty leer leerer"],
    &["fast quickly rapidly schnell", "slow slowly langsam"],
    &["forward forwards vorwärts", "backward backwards reverse rückwärts"],
    &["horizontal horizontally waagerecht", "vertical vertically senkrecht"],
    &["valid validity gültig gültigkeit gilt", "invalid ungültig"],
    &["early earlier earliest früh früher frühestens", "late later latest spät später spätestens"],
    &["summer sommer", "winter winters"],
    &["nightshift nachtschicht", "dayshift tagschicht", "frühschicht morningshift", "spätschicht lateshift"],
    &[
        "red rot rote roten roter",
        "green grün grüne grünen grüner",
        "yellow gelb gelbe gelben gelber",
        "blue blau blaue blauen blauer",
        "white weiß weiße weißen",
        "black schwarz schwarze schwarzen",
    ],
    &["together jointly zusammen gemeinsam", "separately separate apart getrennt separat"],
    &["stay stays remain remains bleiben bleibt", "exit verlassen verlässt"],
    &["only solely exclusively nur ausschließlich", "anyone anybody everyone everybody jedermann"],
    &["first erste ersten erster erstes", "second zweite zweiten zweiter zweites", "third dritte dritten dritter"],
    &["mandatory compulsory obligatory verpflichtend zwingend", "optional voluntary freiwillig"],
];

/// Words that negate a clause.
const NEGATIONS: &str = "not never no none neither nobody nothing without cannot forbidden prohibited prevent \
    prevents prevented nicht nie niemals kein keine keinem keinen keiner keines nichts ohne weder verboten untersagt \
    unzulässig verhindert verhindern keinesfalls keineswegs niemand nirgends";
/// Short words that are a position only at the end of a clause, or in capitals: `the pump is on`, `AUS`.
const POSITIONS: &str = "on ein aus zu ab";

/// Separable parts of German verbs.
const SEPARABLE: &[&str] = &["ab", "an", "auf", "aus", "ein", "frei", "fest", "nach", "vor", "zurück", "zusammen"];
/// English nouns that are German units.
const ENGLISH_NOUNS: &[&str] = &["tag"];

/// One side of a group of words that exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Side {
    group: usize,
    side: usize,
}

impl Side {
    /// The side of upper limits and values above one.
    const OVER: Self = Self { group: 0, side: 0 };
    const UNDER: Self = Self { group: 0, side: 1 };

    pub(super) fn is_limit(self) -> bool {
        self.group == Self::OVER.group
    }

    /// The other side of a limit; other sides are returned as they are.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::OVER => Self::UNDER,
            Self::UNDER => Self::OVER,
            other => other,
        }
    }

    pub(super) fn excludes(self, other: Self) -> bool {
        self.group == other.group && self.side != other.side
    }
}

/// What the lexicon knows about a word.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Meaning {
    /// The word that stands for all words with this meaning.
    pub stem: String,
    pub sides: Vec<Side>,
}

/// See the module's documentation.
pub(super) struct Lexicon {
    english: Stemmer,
    german: Stemmer,
    english_function_words: HashSet<&'static str>,
    german_function_words: HashSet<&'static str>,
    negations: HashSet<&'static str>,
    positions: HashSet<&'static str>,
    /// Meanings by word as written, which go before those by stem.
    meanings: HashMap<String, Meaning>,
    meanings_by_stem: HashMap<String, Meaning>,
}

impl Lexicon {
    fn new() -> Self {
        let set = |words: &'static str| words.split_whitespace().collect();
        let mut lexicon = Self {
            english: Stemmer::create(Algorithm::English),
            german: Stemmer::create(Algorithm::German),
            english_function_words: set(ENGLISH_FUNCTION_WORDS),
            german_function_words: set(GERMAN_FUNCTION_WORDS),
            negations: set(NEGATIONS),
            positions: set(POSITIONS),
            meanings: HashMap::new(),
            meanings_by_stem: HashMap::new(),
        };
        for (group, sides) in EXCLUSIVE.iter().enumerate() {
            for (side, words) in sides.iter().enumerate() {
                lexicon.insert(words, Some(Side { group, side }));
            }
        }
        SYNONYMS.iter().for_each(|words| lexicon.insert(words, None));
        lexicon
    }

    /// Adds words with the same meaning. A word keeps the meaning of its first list, but has the sides of all.
    fn insert(&mut self, words: &'static str, side: Option<Side>) {
        let first = words.split_whitespace().next().unwrap_or_default().trim_start_matches(AS_WRITTEN);
        let meaning = Meaning { stem: first.to_owned(), sides: Vec::new() };
        let add_side = |known: &mut Meaning| {
            if let Some(side) = side.filter(|side| !known.sides.contains(side)) {
                known.sides.push(side);
            }
        };
        for word in words.split_whitespace() {
            let written = american(word.trim_start_matches(AS_WRITTEN)).into_owned();
            add_side(self.meanings.entry(written.clone()).or_insert_with(|| meaning.clone()));
            if word.starts_with(AS_WRITTEN) || self.positions.contains(word) {
                continue;
            }
            let stems: HashSet<String> =
                [&self.english, &self.german].map(|stemmer| stemmer.stem(&written).into()).into();
            let roots: Vec<String> = stems.iter().map(|stem| verb_root(&written, stem).to_owned()).collect();
            for stem in stems.into_iter().chain(roots) {
                add_side(self.meanings_by_stem.entry(stem).or_insert_with(|| meaning.clone()));
            }
        }
    }

    /// Returns the language whose function words are more frequent; `None` if neither is.
    pub(super) fn language<'w>(&self, words: impl Iterator<Item = &'w str> + Clone) -> Option<Language> {
        let count = |list: &HashSet<&str>| words.clone().filter(|word| list.contains(word)).count();
        match count(&self.english_function_words).cmp(&count(&self.german_function_words)) {
            Ordering::Greater => Some(Language::English),
            Ordering::Less => Some(Language::German),
            Ordering::Equal => None,
        }
    }

    /// Returns the meaning of a word in lower case.
    pub(super) fn meaning(&self, word: &str, language: Option<Language>) -> Meaning {
        let word = &*american(word);
        let is_verb = language == Some(Language::German) && !self.meanings.contains_key(word);
        let word = &*if is_verb { infinitive(word) } else { Cow::Borrowed(word) };
        let stem = match language {
            Some(Language::German) => self.german.stem(word),
            _ => self.english.stem(word),
        };
        let known = self.meanings.get(word).or_else(|| self.meanings_by_stem.get(stem.as_ref()));
        known.cloned().unwrap_or_else(|| {
            let root = if language == Some(Language::German) { verb_root(word, &stem) } else { &stem };
            self.meanings_by_stem
                .get(root)
                .cloned()
                .unwrap_or_else(|| Meaning { stem: root.to_owned(), sides: Vec::new() })
        })
    }

    /// Returns whether a word in lower case carries little meaning by itself, or belongs to a number.
    pub(super) fn is_function_word(&self, word: &str, language: Option<Language>) -> bool {
        let is_english_noun = language == Some(Language::English) && ENGLISH_NOUNS.contains(&word);
        self.english_function_words.contains(word)
            || self.german_function_words.contains(word)
            || (units::is_unit_or_number(word) && !is_english_noun)
            || periods::is_period_word(word)
    }

    /// Returns whether the lexicon lists a word in lower case as it is.
    pub(super) fn has_meaning(&self, word: &str) -> bool {
        self.meanings.contains_key(word)
    }

    pub(super) fn is_negation(&self, word: &str) -> bool {
        self.negations.contains(word)
    }

    pub(super) fn is_position(&self, word: &str) -> bool {
        self.positions.contains(word)
    }
}

/// Returns a word with the American spelling of `energised`.
fn american(word: &str) -> Cow<'_, str> {
    let ending = ["ise", "ised", "ises", "ising"].into_iter().find(|ending| word.len() >= 8 && word.ends_with(ending));
    ending.map_or(Cow::Borrowed(word), |ending| {
        let stem = &word[..word.len() - ending.len()];
        Cow::Owned(format!("{stem}{}", ending.replacen('s', "z", 1)))
    })
}

/// Returns a German verb without the syllable after its separable part: `einzustellen`, `eingestellt`.
fn infinitive(word: &str) -> Cow<'_, str> {
    let parts = SEPARABLE.iter().find_map(|prefix| {
        let rest = word.strip_prefix(prefix)?;
        let verb = rest.strip_prefix("zu").or_else(|| rest.strip_prefix("ge"))?;
        (verb.len() >= 5).then_some((prefix, verb))
    });
    parts.map_or(Cow::Borrowed(word), |(prefix, verb)| Cow::Owned(format!("{prefix}{verb}")))
}

/// Returns the German stem of a word without the beginning and the end of a participle, which the stemmer keeps:
/// `gelagert`, `lagert` and `lagern` have one root.
fn verb_root<'s>(word: &str, stem: &'s str) -> &'s str {
    if !(word.ends_with('t') || word.starts_with("ge") || word.starts_with("be")) {
        return stem;
    }
    let Some(root) = stem.strip_suffix("et").or_else(|| stem.strip_suffix('t')).filter(|root| root.len() >= 4) else {
        return stem;
    };
    let root = root.strip_prefix("ge").filter(|root| root.len() >= 4).unwrap_or(root);
    // `halbiert` and `halbieren`, of which the stem is `halbi`.
    if root.ends_with("ier") { &root[..root.len() - 2] } else { root }
}
