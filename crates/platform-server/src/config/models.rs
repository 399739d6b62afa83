//! The `models` section, and its conversion to the settings of the model client.

use super::backends::{self, Backend, Breaker, Queue, Route, Tiers};
use super::schema::{map_of, one_of, secret};
use anyhow::{Result, bail};
use domain::role::Classification;
use model_client::config::{
    BackendSettings, Dialect, EmbedSource, EmbeddedModel, EmbeddingSettings, Location, ModelSettings, RerankSettings,
    RouteSettings, TierSettings, Timeouts,
};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Backend name of the server at `models.base_url`.
const BASE_URL_BACKEND: &str = "model-server";

/// Models and model servers. "The server" is the one at `base_url`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// URL of an OpenAI-compatible server, with or without the trailing `/v1`. It serves every tier that has no
    /// routes in `tiers`. Without either, the embedded models are used.
    pub base_url: Option<String>,
    /// Kind of server; `openai` stands for any OpenAI-compatible one.
    #[schemars(schema_with = "one_of::<Dialect>", extend("default" = "litellm"))]
    pub dialect: Dialect,
    /// Where the server runs. Each tenant's settings limit what is sent to the cloud.
    #[schemars(schema_with = "one_of::<Location>", extend("x-default" = "`on-premises`; OpenAI and Azure `cloud`"))]
    pub location: Option<Location>,
    /// API key of the server.
    #[schemars(schema_with = "secret")]
    pub api_key: Option<SecretString>,
    /// Name, at the server, of the model for everyday answers.
    pub fast: String,
    /// Name, at the server, of the model for difficult questions.
    pub heavy: String,
    /// Name, at the server, of the embedding model. With `tiers.embed` it is the platform's own name for the model that
    /// all of those routes serve.
    #[schemars(extend("x-default" = "`embed`"))]
    pub embed: Option<String>,
    /// Whether embeddings come from the embedded model or from the model servers.
    #[schemars(schema_with = "one_of::<EmbedSource>", extend("x-default" = "`remote` with a server, else `embedded`"))]
    pub embed_source: Option<EmbedSource>,
    /// Dimension of the server's embedding vectors.
    #[schemars(extend("x-default" = "reported by the server"))]
    pub embed_dimension: Option<usize>,
    /// Maximum number of tokens of a text that the embedding model reads.
    pub embed_max_tokens: usize,
    /// Prefix of each query before it is embedded (nomic-embed-text: `search_query: `).
    pub query_prefix: String,
    /// Prefix of each passage before it is embedded (nomic-embed-text: `search_document: `).
    pub document_prefix: String,
    /// The embedding model to which `reindex` migrates all documents.
    pub next_embed: Option<NextEmbed>,
    /// The embedded model: `all-minilm-l6-v2` reads English, `use-multilingual-v3` 16 languages.
    #[schemars(schema_with = "one_of::<EmbeddedModel>", extend("default" = "all-minilm-l6-v2"))]
    pub embedded_model: EmbeddedModel,
    /// Directory with `model.safetensors` and `tokenizer.json` of the embedded model all-MiniLM-L6-v2.
    #[schemars(extend("x-default" = "none, required for this model"))]
    pub embedded_dir: Option<PathBuf>,
    /// Directory with `weights.npz` and `sp.model` of the embedded model use-multilingual-v3.
    #[schemars(extend("x-default" = "`models.embedded_dir`"))]
    pub multilingual_dir: Option<PathBuf>,
    /// The embedded model for tenants with a certain `language` (such as `german`), instead of the one for all others.
    #[schemars(schema_with = "map_of::<EmbeddedModel>")]
    pub language_models: BTreeMap<String, EmbeddedModel>,
    /// Number of threads of each embedded model.
    #[schemars(extend("x-default" = "number of cores, at most 8"))]
    pub threads: Option<usize>,
    /// Name, at the server, of a reranking model (`POST /v1/rerank` or `/rerank`, as vLLM, LiteLLM, Jina, Cohere,
    /// llama.cpp and SGLang serve it); empty to search without reranking. Needs `base_url`.
    pub rerank: String,
    /// Maximum number of passages of a search that are reranked.
    pub rerank_candidates: usize,
    /// Maximum number of tokens of query and passage together that the reranking model reads.
    pub rerank_max_tokens: usize,
    /// Milliseconds after which a search continues without reranking, as it does after any failure.
    pub rerank_timeout_ms: u64,
    /// Maximum number of concurrent requests to the server; others wait.
    pub concurrency: usize,
    /// Highest classification of content that is sent to the server.
    #[schemars(schema_with = "one_of::<Classification>", extend("default" = "restricted"))]
    pub highest_classification: Classification,
    /// Maximum number of seconds until the first token of an answer from the server.
    pub first_token_timeout_s: u64,
    /// Maximum number of seconds between two chunks of a streamed answer from the server.
    pub between_tokens_timeout_s: u64,
    /// Further servers, by name.
    pub backends: BTreeMap<String, Backend>,
    /// Which models serve each tier, in order of preference.
    pub tiers: Tiers,
    /// Queue of requests that wait for a model server.
    pub queue: Queue,
    /// Circuit breaker of each model server.
    pub breaker: Breaker,
}

