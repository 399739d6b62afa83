//! The `models` section, and what the model layer takes from it.

use super::backends::{self, Backend, Breaker, Place, Queue, Route, ServerDialect, Tiers};
use anyhow::{Context as _, Result, bail};
use domain::role::Classification;
use model_client::config::{
    BackendSettings, BreakerSettings, EmbedSource, EmbeddingSettings, KeyHeader, Location, ModelSettings,
    QueueSettings, RerankSettings, RouteSettings, TierSettings, Timeouts,
};
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The name of the backend that `base_url` makes.
const SINGLE: &str = "model-server";

/// Models.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// `LITELLM_BASE_URL`: an OpenAI-compatible server, which serves every tier that `tiers` leaves out; without one, and
    /// without tiers, the embedded models serve.
    pub base_url: Option<String>,
    /// Which server is at `base_url`.
    pub dialect: ServerDialect,
    /// Where it stands; Azure and OpenAI are known to be elsewhere, all others count as on the site unless this says so.
    pub location: Option<Place>,
    /// `LITELLM_MASTER_KEY`: its bearer token.
    pub api_key: Option<SecretString>,
    /// Its name of the everyday model.
    pub fast: String,
    /// Its name of the model for hard questions.
    pub heavy: String,
    /// Its name of the embedding model; with `tiers.embed`, the platform's name of the model that those have in common.
    pub embed: Option<String>,
    /// What embeds: `embedded` or `remote`; by default the server where there is one.
    pub embed_source: Option<Embeds>,
    /// Numbers in the server's vectors; asked of the server where not given.
    pub embed_dimension: Option<usize>,
    /// Most tokens that the server's embedding model reads of one text.
    pub embed_max_tokens: usize,
    /// Put before a query (nomic-embed-text: `search_query: `).
    pub query_prefix: String,
    /// Put before a document's text (nomic-embed-text: `search_document: `).
    pub document_prefix: String,
    /// The embedding model that `reindex` moves the tenants to; those that it has moved are searched with it.
    pub next_embed: Option<NextEmbed>,
    /// Holds the embedded model's `model.safetensors` and `tokenizer.json`.
    pub embedded_dir: Option<PathBuf>,
    /// Threads of the embedded model.
    pub threads: usize,
    /// Its name of the reranking model; empty: none.
    pub rerank: String,
    /// Most passages of a search that are reranked.
    pub rerank_candidates: usize,
    /// Most tokens that the reranking model reads of query and passage together.
    pub rerank_max_tokens: usize,
    /// Milliseconds after which a search goes on without reranking.
    pub rerank_timeout_ms: u64,
    /// Most requests to the server at a time.
    pub concurrency: usize,
    /// Nothing classified higher is sent to the server.
    pub highest_classification: Classification,
    /// Seconds until the first word of an answer must be there.
    pub first_token_timeout_s: u64,
    /// Seconds between two pieces of an answer.
    pub between_tokens_timeout_s: u64,
    /// Further servers, by name.
    pub backends: BTreeMap<String, Backend>,
    /// Which of them serve what.
    pub tiers: Tiers,
    /// Waiting for a place at a server.
    pub queue: Queue,
    /// When a server is left alone.
    pub breaker: Breaker,
}

/// The embedding model to change to; the fields mean what those of [`Models`] mean.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NextEmbed {
    /// The server's name of it.
    pub embed: Option<String>,
    /// What embeds.
    pub embed_source: Option<Embeds>,
    /// Numbers in its vectors.
    pub embed_dimension: Option<usize>,
    /// Most tokens that it reads of one text.
    pub embed_max_tokens: Option<usize>,
    /// Put before a query.
    pub query_prefix: String,
    /// Put before a document's text.
    pub document_prefix: String,
}

/// What embeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Embeds {
    /// The model in this process.
    Embedded,
    /// The model server.
    Remote,
}

