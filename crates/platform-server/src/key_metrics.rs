//! Prometheus metric of the issuers' signing keys, read at each scrape.

use policy::authn::Authenticator;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};
use std::sync::Arc;

/// Registers the gauge `identity_keys_age_seconds` by `issuer`. Only for processes that keep the keys fresh.
///
/// # Errors
/// If the registry already has a metric of that name.
pub fn register(registry: &Registry, authn: &Arc<Authenticator>) -> Result<(), prometheus::Error> {
    let options = Opts::new(
        "identity_keys_age_seconds",
        "Seconds since the issuer's keys were last fetched, or since the start if they have not been.",
    );
    let ages = IntGaugeVec::new(options, &["issuer"])?;
    registry.register(Box::new(KeyCollector { authn: Arc::clone(authn), ages }))
}

struct KeyCollector {
    authn: Arc<Authenticator>,
    ages: IntGaugeVec,
}

impl Collector for KeyCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.ages.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for keys in self.authn.key_ages() {
            let seconds = i64::try_from(keys.age.as_secs()).unwrap_or(i64::MAX);
            self.ages.with_label_values(&[keys.issuer]).set(seconds);
        }
        self.ages.collect()
    }
}
