//! Requests to the platform, with the signed-in user's token.

use super::base_url::BaseUrl;
use super::bearer::TokenSource;
use super::failure::connection_error;
use super::http::ANSWER_TIMEOUT;
use super::problem;
use crate::error::CliError;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// A client of one platform.
pub struct Client {
    http: reqwest::Client,
    address: BaseUrl,
    token_source: Box<dyn TokenSource>,
}

/// Query parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    parameters: Vec<Parameter>,
}

#[derive(Clone, Debug)]
struct Parameter {
    name: &'static str,
    value: String,
}

impl Query {
    /// Adds a parameter, if it has a value.
    pub fn add(&mut self, name: &'static str, value: Option<impl ToString>) {
        self.parameters.extend(value.map(|value| Parameter { name, value: value.to_string() }));
    }
}

impl Client {
    /// Creates a client that sends the tokens of `token_source`.
    pub fn new(http: reqwest::Client, address: BaseUrl, token_source: Box<dyn TokenSource>) -> Self {
        Self { http, address, token_source }
    }

    /// Reads a JSON document.
    ///
    /// # Errors
    /// If the platform cannot be reached, or responds with an error.
    pub async fn get(&self, path: &str, query: &Query) -> Result<Value, CliError> {
        let request = self.request(Method::GET, path, query)?.timeout(ANSWER_TIMEOUT);
        self.json(self.send(request).await?).await
    }

    /// Sends a JSON document and reads another.
    ///
    /// # Errors
    /// If the platform cannot be reached, or responds with an error.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let request = self.request(Method::POST, path, &Query::default())?.timeout(ANSWER_TIMEOUT);
        self.json(self.send(request.json(body)).await?).await
    }

    /// Puts a JSON document and reads another.
    ///
    /// # Errors
    /// If the platform cannot be reached, or responds with an error.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let request = self.request(Method::PUT, path, &Query::default())?.timeout(ANSWER_TIMEOUT);
        self.json(self.send(request.json(body)).await?).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// If the platform cannot be reached, or responds with an error.
    pub async fn delete(&self, path: &str) -> Result<(), CliError> {
        let request = self.request(Method::DELETE, path, &Query::default())?.timeout(ANSWER_TIMEOUT);
        self.send(request).await.map(drop)
    }

    /// Builds a request, to be sent with [`Self::send`].
    ///
    /// # Errors
    /// If the path is not valid.
    pub fn request(&self, method: Method, path: &str, query: &Query) -> Result<RequestBuilder, CliError> {
        let mut url = self.address.join(path)?;
        if !query.parameters.is_empty() {
            let pairs = query.parameters.iter().map(|parameter| (parameter.name, &parameter.value));
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(self.http.request(method, url))
    }

    /// Sends a request with a token. If the platform refuses a stored token, fetches a new one and sends the request
    /// once more.
    ///
    /// # Errors
    /// If the platform cannot be reached, or responds with an error.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let retry = request.try_clone();
        let token = self.token_source.token().await?;
        let response = self.dispatch(request.bearer_auth(token.expose_secret())).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(again) = retry
            && let Some(token) = self.token_source.token_after_rejection(&token).await?
        {
            return self.check_status(self.dispatch(again.bearer_auth(token.expose_secret())).await?).await;
        }
        self.check_status(response).await
    }

    /// Reads the response body as JSON.
    ///
    /// # Errors
    /// If the connection is lost, or the body is not JSON.
    pub async fn json(&self, response: Response) -> Result<Value, CliError> {
        let body = response.bytes().await.map_err(|error| self.connection_error(error))?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|_| CliError::Failed(format!("the response from {} is not JSON; check the URL", self.address)))
    }

    /// Returns the error for a request without a response, or with an incomplete one.
    pub fn connection_error(&self, error: reqwest::Error) -> CliError {
        connection_error(&self.address.to_string(), error)
    }

    async fn dispatch(&self, request: RequestBuilder) -> Result<Response, CliError> {
        request.send().await.map_err(|error| self.connection_error(error))
    }

    async fn check_status(&self, response: Response) -> Result<Response, CliError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.connection_error(error))?;
        Err(problem::error_from_response(status, &body))
    }
}
