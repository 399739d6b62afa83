//! Which models a server has.

use super::http::{Failure, Path, Server, read_limited};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

/// Most bytes of the list; OpenAI's own has some 20 kB.
const MOST_BYTES: usize = 4 << 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Models {
    /// Some servers send null where they have none.
    data: Option<Vec<Model>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Model {
    id: String,
}

/// The names of the server's models, in order.
pub(crate) async fn models(server: &Server, deadline: Instant) -> Result<Vec<String>, Failure> {
    let started = Instant::now();
    let response = server.get(Path::Models, deadline).await?;
    let body = timeout_at(deadline, read_limited(server, response, MOST_BYTES)).await;
    let body = body.map_err(|_| server.timed_out(started))??;
    let unread = |_| Failure { status: Some(200), ..server.garbled("the answer is not the JSON of a list").into() };
    let list: Models = serde_json::from_slice(&body).map_err(unread)?;
    let names = list.data.unwrap_or_default().into_iter().map(|model| super::stream::plain(&model.id));
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    Ok(names)
}