/// The embedding model to which `reindex` migrates all documents.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NextEmbed {
    /// Name of the embedding model.
    #[schemars(extend("x-default" = "`models.embed`"))]
    pub embed: Option<String>,
    /// Whether embeddings come from the embedded model or from the model servers.
    #[schemars(
        schema_with = "one_of::<EmbedSource>",
        extend("x-default" = "`embedded` with `embedded_model`, else `models.embed_source`")
    )]
    pub embed_source: Option<EmbedSource>,
    /// The embedded model.
    #[schemars(schema_with = "one_of::<EmbeddedModel>", extend("x-default" = "`models.embedded_model`"))]
    pub embedded_model: Option<EmbeddedModel>,
    /// Dimension of the vectors.
    #[schemars(extend("x-default" = "reported by the server"))]
    pub embed_dimension: Option<usize>,
    /// Maximum number of tokens of a text that the embedding model reads.
    #[schemars(extend("x-default" = "`models.embed_max_tokens`"))]
    pub embed_max_tokens: Option<usize>,
    /// Prefix of each query before it is embedded.
    pub query_prefix: String,
    /// Prefix of each passage before it is embedded.
    pub document_prefix: String,
}

impl Default for Models {
    fn default() -> Self {
        let (embedding, reranking) = (EmbeddingSettings::default(), RerankSettings::default());
        let timeouts = Timeouts::default();
        Self {
            base_url: None,
            api_key: None,
            // The variable is named LITELLM_BASE_URL; other servers ignore the fields that only LiteLLM reads.
            dialect: Dialect::LiteLlm,
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
            embedded_model: EmbeddedModel::default(),
            embedded_dir: None,
            multilingual_dir: None,
            language_models: BTreeMap::new(),
            threads: None,
            rerank: String::new(),
            rerank_candidates: 30,
            rerank_max_tokens: reranking.max_tokens,
            rerank_timeout_ms: u64::try_from(reranking.timeout.as_millis()).unwrap_or(u64::MAX),
            concurrency: 64,
            highest_classification: Classification::Restricted,
            first_token_timeout_s: timeouts.first_token.as_secs(),
            between_tokens_timeout_s: timeouts.between_tokens.as_secs(),
            backends: BTreeMap::new(),
            tiers: Tiers::default(),
            queue: Queue::default(),
            breaker: Breaker::default(),
        }
    }
}

