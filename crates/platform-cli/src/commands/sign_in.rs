//! `login`, `logout` and `whoami`.

use super::address;
use crate::api::{Address, Client, Query, http};
use crate::args::{GlobalOptions, LoginArgs};
use crate::error::CliError;
use crate::login::{FixedToken, Issuer, Login, Loopback, Store};
use crate::settings::{self, SystemClock, TOKEN_VARIABLE};
use crate::terminal::{Console, spinner};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Read as _};

/// Signs in, and stores the login once the platform accepts it.
///
/// # Errors
/// If the issuer or the platform cannot be reached, or refuses.
pub async fn login(options: &GlobalOptions, args: &LoginArgs, console: &mut Console) -> Result<(), CliError> {
    if !args.device && !args.no_browser && !args.token_stdin && !std::io::stdin().is_terminal() {
        let text = "this is no terminal: sign in with --device, --no-browser or --token-stdin";
        return Err(CliError::Usage(text.to_owned()));
    }
    let store = Store::in_dir(settings::state_dir()?);
    let address = address(options, &store)?;
    let http = http::client(options)?;
    let login = if args.token_stdin {
        token_from_stdin()?
    } else {
        let issuer = issuer(options, args, http.clone()).await?;
        if args.device { on_device(&issuer, args, console).await? } else { in_browser(&issuer, args, console).await? }
    };
    let token = FixedToken(SecretString::from(login.access_token.as_str()));
    let client = Client::new(http, address.clone(), Box::new(token));
    let me = client.get("v1/me", &Query::default()).await?;
    store.lock()?.keep(&address, login)?;
    if settings::token()?.is_some() {
        console.note(&format!("{TOKEN_VARIABLE} is set, and goes before this login"));
    }
    if console.is_json() {
        return console.json(&me);
    }
    console.note(&format!("signed in to {address} as {}", who(&me)));
    Ok(())
}

/// Revokes the login at the issuer, and deletes it here, even if the issuer cannot be reached.
///
/// # Errors
/// If the stored login cannot be deleted.
pub async fn logout(options: &GlobalOptions, console: &mut Console) -> Result<(), CliError> {
    let store = Store::in_dir(settings::state_dir()?);
    let address = address(options, &store)?;
    let forgotten = store.lock()?.forget(&address)?;
    let message = match &forgotten {
        Some(login) => {
            revoke(options, login, console).await;
            format!("signed out of {address}")
        }
        None => format!("not signed in to {address}"),
    };
    if settings::token()?.is_some() {
        console.note(&format!("{TOKEN_VARIABLE} is still set"));
    }
    if console.is_json() {
        return console.json(&json!({ "url": address.to_string(), "signed_out": forgotten.is_some() }));
    }
    console.note(&message);
    Ok(())
}

/// Shows who is signed in.
///
/// # Errors
/// If nobody is, or the platform cannot be reached.
pub async fn whoami(client: &Client, console: &mut Console) -> Result<(), CliError> {
    let me = client.get("v1/me", &Query::default()).await?;
    if console.is_json() {
        return console.json(&me);
    }
    console.line(&who(&me))
}

/// Name, role and tenant of a user.
fn who(me: &Value) -> String {
    let text = |field: &str| me[field].as_str().filter(|text| !text.is_empty());
    let name = text("name").or(text("email")).or(text("id")).unwrap_or("somebody");
    let grants: Vec<_> = me["grants"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let role = [&[me["role"].as_str().unwrap_or("user")], &grants[..]].concat().join(", ");
    format!("{name} ({role}) of the tenant {}", me["tenant"]["slug"].as_str().unwrap_or("?"))
}

fn token_from_stdin() -> Result<Login, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| CliError::local("standard input cannot be read", error))?;
    let access_token = settings::checked_token(&text)?.expose_secret().to_owned();
    Ok(Login { access_token, expires_at: None, refresh_token: None, client: None })
}

async fn issuer(options: &GlobalOptions, args: &LoginArgs, http: reqwest::Client) -> Result<Issuer, CliError> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let missing = |what: &str| CliError::Usage(format!("{what}; your administrator knows it"));
    let issuer = given(&args.issuer).ok_or_else(|| missing("give --issuer, or set PLATFORM_ISSUER"))?;
    let client_id = given(&args.client_id).ok_or_else(|| missing("give --client-id, or set PLATFORM_CLIENT_ID"))?;
    let address = Address::parse(&issuer, options.allow_http)?;
    Issuer::discover(http, &address, client_id, options.allow_http).await
}

async fn in_browser(issuer: &Issuer, args: &LoginArgs, console: &Console) -> Result<Login, CliError> {
    let loopback = Loopback::open().await?;
    let begun = issuer.begin_in_browser(&args.scope, loopback.redirect())?;
    let opened = !args.no_browser && open::that_detached(begun.url.as_str()).is_ok();
    let invitation = if opened { "Sign in in the browser, or open" } else { "To sign in, open" };
    console.note(&format!("{invitation} this address on this machine:\n{}", begun.url));
    let waiting = spinner("waiting for the browser");
    let redirected = loopback.redirected().await?;
    waiting.finish_and_clear();
    issuer.finish_in_browser(begun, redirected, &SystemClock).await
}

async fn on_device(issuer: &Issuer, args: &LoginArgs, console: &Console) -> Result<Login, CliError> {
    let code = issuer.begin_on_device(&args.scope).await?;
    console.note(&format!("To sign in, open {} on any device, and enter the code {}", code.address(), code.code()));
    let waiting = spinner("waiting for you to sign in");
    let login = issuer.finish_on_device(&code, &SystemClock).await;
    waiting.finish_and_clear();
    login
}

async fn revoke(options: &GlobalOptions, login: &Login, console: &Console) {
    let (Some(client), Some(token)) = (&login.client, &login.refresh_token) else { return };
    let revoked = match http::client(options) {
        Ok(http) => client.revoke(&http, token).await,
        Err(error) => Err(error),
    };
    if let Err(error) = revoked {
        console.note(&format!("the login is forgotten here, but could not be revoked: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_with_role_grants_and_tenant() {
        let me = json!({ "name": "Uma", "role": "user", "grants": ["auditor"], "tenant": { "slug": "plant-a" } });
        assert_eq!(who(&me), "Uma (user, auditor) of the tenant plant-a");
        assert_eq!(who(&json!({ "id": "1", "name": "", "tenant": {} })), "1 (user) of the tenant ?");
    }
}
