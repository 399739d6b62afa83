//! The configuration in the words of the services that it is for.

use crate::config::Settings;
use anyhow::{Context as _, Result};
use runtime::chat::ChatSettings;
use std::time::Duration;
use tools::ingest::IngestSettings;

pub fn ingestion(settings: &Settings) -> Result<IngestSettings> {
    let ocr = settings.ingest.ocr.then(|| {
        let launcher = settings.launcher.clone();
        launcher.context("ingest.ocr is on, and this program cannot confine what recognizes text")
    });
    let ocr = ocr.transpose()?.map(|launcher| settings.ingest.recognition(launcher));
    Ok(IngestSettings {
        max_upload_bytes: settings.storage.max_upload_mib << 20,
        upload_limit: settings.storage.upload_limit(),
        parser: settings.parser.clone(),
        ocr,
        chunking: settings.ingest.chunking(),
        ..Default::default()
    })
}

pub fn chat(settings: &Settings) -> ChatSettings {
    ChatSettings {
        context_tokens: settings.chat.context_tokens,
        max_output_tokens: settings.chat.max_output_tokens,
        grace: Duration::from_secs(settings.chat.grace_s),
        turn_limit: Duration::from_secs(settings.chat.turn_limit_s),
        concurrent_runs: settings.chat.concurrent_runs,
        concurrent_runs_per_tenant: settings.chat.per_tenant(),
        ..ChatSettings::default()
    }
}
