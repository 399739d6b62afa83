//! Writes logs as JSON lines to standard error, and sends traces to an OTLP collector if one is configured.

use crate::config::Telemetry;
use anyhow::{Context as _, Result};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// The crates whose debug spans are traced, such as those of SQL statements and tool calls.
const OWN_CRATES: &[&str] = &["data", "gateway", "model_client", "platform_server", "policy", "runtime", "tools"];

/// Owns the trace exporter; [`TelemetryGuard::stop`] sends the remaining spans.
pub struct TelemetryGuard(Option<SdkTracerProvider>);

/// Initializes logging and, if a collector is configured, tracing. Only with a collector are trace contexts read from
/// requests and sent to model servers.
///
/// # Errors
/// If the filter or the collector's URL is not valid.
pub fn start(settings: &Telemetry) -> Result<TelemetryGuard> {
    let filter = settings.log_level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(filter).context("LOG_LEVEL is not a valid filter")?;
    let provider = settings.otlp_endpoint.as_deref().map(tracer_provider).transpose()?;
    let registry = tracing_subscriber::registry();
    let initialized = match &provider {
        None => registry.with(filter).with(log_layer()).try_init(),
        Some(provider) => {
            opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
            let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("platform-server"));
            // Dynamic, so that both filters decide anew about each event. Whoever only asks whether a level is enabled,
            // as sqlx does, leaves the answer behind, and a filter with a cached decision takes it for its own.
            let trace_filter =
                dynamic_filter_fn(|metadata, _| is_traced(metadata)).with_max_level_hint(LevelFilter::DEBUG);
            registry.with(log_layer().with_filter(filter)).with(traces.with_filter(trace_filter)).try_init()
        }
    };
    initialized.context("logging is already set up")?;
    Ok(TelemetryGuard(provider))
}

fn log_layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false).with_writer(std::io::stderr)
}

/// Whether a span or event is part of the traces. This does not depend on the log level: a trace has its database and
/// tool spans although the log contains no debug messages.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    let is_own_span = metadata.is_span() && OWN_CRATES.contains(&crate_name);
    *metadata.level() <= if is_own_span { Level::DEBUG } else { Level::INFO }
}

fn tracer_provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT is not valid")?;
    let resource = opentelemetry_sdk::Resource::builder()
        .with_service_name("plant-agent-platform")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
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
