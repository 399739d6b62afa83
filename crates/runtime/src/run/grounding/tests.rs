//! Checks statements in English and German that were labeled by hand as supported or unsupported by the passages.

use super::super::citations::CitableSources;
use super::unsupported_statements;
use domain::ids::{ChunkId, DocumentId};
use domain::model::NumberedPassage;
use domain::role::Classification;
use domain::search::{Passage, SurroundingText};
use uuid::Uuid;

const PUMP: &str = "P-101A/B are centrifugal pumps.\nThe suction strainer is cleaned every 14 days. Close the suction \
                    valve FV-2003 before opening the strainer. The discharge pressure must not exceed 16 bar(g). The \
                    bearing temperature trips the pump at 95 °C.";
const COMPRESSOR: &str = "The oil of compressor C-410 is changed every 4,000 operating hours or once a year, whichever \
                          comes first. Oil grade: ISO VG 46. The charge is 3.5 litres. Wear gloves and safety glasses.";
const ISOLATION: &str = "| Step | Valve | Position |\n|---|---|---|\n| 1 | XV-501 | closed |\n| 2 | XV-502 | open |\n\
                         The permit is valid for 12 hours. Only the shift supervisor may extend it.";
const GERMAN: &str = "Der Filter F-7 ist alle 6 Wochen zu reinigen. Der Differenzdruck darf 0,8 bar nicht \
                      überschreiten. Vor dem Öffnen ist die Anlage drucklos zu machen.";

fn passages() -> Vec<NumberedPassage> {
    let texts =
        [("Pump manual", PUMP), ("Compressor manual", COMPRESSOR), ("Isolation", ISOLATION), ("Filter", GERMAN)];
    (1..).zip(texts).map(|(n, (title, content))| passage(n, title, content)).collect()
}

pub(super) fn passage(n: u32, title: &str, content: &str) -> NumberedPassage {
    NumberedPassage {
        n,
        passage: Passage {
            chunk_id: ChunkId::from_uuid(Uuid::from_u128(n.into())),
            document_id: DocumentId::from_uuid(Uuid::nil()),
            chunk_index: 0,
            file_name: format!("{}.md", title.to_lowercase()),
            title: title.to_owned(),
            page: Some(n),
            section: None,
            content: content.to_owned(),
            classification: Classification::Internal,
        },
        score: 0.9,
        surrounding_text: SurroundingText::default(),
    }
}

/// The unsupported parts of an answer.
fn unsupported(answer: &str) -> Vec<String> {
    let text: Vec<char> = answer.chars().collect();
    let part =
        |range: &domain::conversation::TextRange| text[range.start as usize..range.end as usize].iter().collect();
    let passages = passages();
    let sources = CitableSources { passages: &passages, ..CitableSources::default() };
    unsupported_statements(answer, sources).iter().map(part).collect()
}

const SUPPORTED: &[&str] = &[
    "The strainer is cleaned every 14 days [1].",
    "Clean the suction strainer of P-101A every 14 days. [1]",
    "No document says so.",
    "The discharge pressure must not exceed 16 bar [1].",
    "The pressure on the discharge side must never exceed 16 barg [1].",
    "The pump trips at a bearing temperature of 95°C [1].",
    "First close FV-2003, then open the strainer [1].",
    "Close valve fv2003 before you open the strainer [1].",
    "Change the oil of C-410 every 4000 hours or yearly, whichever comes first [2].",
    "The oil grade is ISO VG 46 [2].",
    "It holds 3.5 l of oil VG 46 [2].",
    "Wear safety glasses and gloves [2].",
    "XV-501 is closed and XV-502 is open [3].",
    "- Step 1: XV-501, closed [3]\n- Step 2: XV-502, open [3]",
    "The permit is valid for 12 hours and only the shift supervisor may extend it [3].",
    "Der Filter F-7 wird alle 6 Wochen gereinigt [4].",
    "Der Differenzdruck darf 0.8 bar nicht überschreiten [4].",
    "Vor dem Öffnen muss die Anlage drucklos sein [4].",
    "The filter F-7 is to be cleaned every 6 weeks [4].",
    "Das Sieb von P-101A ist alle 14 Tage zu reinigen [1].",
    "Strainer of P-101A: 14 days [1]; oil of C-410: 4,000 hours [2].",
    "Clean the strainer every 14 days and change the oil of C-410 every 4,000 hours [1][2].",
    "According to the compressor manual the charge is 3.5 litres [2].",
    "# Oil\n\nThe charge is 3.5 litres.",
    "Do you need anything else?",
    "The documents do not say which colour the pump has.",
    "Die Unterlagen enthalten dazu nichts.",
    "OK.",
    "> \"The bearing temperature trips the pump at 95 °C.\" [1]",
    "**Interval:** every 14 days for the suction strainer [1]",
];

const UNSUPPORTED: &[&str] = &[
    "The strainer is cleaned every 30 days [1].",
    "The strainer is cleaned every 14 hours [1].",
    "The strainer of P-102 is cleaned every 14 days [1].",
    "The discharge pressure must not exceed 25 bar [1].",
    "The discharge pressure may exceed 16 bar [1].",
    "The strainer is cleaned every 14 days [2].",
    "Open the strainer after opening the suction valve FV-2004 [1].",
    "The impeller is made of duplex steel [1].",
    "Call the vendor when the seal leaks [1].",
    "The oil grade is ISO VG 68 [2].",
    "The charge is 35 litres [2].",
    "Do not wear gloves or safety glasses [2].",
    "XV-503 is closed [3].",
    "The permit is valid for 12 days [3].",
    "Any operator can renew the documentation of the boiler [3].",
    "Der Filter F-7 wird alle 8 Wochen gereinigt [4].",
    "Der Differenzdruck darf 0,8 bar überschreiten [4].",
    "Der Filter F-9 wird alle 6 Wochen gereinigt [4].",
    "The filter F-7 is cleaned every 60 weeks [4].",
    "The strainer is cleaned every 14 days [9].",
    "The motor has 75 kW.",
    "The seal water comes from the demineralization plant.",
    "Clean the strainer every 14 days and the oil is VG 46 [1].",
    "Clean the strainer every 14 days [1][2].",
    "Die Pumpe wurde im Jahr 1998 installiert.",
];

#[test]
fn supported_statements_are_not_listed() {
    let listed: Vec<_> = SUPPORTED.iter().filter(|answer| !unsupported(answer).is_empty()).collect();
    assert_eq!(listed, Vec::<&&str>::new());
}

#[test]
fn unsupported_statements_are_listed() {
    let missed: Vec<_> = UNSUPPORTED.iter().filter(|answer| unsupported(answer).is_empty()).collect();
    assert_eq!(missed, Vec::<&&str>::new());
}

#[test]
fn only_the_wrong_part_of_an_answer_is_listed_in_code_points() {
    let answer = "Für C-410 gilt: Öl VG 46 [2]. Die Füllung beträgt 9 l [2]. Clean the strainer every 14 days [1].";
    assert_eq!(unsupported(answer), ["Die Füllung beträgt 9 l [2]"]);
}

#[test]
fn without_passages_every_claim_is_listed() {
    let ranges =
        unsupported_statements("The limit is 5 bar. The documents do not say more.", CitableSources::default());
    assert_eq!(ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>(), [(0, 19)]);
}