impl Default for Models {
    fn default() -> Self {
        let (embedding, reranking) = (EmbeddingSettings::default(), RerankSettings::default());
        let limits = Timeouts::default();
        Self {
            base_url: None,
            api_key: None,
            // As the variable's name says; what is sent to it alone, other servers pass over.
            dialect: ServerDialect::LiteLlm,
            location: None,
            fast: "fast".to_owned(),
            heavy: "heavy".to_owned(),
            embed: None,
            embed_source: None,
            embed_dimension: None,
            embed_max_tokens: embedding.max_tokens,
            query_prefix: String::new(),
            document_prefix: String::new(),
            next_embed: None,
            embedded_dir: None,
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8),
            rerank: String::new(),
            rerank_candidates: 30,
            rerank_max_tokens: reranking.max_tokens,
            rerank_timeout_ms: u64::try_from(reranking.timeout.as_millis()).unwrap_or(u64::MAX),
            concurrency: 64,
            highest_classification: Classification::Restricted,
            first_token_timeout_s: limits.first_token.as_secs(),
            between_tokens_timeout_s: limits.between_tokens.as_secs(),
            backends: BTreeMap::new(),
            tiers: Tiers::default(),
            queue: Queue::default(),
            breaker: Breaker::default(),
        }
    }
}

impl Models {
    /// For the model layer: the same servers, with the next embedding model in the place of the one in use.
    ///
    /// # Errors
    /// Where the address is none.
    pub fn next_settings(&self) -> Result<Option<ModelSettings>> {
        let Some(next) = &self.next_embed else { return Ok(None) };
        let with_next = Self {
            embed: next.embed.clone().or_else(|| self.embed.clone()),
            tiers: Tiers { embed: self.next_routes(next), ..self.tiers.clone() },
            embed_source: next.embed_source.or(self.embed_source),
            embed_dimension: next.embed_dimension,
            embed_max_tokens: next.embed_max_tokens.unwrap_or(self.embed_max_tokens),
            query_prefix: next.query_prefix.clone(),
            document_prefix: next.document_prefix.clone(),
            ..self.clone()
        };
        with_next.settings().map(Some)
    }

    /// The same backends with their next model.
    fn next_routes(&self, next: &NextEmbed) -> Vec<Route> {
        let with_next = |route: &Route| match &next.embed {
            Some(model) => Route { model: model.clone(), ..route.clone() },
            None => route.clone(),
        };
        self.tiers.embed.iter().map(with_next).collect()
    }

    /// For the model layer.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong.
    pub fn settings(&self) -> Result<ModelSettings> {
        let mut backends =
            self.backends.iter().map(|(name, backend)| backend.settings(name)).collect::<Result<Vec<_>>>()?;
        if backends.iter().any(|backend| backend.name == SINGLE) && self.base_url.is_some() {
            bail!("models.backends.{SINGLE}: that name is taken by the server at models.base_url");
        }
        backends.extend(self.single()?);
        let tiers = self.tiers()?;
        for route in [&tiers.fast, &tiers.heavy, &tiers.embed, &tiers.rerank].into_iter().flatten() {
            if !backends.iter().any(|backend| backend.name == route.backend) {
                bail!("models.tiers names the backend {:?}, but models.backends has none of that name", route.backend);
            }
        }
        Ok(ModelSettings {
            embedding: self.embedding(tiers.embed.first()),
            backends,
            tiers,
            queue: QueueSettings { per_tenant: self.queue.per_tenant, wait: Duration::from_millis(self.queue.wait_ms) },
            breaker: BreakerSettings {
                failures: self.breaker.failures.max(1),
                pause: Duration::from_secs(self.breaker.pause_s),
                longest_pause: Duration::from_secs(self.breaker.longest_pause_s),
                probe_every: Duration::from_secs(self.breaker.probe_every_s.max(1)),
            },
            rerank: RerankSettings {
                max_tokens: self.rerank_max_tokens,
                timeout: Duration::from_millis(self.rerank_timeout_ms),
            },
            record_content: false,
            cache_salts: None,
        })
    }