impl Models {
    /// Settings of the model client with the next embedding model instead of the current one; `None` if there is no
    /// next one.
    ///
    /// # Errors
    /// See [`Models::settings`].
    pub fn next_settings(&self) -> Result<Option<ModelSettings>> {
        let Some(next) = &self.next_embed else { return Ok(None) };
        let next_models = Self {
            embed: next.embed.clone().or_else(|| self.embed.clone()),
            tiers: Tiers { embed: self.next_routes(next), ..self.tiers.clone() },
            embed_source: next
                .embed_source
                .or(next.embedded_model.map(|_| EmbedSource::InProcess))
                .or(self.embed_source),
            embedded_model: next.embedded_model.unwrap_or(self.embedded_model),
            embed_dimension: next.embed_dimension,
            embed_max_tokens: next.embed_max_tokens.unwrap_or(self.embed_max_tokens),
            query_prefix: next.query_prefix.clone(),
            document_prefix: next.document_prefix.clone(),
            ..self.clone()
        };
        next_models.settings().map(Some)
    }

    /// The embedded models of tenants with a certain language, by its name in lower case.
    #[must_use]
    pub fn language_settings(&self) -> BTreeMap<String, EmbeddingSettings> {
        let settings = |(language, model): (&String, &EmbeddedModel)| {
            let models = Self { embedded_model: *model, ..self.clone() };
            (language.to_lowercase(), models.embedding_settings(None))
        };
        self.language_models.iter().map(settings).collect()
    }

    /// The current embedding routes with the next model's name instead.
    fn next_routes(&self, next: &NextEmbed) -> Vec<Route> {
        let next_route = |route: &Route| match &next.embed {
            Some(model) => Route { model: model.clone(), ..route.clone() },
            None => route.clone(),
        };
        self.tiers.embed.iter().map(next_route).collect()
    }

    /// Settings of the model client.
    ///
    /// # Errors
    /// If a setting is not valid; the message names the setting.
    pub fn settings(&self) -> Result<ModelSettings> {
        let backend = |(name, backend): (&String, &Backend)| backend.settings(name, &format!("models.backends.{name}"));
        let mut backends = self.backends.iter().map(backend).collect::<Result<Vec<_>>>()?;
        if self.base_url.is_some() && self.backends.contains_key(BASE_URL_BACKEND) {
            bail!("models.backends.{BASE_URL_BACKEND}: this name is reserved for the server at models.base_url");
        }
        backends.extend(self.base_url_backend()?);
        let tiers = self.tier_settings()?;
        for route in [&tiers.fast, &tiers.heavy, &tiers.embed, &tiers.rerank].into_iter().flatten() {
            if !backends.iter().any(|backend| backend.name == route.backend) {
                bail!("models.tiers names the backend {:?}, but models.backends has no such backend", route.backend);
            }
        }
        Ok(ModelSettings {
            embedding: self.embedding_settings(tiers.embed.first()),
            backends,
            tiers,
            queue: self.queue.into(),
            breaker: self.breaker.into(),
            rerank: RerankSettings {
                max_tokens: self.rerank_max_tokens,
                timeout: Duration::from_millis(self.rerank_timeout_ms),
            },
            record_content: false,
            cache_salts: None,
        })
    }

    /// The backend for the server at `base_url`, if there is one.
    fn base_url_backend(&self) -> Result<Option<BackendSettings>> {
        let Some(base_url) = self.base_url.clone() else { return Ok(None) };
        let backend = Backend {
            dialect: self.dialect,
            base_url,
            api_key: self.api_key.clone(),
            api_key_file: None,
            key_header: None,
            api_version: None,
            location: self.location,
            highest_classification: Some(self.highest_classification),
            max_proxy_fallback_classification: Classification::Internal,
            concurrency: self.concurrency.max(1),
            connect_timeout_ms: None,
            first_token_timeout_s: Some(self.first_token_timeout_s),
            between_tokens_timeout_s: Some(self.between_tokens_timeout_s),
            total_timeout_s: None,
        };
        backend.settings(BASE_URL_BACKEND, "models").map(Some)
    }

