//! Base URLs that tokens may be sent to.

use crate::error::CliError;
use std::fmt;
use url::{Host, Url};

/// The base URL of a platform or an issuer, with a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Parses a base URL. It must use HTTPS, unless the host is this machine or `allow_http` is set.
    ///
    /// # Errors
    /// If the address is invalid, contains credentials, or is not encrypted.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, CliError> {
        let invalid_address = |why: &str| CliError::Usage(format!("{text} cannot be used as an address: {why}"));
        let mut url = Url::parse(text).map_err(|error| invalid_address(&error.to_string()))?;
        if url.password().is_some() || !url.username().is_empty() {
            return Err(CliError::Usage("an address must not contain a user or a password".to_owned()));
        }
        if !is_secure_for_tokens(&url, allow_http) {
            return Err(invalid_address("tokens are sent only over https:// or to this machine; see --allow-http"));
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url))
    }

    /// The URL of a path below this one; `path` has no leading slash.
    ///
    /// # Errors
    /// If the path is not valid.
    pub fn join(&self, path: &str) -> Result<Url, CliError> {
        self.0.join(path).map_err(|error| CliError::failed_locally("a URL cannot be built", error))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Whether tokens may be sent to an address: over HTTPS, or over HTTP to this machine or if `allow_http` is set.
pub fn is_secure_for_tokens(url: &Url, allow_http: bool) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && (allow_http || is_loopback(url)))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_base_url_is_kept() {
        let address = BaseUrl::parse("https://plant.example/platform?x=1#y", false).unwrap();
        assert_eq!(address.to_string(), "https://plant.example/platform");
        assert_eq!(address.join("v1/me").unwrap().as_str(), "https://plant.example/platform/v1/me");
    }

    #[test]
    fn tokens_are_sent_to_other_machines_only_over_https_unless_allowed() {
        for allowed in ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000", "https://plant.example"]
        {
            assert!(BaseUrl::parse(allowed, false).is_ok(), "{allowed}");
        }
        for refused in ["http://plant.example", "http://127.0.0.1.example", "ftp://plant.example", "plant", ""] {
            assert!(matches!(BaseUrl::parse(refused, false), Err(CliError::Usage(_))), "{refused}");
        }
        assert!(BaseUrl::parse("http://plant.example", true).is_ok());
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let error = BaseUrl::parse("https://user:secret@plant.example", false).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
