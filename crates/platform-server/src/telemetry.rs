//! Writes logs as JSON lines to standard error, and sends traces to an OTLP collector if one is configured.

use crate::config::Telemetry;
use anyhow::{Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// Owns the trace exporter; [`TelemetryGuard::stop`] sends the remaining spans.
pub struct TelemetryGuard(Option<SdkTracerProvider>);

/// Initializes logging and, if a collector is configured, tracing.
///
/// # Errors
/// If the filter or the collector's URL is not valid.
pub fn start(settings: &Telemetry) -> Result<TelemetryGuard> {
    let filter = settings.log_level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(filter).context("LOG_LEVEL is not a valid filter")?;
    let provider = settings.otlp_endpoint.as_deref().map(tracer_provider).transpose()?;
    let traces = provider.as_ref().map(|p| tracing_opentelemetry::layer().with_tracer(p.tracer("platform-server")));
    tracing_subscriber::registry()
        .with(filter)
        .with(
            fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .with_writer(std::io::stderr),
        )
        .with(traces)
        .try_init()
        .context("logging is already set up")?;
    Ok(TelemetryGuard(provider))
}

fn tracer_provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT is not valid")?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("plant-agent-platform").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl TelemetryGuard {
    /// Sends the buffered spans. Takes at most a few seconds and does not block the async runtime.
    pub async fn stop(self) {
        if let Some(provider) = self.0 {
            let _ = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        }
    }
}
