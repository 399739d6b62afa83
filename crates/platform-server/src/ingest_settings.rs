//! Builds the ingestion settings, which come from several sections of the configuration.

use crate::config::Settings;
use anyhow::{Context as _, Result};
use tools::ingest::IngestSettings;

/// The ingestion settings.
///
/// # Errors
/// If OCR is enabled, but there is no launcher to sandbox it.
pub fn from_settings(settings: &Settings) -> Result<IngestSettings> {
    let ocr = settings.ingest.ocr.then(|| {
        let launcher = settings.launcher.clone();
        launcher.context("ingest.ocr is true, but there is no launcher to sandbox the OCR program")
    });
    let ocr = ocr.transpose()?.map(|launcher| settings.ingest.ocr_settings(launcher));
    Ok(IngestSettings {
        max_upload_bytes: settings.storage.max_upload_mib << 20,
        upload_timeout: settings.storage.upload_timeout(),
        parser: settings.parser.clone(),
        ocr,
        chunking: settings.ingest.chunking(),
        ..Default::default()
    })
}