    /// The server at `base_url`.
    fn single(&self) -> Result<Option<BackendSettings>> {
        let Some(url) = self.base_url.as_deref() else { return Ok(None) };
        let url: Url = url.parse().context("LITELLM_BASE_URL is no valid address")?;
        let known = self.dialect == ServerDialect::Azure || is_known_cloud(&url);
        Ok(Some(BackendSettings {
            dialect: self.dialect.settings(),
            api_key: self.api_key.clone(),
            key_header: if self.dialect == ServerDialect::Azure { KeyHeader::ApiKey } else { KeyHeader::Bearer },
            location: match self.location {
                Some(Place::Cloud) => Location::Cloud,
                None if known => Location::Cloud,
                _ => Location::OnPremises,
            },
            highest_classification: self.highest_classification,
            concurrency: self.concurrency.max(1),
            timeouts: Timeouts {
                first_token: Duration::from_secs(self.first_token_timeout_s),
                between_tokens: Duration::from_secs(self.between_tokens_timeout_s),
                ..Timeouts::default()
            },
            ..BackendSettings::at(SINGLE, url)
        }))
    }

    /// Who serves what: as `tiers` say, and the server at `base_url` what they leave out.
    fn tiers(&self) -> Result<TierSettings> {
        let rerank = self.rerank.trim();
        if !rerank.is_empty() && self.base_url.is_none() {
            bail!(
                "models.rerank is set, but models.base_url is not; models.tiers.rerank names models of models.backends"
            );
        }
        let tier = |name: &str, given: &[Route], model: &str| {
            if given.is_empty() && self.base_url.is_some() && !model.is_empty() {
                return Ok(vec![RouteSettings::to(SINGLE, model)]);
            }
            backends::routes(name, given)
        };
        Ok(TierSettings {
            fast: tier("fast", &self.tiers.fast, &self.fast)?,
            heavy: tier("heavy", &self.tiers.heavy, &self.heavy)?,
            embed: tier("embed", &self.tiers.embed, self.embed.as_deref().unwrap_or("embed"))?,
            rerank: tier("rerank", &self.tiers.rerank, rerank)?,
        })
    }

    fn embedding(&self, first: Option<&RouteSettings>) -> EmbeddingSettings {
        let source = self.embed_source.map(|source| match source {
            Embeds::Embedded => EmbedSource::Embedded,
            Embeds::Remote => EmbedSource::Remote,
        });
        let name = self.embed.clone().or_else(|| first.map(|route| route.model.clone()));
        EmbeddingSettings {
            source,
            name: name.unwrap_or_default(),
            dimension: self.embed_dimension,
            max_tokens: self.embed_max_tokens,
            query_prefix: self.query_prefix.clone(),
            document_prefix: self.document_prefix.clone(),
            embedded_dir: self.embedded_dir.clone().unwrap_or_default(),
            threads: self.threads,
            ..EmbeddingSettings::default()
        }
    }
}

