//! `login`, `logout` and `whoami`.

use super::address;
use crate::api::{BaseUrl, Client, Query, http};
use crate::args::{DEFAULT_SCOPE, GlobalOptions, LoginArgs};
use crate::error::CliError;
use crate::login::{CredentialStore, FixedTokenSource, Issuer, LoopbackListener, Prompt, StoredTokens};
use crate::settings::{self, SystemClock, TOKEN_VARIABLE};
use crate::terminal::{Console, spinner};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Read as _};

/// Signs in, and stores the login once the platform accepts it.
///
/// # Errors
/// If the issuer or the platform cannot be reached, or refuses the request.
pub async fn login(options: &GlobalOptions, args: &LoginArgs, console: &mut Console) -> Result<(), CliError> {
    if !args.device && !args.no_browser && !args.token_stdin && !std::io::stdin().is_terminal() {
        let text = "standard input is not a terminal: sign in with --device, --no-browser or --token-stdin";
        return Err(CliError::Usage(text.to_owned()));
    }
    let store = CredentialStore::in_dir(settings::state_dir()?);
    let address = address(options, &store)?;
    let http = http::client(options)?;
    let login = if args.token_stdin {
        token_from_stdin()?
    } else {
        let issuer = issuer(options, args, http.clone()).await?;
        if args.device {
            sign_in_on_device(&issuer, args, console).await?
        } else {
            let how = BrowserOptions { scope: &args.scope, no_browser: args.no_browser, prompt: Prompt::AsNeeded };
            sign_in_in_browser(&issuer, how, console).await?
        }
    };
    let token = FixedTokenSource(SecretString::from(login.access_token.as_str()));
    let client = Client::new(http, address.clone(), Box::new(token));
    let me = client.get("v1/me", &Query::default()).await?;
    store.lock()?.save_login(&address, login)?;
    if settings::token()?.is_some() {
        console.note(&format!("{TOKEN_VARIABLE} is set and takes precedence over this login"));
    }
    if console.is_json() {
        return console.json(&me);
    }
    console.note(&format!("signed in to {address} as {}", describe_user(&me)));
    Ok(())
}

/// Revokes the login at the issuer, and deletes it here, even if the issuer cannot be reached.
///
/// # Errors
/// If the stored login cannot be deleted.
pub async fn logout(options: &GlobalOptions, console: &mut Console) -> Result<(), CliError> {
    let store = CredentialStore::in_dir(settings::state_dir()?);
    let address = address(options, &store)?;
    let removed_login = store.lock()?.remove_login(&address)?;
    let message = match &removed_login {
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
        return console.json(&json!({ "url": address.to_string(), "signed_out": removed_login.is_some() }));
    }
    console.note(&message);
    Ok(())
}

/// Shows who is signed in.
///
/// # Errors
/// If nobody is signed in, or the platform cannot be reached.
pub async fn whoami(client: &Client, console: &mut Console) -> Result<(), CliError> {
    let me = client.get("v1/me", &Query::default()).await?;
    if console.is_json() {
        return console.json(&me);
    }
    console.line(&describe_user(&me))
}

/// Name, role and tenant of a user.
fn describe_user(me: &Value) -> String {
    let text = |field: &str| me[field].as_str().filter(|text| !text.is_empty());
    let name = text("name").or(text("email")).or(text("id")).unwrap_or("somebody");
    let grants: Vec<_> = me["grants"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let role = [&[me["role"].as_str().unwrap_or("user")], &grants[..]].concat().join(", ");
    format!("{name} ({role}) of the tenant {}", me["tenant"]["slug"].as_str().unwrap_or("?"))
}

fn token_from_stdin() -> Result<StoredTokens, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| CliError::failed_locally("cannot read standard input", error))?;
    let access_token = settings::parse_token(&text)?.expose_secret().to_owned();
    Ok(StoredTokens { access_token, expires_at: None, refresh_token: None, client: None })
}

async fn issuer(options: &GlobalOptions, args: &LoginArgs, http: reqwest::Client) -> Result<Issuer, CliError> {
    let non_empty = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let missing_option = |what: &str| CliError::Usage(format!("{what}; ask your administrator for the value"));
    let issuer = non_empty(&args.issuer).ok_or_else(|| missing_option("pass --issuer, or set PLATFORM_ISSUER"))?;
    let client_id =
        non_empty(&args.client_id).ok_or_else(|| missing_option("pass --client-id, or set PLATFORM_CLIENT_ID"))?;
    let address = BaseUrl::parse(&issuer, options.allow_http)?;
    Ok(Issuer::discover(http, &address, client_id, options.allow_http).await?.with_scope(&args.scope))
}

