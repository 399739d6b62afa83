//! Lists the models of a server.

use super::http::{Endpoint, Failure, OpenAiClient, read_limited};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

/// Maximum size of the response in bytes; OpenAI's list has about 20 kB.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Models {
    /// Some servers send null instead of an empty list.
    data: Option<Vec<Model>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Model {
    id: String,
}

/// Requests the names of the server's models; returns them sorted.
pub(crate) async fn list_models(client: &OpenAiClient, deadline: Instant) -> Result<Vec<String>, Failure> {
    let started = Instant::now();
    let response = client.get(Endpoint::Models, deadline).await?;
    let body = timeout_at(deadline, read_limited(client, response, MAX_RESPONSE_BYTES)).await;
    let body = body.map_err(|_| client.timed_out(started))??;
    let invalid =
        |_| Failure { status: Some(200), ..client.invalid_response("the body is not a list of models").into() };
    let parsed_body: Models = serde_json::from_slice(&body).map_err(invalid)?;
    let names = parsed_body.data.unwrap_or_default().into_iter().map(|model| super::stream::sanitized_name(&model.id));
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    Ok(names)
}
