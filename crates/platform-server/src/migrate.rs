//! The `migrate` command: applies the migrations and sets the passwords of the database roles.

use crate::config::{Settings, required};
use anyhow::Result;
use data::migrate::LoginRole;
use secrecy::{ExposeSecret as _, SecretString};

/// Applies the migrations and sets the roles' passwords.
///
/// # Errors
/// If the database is not reachable, or a migration fails.
pub async fn run(settings: &Settings) -> Result<()> {
    let database = &settings.database;
    let url = required(database.migration_url.as_ref(), "DATABASE_MIGRATION_URL")?.expose_secret();
    data::migrate::run(url).await?;
    let role_urls = [
        (LoginRole::App, &database.url),
        (LoginRole::Worker, &database.worker_url),
        (LoginRole::Auditor, &database.audit_url),
        (LoginRole::Plant, &database.plant_url),
    ];
    for (role, role_url) in role_urls {
        if let Some(password) = role_url.as_ref().and_then(password) {
            data::migrate::enable_login(url, role, password.expose_secret()).await?;
        }
    }
    Ok(())
}

/// The password of a database URL, if it has one.
fn password(url: &SecretString) -> Option<SecretString> {
    let authority = url.expose_secret().split_once("://")?.1.split(['/', '?']).next()?;
    let (userinfo, _) = authority.rsplit_once('@')?;
    let (_, password) = userinfo.split_once(':')?;
    percent_decode(password).map(SecretString::from)
}

/// Decodes `%XX` in a part of a URL; `None` if the result is not UTF-8, or `XX` are not hexadecimal digits. A `%` with
/// fewer than two characters after it is kept.
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_percent_decoded() {
        let password = |url: &str| password(&SecretString::from(url)).map(|p| p.expose_secret().to_owned());
        assert_eq!(password("postgres://app:p%40ss%2Fword@h:5432/db"), Some("p@ss/word".to_owned()));
        assert_eq!(password("postgres://app@h/db"), None);
        assert_eq!(password("postgres://h/db?password=x"), None);
    }
}