/// How to sign in with a browser.
#[derive(Clone, Copy, Debug)]
struct BrowserOptions<'a> {
    /// Scopes to request, separated by spaces.
    scope: &'a str,
    /// Whether to print the URL instead of opening a browser.
    no_browser: bool,
    /// Whether the user must prove again who they are.
    prompt: Prompt,
}

/// Whether [`sign_in_again`] can work: there is a stored login of an issuer, and a person who can use a browser.
///
/// # Errors
/// If the stored logins cannot be read.
pub fn can_sign_in_again(options: &GlobalOptions, no_browser: bool) -> Result<bool, CliError> {
    if settings::token()?.is_some() || !(no_browser || std::io::stdin().is_terminal()) {
        return Ok(false);
    }
    let store = CredentialStore::in_dir(settings::state_dir()?);
    let login = store.login(&address(options, &store)?)?;
    Ok(login.is_some_and(|login| login.client.is_some()))
}

/// Signs the same user in again at the issuer of the stored login, with a proof of who they are, and stores the login.
///
/// # Errors
/// If there is no such login, somebody else signs in, or the issuer or the platform cannot be reached.
pub async fn sign_in_again(options: &GlobalOptions, no_browser: bool, console: &Console) -> Result<(), CliError> {
    let store = CredentialStore::in_dir(settings::state_dir()?);
    let address = address(options, &store)?;
    let http = http::client(options)?;
    let known = store.login(&address)?.and_then(|login| login.client);
    let known = known.ok_or_else(|| CliError::NotSignedIn("not signed in: run `platform login`".to_owned()))?;
    let before = super::connect(options)?.get("v1/me", &Query::default()).await?;
    let issuer_address = BaseUrl::parse(known.issuer(), options.allow_http)?;
    let client_id = known.client_id().to_owned();
    let scope = known.scope().unwrap_or(DEFAULT_SCOPE);
    let issuer =
        Issuer::discover(http.clone(), &issuer_address, client_id, options.allow_http).await?.with_scope(scope);
    let login =
        sign_in_in_browser(&issuer, BrowserOptions { scope, no_browser, prompt: Prompt::SignIn }, console).await?;
    let token = FixedTokenSource(SecretString::from(login.access_token.as_str()));
    let after = Client::new(http, address.clone(), Box::new(token)).get("v1/me", &Query::default()).await?;
    if after["id"] != before["id"] {
        let text = format!("signed in as {}, not as {}", describe_user(&after), describe_user(&before));
        return Err(CliError::Refused(text));
    }
    store.lock()?.save_renewed(&address, login)
}

async fn sign_in_in_browser(
    issuer: &Issuer,
    options: BrowserOptions<'_>,
    console: &Console,
) -> Result<StoredTokens, CliError> {
    let loopback = LoopbackListener::open().await?;
    let BrowserOptions { scope, no_browser, prompt } = options;
    let pending_sign_in = issuer.begin_authorization_code_flow(scope, loopback.redirect_uri(), prompt)?;
    let browser_opened = !no_browser && open::that_detached(pending_sign_in.url.as_str()).is_ok();
    let invitation = if browser_opened { "Sign in in the browser, or open" } else { "To sign in, open" };
    console.note(&format!("{invitation} this URL on this machine:\n{}", pending_sign_in.url));
    let waiting = spinner("waiting for the browser");
    let response = loopback.wait_for_redirect().await?;
    waiting.finish_and_clear();
    issuer.finish_authorization_code_flow(pending_sign_in, response, &SystemClock).await
}

async fn sign_in_on_device(issuer: &Issuer, args: &LoginArgs, console: &Console) -> Result<StoredTokens, CliError> {
    let code = issuer.begin_device_flow(&args.scope).await?;
    console.note(&format!(
        "To sign in, open {} on any device, and enter the code {}",
        code.verification_uri(),
        code.user_code()
    ));
    let waiting = spinner("waiting for you to sign in");
    let login = issuer.finish_device_flow(&code, &SystemClock).await;
    waiting.finish_and_clear();
    login
}

async fn revoke(options: &GlobalOptions, login: &StoredTokens, console: &Console) {
    let (Some(client), Some(token)) = (&login.client, &login.refresh_token) else { return };
    let revoked = match http::client(options) {
        Ok(http) => client.revoke(&http, token).await,
        Err(error) => Err(error),
    };
    if let Err(error) = revoked {
        console.note(&format!("the login is deleted here, but could not be revoked: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_described_with_role_grants_and_tenant() {
        let me = json!({ "name": "Uma", "role": "user", "grants": ["auditor"], "tenant": { "slug": "plant-a" } });
        assert_eq!(describe_user(&me), "Uma (user, auditor) of the tenant plant-a");
        assert_eq!(describe_user(&json!({ "id": "1", "name": "", "tenant": {} })), "1 (user) of the tenant ?");
    }
}