    /// The routes in `tiers`; tiers without routes get one to the server at `base_url`.
    fn tier_settings(&self) -> Result<TierSettings> {
        let rerank = self.rerank.trim();
        if !rerank.is_empty() && self.base_url.is_none() {
            bail!(
                "models.rerank is set, but models.base_url is not; models.tiers.rerank names models of models.backends"
            );
        }
        let tier = |configured_routes: &[Route], model: &str| {
            if configured_routes.is_empty() && self.base_url.is_some() && !model.is_empty() {
                return vec![RouteSettings::new(BASE_URL_BACKEND, model)];
            }
            backends::route_settings(configured_routes)
        };
        Ok(TierSettings {
            fast: tier(&self.tiers.fast, &self.fast),
            heavy: tier(&self.tiers.heavy, &self.heavy),
            embed: tier(&self.tiers.embed, self.embed.as_deref().unwrap_or("embed")),
            rerank: tier(&self.tiers.rerank, rerank),
        })
    }

    /// The directory of the embedded model's files; empty if none is configured.
    fn embedded_model_dir(&self) -> PathBuf {
        let own = match self.embedded_model {
            EmbeddedModel::AllMiniLmL6V2 => None,
            EmbeddedModel::UseMultilingualV3 => self.multilingual_dir.as_ref(),
        };
        own.or(self.embedded_dir.as_ref()).cloned().unwrap_or_default()
    }