/// Services that are on no plant's site.
pub(super) fn is_known_cloud(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    ["openai.com", "azure.com", "azure.us", "azure.cn"]
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Settings};
    use model_client::config::Dialect;
    use secrecy::ExposeSecret as _;

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<ModelSettings> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("platform.toml");
        std::fs::write(&path, file).expect("write");
        Settings::load(Some(&path), &Environment::of(variables))?.models.settings()
    }

    const PLANT: &str = r#"
        [models.backends.gpu_1]
        dialect = "vllm"
        base_url = "http://gpu-1:8000/v1"
        first_token_timeout_s = 30
        [models.backends.azure]
        dialect = "azure"
        base_url = "https://plant.openai.azure.com/openai/v1/"
        [[models.tiers.fast]]
        backend = "gpu_1"
        model = "mistral"
        [[models.tiers.fast]]
        backend = "azure"
        model = "gpt-mini"
        input_price = 0.15
        output_price = 0.6
        [[models.tiers.embed]]
        backend = "gpu_1"
        model = "nomic"
    "#;

    #[test]
    fn several_backends_serve_the_tiers_in_the_order_of_the_file() {
        let settings = load(PLANT, &[("PLATFORM__MODELS__BACKENDS__AZURE__API_KEY", "sk-azure")]).expect("valid");
        let order: Vec<_> = settings.tiers.fast.iter().map(|route| (route.backend.as_str(), route.priority)).collect();
        assert_eq!(order, [("gpu_1", 1), ("azure", 2)]);
        assert_eq!(settings.tiers.fast[1].price.output.0, 600_000);
        assert!(settings.tiers.heavy.is_empty(), "nobody serves it");
        assert_eq!(settings.embedding.name, "nomic");
        let azure = settings.backends.iter().find(|backend| backend.name == "azure").expect("azure");
        assert_eq!(
            (azure.dialect, azure.location, azure.key_header),
            (Dialect::Azure, Location::Cloud, KeyHeader::ApiKey)
        );
        assert_eq!(
            azure.highest_classification,
            Classification::Internal,
            "what is outside gets no more unless told so"
        );
        assert_eq!(azure.api_key.as_ref().map(|key| key.expose_secret()), Some("sk-azure"));
        assert!(!format!("{settings:?}").contains("sk-azure"));
        let gpu = settings.backends.iter().find(|backend| backend.name == "gpu_1").expect("gpu");
        assert_eq!(gpu.timeouts.first_token, Duration::from_secs(30));
    }

    #[test]
    fn the_server_at_the_base_url_serves_what_the_tiers_leave_out() {
        let settings = load(PLANT, &[("LITELLM_BASE_URL", "http://litellm:4000")]).expect("valid");
        assert_eq!(settings.tiers.fast.len(), 2);
        assert_eq!(settings.tiers.heavy, [RouteSettings::to(SINGLE, "heavy")]);
        let alone = load("", &[("LITELLM_BASE_URL", "http://litellm:4000")]).expect("valid");
        assert_eq!(alone.tiers.embed, [RouteSettings::to(SINGLE, "embed")]);
        assert_eq!((alone.backends.len(), alone.embedding.name.as_str()), (1, "embed"));
        assert!(load("", &[]).expect("valid").backends.is_empty());
        for (url, location) in [
            ("http://litellm:4000", Location::OnPremises),
            ("https://notazure.com/v1", Location::OnPremises),
            ("https://plant.openai.azure.com/openai/v1", Location::Cloud),
            ("https://api.openai.com/v1", Location::Cloud),
        ] {
            assert_eq!(load("", &[("LITELLM_BASE_URL", url)]).expect("valid").backends[0].location, location, "{url}");
        }
    }

    #[test]
    fn a_named_backend_at_openai_or_azure_is_outside_whatever_its_dialect() {
        let file = "[models.backends.far]\nbase_url = \"https://api.openai.com/v1\"\n";
        let far = &load(file, &[]).expect("valid").backends[0];
        assert_eq!((far.location, far.highest_classification), (Location::Cloud, Classification::Internal));
        let said = load(&format!("{file}location = \"on-premises\"\n"), &[]).expect("valid");
        assert_eq!(said.backends[0].location, Location::OnPremises, "a name that resolves to a gateway of the site");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let route = "[[models.tiers.fast]]\nbackend = \"gpu\"\nmodel = \"m\"\n";
        let backend = "[models.backends.gpu]\nbase_url = \"http://gpu\"\n";
        for (file, named) in [
            (route.to_owned(), "gpu"),
            ("[models.backends.gpu]\nbase_url = \"no address\"\n".to_owned(), "models.backends.gpu.base_url"),
            (format!("{backend}concurrency = 0\n"), "models.backends.gpu.concurrency"),
            (format!("{backend}speed = 9\n"), "speed"),
            (format!("{backend}{route}weight = 0\n"), "weight of entry 1"),
            (format!("{backend}{route}input_price = -1.0\n"), "input_price of entry 1"),
            (format!("{backend}api_key_file = \"/nonexistent\"\n"), "models.backends.gpu.api_key_file"),
        ] {
            let error = load(&file, &[]).expect_err(&file);
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
    }
}
