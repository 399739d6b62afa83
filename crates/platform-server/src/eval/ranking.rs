//! Parameters of the search that an evaluation can change, so that they can be measured before they become the default.

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tools::retrieval::{GlossaryWeights, RetrievalParams};

/// Parameters of the search, instead of the platform's.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct RankingArgs {
    /// Weights of the glossary's synonyms, 0 to 1: of those in another language than the question's and, after a comma,
    /// of those in its own. One number is for both [default: 0, without synonyms].
    #[arg(long, value_name = "ACROSS[,WITHIN]", value_parser = parse_glossary_weights)]
    glossary: Option<GlossaryWeights>,
    /// Preference for documents whose type suits the kind of the question, 0 to 1 [default: 0].
    #[arg(long, value_name = "WEIGHT", value_parser = parse_weight)]
    doc_type_weight: Option<f32>,
}

impl RankingArgs {
    /// The platform's parameters with the changes.
    #[must_use]
    pub fn params(self) -> RetrievalParams {
        let default = RetrievalParams::default();
        RetrievalParams {
            glossary: self.glossary.unwrap_or(default.glossary),
            doc_type_weight: self.doc_type_weight.unwrap_or(default.doc_type_weight),
            ..default
        }
    }
}

/// The parameters that can be changed, for the JSON report.
#[must_use]
pub fn params_json(params: &RetrievalParams) -> Value {
    let GlossaryWeights { across_languages, within_language } = params.glossary;
    json!({
        "glossary": { "across_languages": across_languages, "within_language": within_language },
        "doc_type_weight": params.doc_type_weight,
    })
}

fn parse_glossary_weights(text: &str) -> Result<GlossaryWeights> {
    let (across, within) = text.split_once(',').unwrap_or((text, text));
    Ok(GlossaryWeights { across_languages: parse_weight(across)?, within_language: parse_weight(within)? })
}

fn parse_weight(text: &str) -> Result<f32> {
    let weight: f32 = text.trim().parse().with_context(|| format!("{text:?} is not a number"))?;
    ensure!((0.0..=1.0).contains(&weight), "{text:?} is not from 0 to 1");
    Ok(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: RankingArgs,
    }

    fn params(arguments: &[&str]) -> Result<RetrievalParams, clap::Error> {
        Command::try_parse_from([&["eval"], arguments].concat()).map(|command| command.args.params())
    }

    #[test]
    fn weights_of_the_glossary_are_one_for_all_or_one_across_languages_and_one_within() {
        assert_eq!(params(&[]).expect("valid"), RetrievalParams::default());
        for (text, across_languages, within_language) in [("0.3", 0.3, 0.3), ("0.5,0.1", 0.5, 0.1), ("0, 1", 0.0, 1.0)]
        {
            let expected = GlossaryWeights { across_languages, within_language };
            assert_eq!(params(&["--glossary", text]).expect("valid").glossary, expected, "{text}");
        }
        for text in ["", "x", "1.1", "-0.1", "0.1,", "0.1,0.2,0.3", "NaN"] {
            assert!(params(&[&format!("--glossary={text}")]).is_err(), "{text}");
        }
    }

    #[test]
    fn the_report_names_the_parameters() {
        let params = params(&["--glossary", "0.5,0.25", "--doc-type-weight", "0.125"]).expect("valid");
        let glossary = json!({ "across_languages": 0.5, "within_language": 0.25 });
        assert_eq!(params_json(&params), json!({ "glossary": glossary, "doc_type_weight": 0.125 }));
    }
}