    fn embedding_settings(&self, first_route: Option<&RouteSettings>) -> EmbeddingSettings {
        let name = self.embed.clone().or_else(|| first_route.map(|route| route.model.clone()));
        let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8);
        EmbeddingSettings {
            source: self.embed_source,
            name: name.unwrap_or_default(),
            dimension: self.embed_dimension,
            max_tokens: self.embed_max_tokens,
            query_prefix: self.query_prefix.clone(),
            document_prefix: self.document_prefix.clone(),
            embedded_model: self.embedded_model,
            embedded_dir: self.embedded_model_dir(),
            threads: self.threads.unwrap_or_else(cores),
            ..EmbeddingSettings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Settings};
    use model_client::config::KeyHeader;
    use secrecy::ExposeSecret as _;
    use std::path::Path;

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<ModelSettings> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("platform.toml");
        std::fs::write(&path, file).expect("write");
        Settings::load(Some(&path), &Environment::from_pairs(variables))?.models.settings()
    }

    const TWO_BACKENDS: &str = r#"
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
        let settings =
            load(TWO_BACKENDS, &[("PLATFORM__MODELS__BACKENDS__AZURE__API_KEY", "sk-azure")]).expect("valid");
        let order: Vec<_> = settings.tiers.fast.iter().map(|route| (route.backend.as_str(), route.priority)).collect();
        assert_eq!(order, [("gpu_1", 1), ("azure", 2)]);
        assert_eq!(settings.tiers.fast[1].price.output.0, 600_000);
        assert!(settings.tiers.heavy.is_empty(), "no model serves it");
        assert_eq!(settings.embedding.name, "nomic");
        let azure = settings.backends.iter().find(|backend| backend.name == "azure").expect("azure");
        assert_eq!(
            (azure.dialect, azure.location, azure.key_header),
            (Dialect::Azure, Location::Cloud, KeyHeader::ApiKey)
        );
        assert_eq!(azure.highest_classification, Classification::Internal, "the default of a server in the cloud");
        assert_eq!(azure.api_key.as_ref().map(|key| key.expose_secret()), Some("sk-azure"));
        assert!(!format!("{settings:?}").contains("sk-azure"));
        let gpu = settings.backends.iter().find(|backend| backend.name == "gpu_1").expect("gpu");
        assert_eq!(gpu.timeouts.first_token, Duration::from_secs(30));
    }

    #[test]
    fn the_server_at_the_base_url_serves_tiers_without_routes() {
        let settings = load(TWO_BACKENDS, &[("LITELLM_BASE_URL", "http://litellm:4000")]).expect("valid");
        assert_eq!(settings.tiers.fast.len(), 2);
        assert_eq!(settings.tiers.heavy, [RouteSettings::new(BASE_URL_BACKEND, "heavy")]);
        let base_url_only = load("", &[("LITELLM_BASE_URL", "http://litellm:4000")]).expect("valid");
        assert_eq!(base_url_only.tiers.embed, [RouteSettings::new(BASE_URL_BACKEND, "embed")]);
        assert_eq!((base_url_only.backends.len(), base_url_only.embedding.name.as_str()), (1, "embed"));
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
    fn two_embedded_models_can_be_the_current_and_the_next_one() {
        let variables = [
            ("PLATFORM__MODELS__EMBEDDED_DIR", "/models/minilm"),
            ("PLATFORM__MODELS__MULTILINGUAL_DIR", "/models/use"),
            ("PLATFORM__MODELS__NEXT_EMBED__EMBEDDED_MODEL", "use-multilingual-v3"),
            ("PLATFORM__MODELS__LANGUAGE_MODELS__GERMAN", "use-multilingual-v3"),
        ];
        let models = Settings::load(None, &Environment::from_pairs(&variables)).expect("valid").models;
        let current = models.settings().expect("valid").embedding;
        assert_eq!(
            (current.embedded_model, &*current.embedded_dir),
            (EmbeddedModel::AllMiniLmL6V2, Path::new("/models/minilm"))
        );
        let next = models.next_settings().expect("valid").expect("a next model").embedding;
        let german = models.language_settings().remove("german").expect("a model for German");
        for settings in [next, german] {
            let model = (settings.embedded_model, &*settings.embedded_dir);
            assert_eq!(model, (EmbeddedModel::UseMultilingualV3, Path::new("/models/use")));
        }
    }

    #[test]
    fn an_embedded_next_model_follows_a_model_server() {
        let file = "[models]\nbase_url = \"http://gpu\"\nembedded_dir = \"/models/both\"\n\
                    [models.next_embed]\nembedded_model = \"use-multilingual-v3\"\n";
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("platform.toml");
        std::fs::write(&path, file).expect("write");
        let models = Settings::load(Some(&path), &Environment::from_pairs(&[])).expect("valid").models;
        assert_eq!(models.settings().expect("valid").embedding.source, None, "the server's");
        let next = models.next_settings().expect("valid").expect("a next model").embedding;
        assert_eq!((next.source, &*next.embedded_dir), (Some(EmbedSource::InProcess), Path::new("/models/both")));
        let unknown = load("[models]\nembedded_model = \"bert\"\n", &[]).expect_err("no such model");
        assert!(format!("{unknown:#}").contains("models.embedded_model"), "{unknown:#}");
    }

    #[test]
    fn a_backend_at_openai_or_azure_is_in_the_cloud_with_any_dialect() {
        let file = "[models.backends.far]\nbase_url = \"https://api.openai.com/v1\"\n";
        let cloud_backend = &load(file, &[]).expect("valid").backends[0];
        assert_eq!(
            (cloud_backend.location, cloud_backend.highest_classification),
            (Location::Cloud, Classification::Internal)
        );
        let overridden = load(&format!("{file}location = \"on-premises\"\n"), &[]).expect("valid");
        assert_eq!(
            overridden.backends[0].location,
            Location::OnPremises,
            "the host name may belong to an on-premises proxy"
        );
    }

    #[test]
    fn an_error_names_the_setting_that_is_wrong() {
        let route = "[[models.tiers.fast]]\nbackend = \"gpu\"\nmodel = \"m\"\n";
        let backend = "[models.backends.gpu]\nbase_url = \"http://gpu\"\n";
        for (file, expected_name) in [
            (route.to_owned(), "gpu"),
            ("[models.backends.gpu]\nbase_url = \"no address\"\n".to_owned(), "models.backends.gpu.base_url"),
            (format!("{backend}concurrency = 0\n"), "models.backends.gpu.concurrency"),
            (format!("{backend}speed = 9\n"), "speed"),
            (format!("{backend}{route}weight = 0\n"), "models.tiers.fast[0].weight"),
            (format!("{backend}{route}input_price = -1.0\n"), "models.tiers.fast[0].input_price"),
            (format!("{backend}api_key_file = \"/nonexistent\"\n"), "models.backends.gpu.api_key_file"),
        ] {
            let error = load(&file, &[]).expect_err(&file);
            assert!(format!("{error:#}").contains(expected_name), "{error:#}");
        }
    }
}
