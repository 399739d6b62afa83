//! `platform login` and `logout`: in a browser, on another device, with a token; and how long a login lasts.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::cli::{Cli, Output};
use crate::support::provider::{AUDIENCE, OidcProvider};
use domain::role::Role;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

const SCOPE: &str = "openid offline_access platform.ask";

async fn app_with(provider: &OidcProvider) -> TestApp {
    TestApp::start(&[("OIDC_ISSUER", &provider.issuer), ("OIDC_AUDIENCE", AUDIENCE)]).await
}

fn login(cli: &Cli, provider: &OidcProvider, extra_args: &[&str]) -> Command {
    let fixed = ["login", "--issuer", &provider.issuer, "--client-id", "plant-cli", "--scope", SCOPE];
    cli.command(&[&fixed[..], extra_args].concat())
}

/// The lines that a command writes to standard error.
fn stderr_lines(child: &mut Child) -> Lines<BufReader<ChildStderr>> {
    BufReader::new(child.stderr.take().expect("piped")).lines()
}

/// Reads lines until one contains a word that `is_match` accepts, and returns that word.
async fn read_word(lines: &mut Lines<BufReader<ChildStderr>>, is_match: impl Fn(&str) -> bool) -> String {
    loop {
        let line = lines.next_line().await.expect("readable").expect("it ended early");
        if let Some(word) = line.split([' ', ',']).find(|word| is_match(word)) {
            return word.to_owned();
        }
    }
}

fn stored_credentials(cli: &Cli) -> Value {
    serde_json::from_slice(&std::fs::read(cli.credentials()).expect("a login")).expect("JSON")
}

fn is_private_to_its_owner(path: &Path) -> bool {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777 == 0o600
}

/// Marks the stored access token as expired.
fn expire_access_token(cli: &Cli, app: &TestApp) {
    let mut contents = stored_credentials(cli);
    contents["logins"][&app.base_url]["expires_at"] = json!("2020-01-01T00:00:00Z");
    std::fs::write(cli.credentials(), contents.to_string()).expect("written");
}

#[tokio::test]
async fn a_login_in_a_browser_lasts_until_it_is_revoked() {
    let provider = OidcProvider::start().await;
    let app = app_with(&provider).await;
    let cli = Cli::signed_out(&app);
    let mut child = login(&cli, &provider, &["--no-browser"]).spawn().expect("it starts");
    let mut lines = stderr_lines(&mut child);
    let address = read_word(&mut lines, |word| word.starts_with("http") && word.contains("code_challenge=")).await;
    assert!(address.contains("code_challenge_method=S256"), "{address}");
    let page = provider.visit(&address, "alice", "").await;
    assert!(page.contains("close this window"), "{page}");
    read_word(&mut lines, |word| word == "(user)").await;
    assert!(child.wait().await.expect("it ran").success());
    assert!(is_private_to_its_owner(&cli.credentials()));
    assert!(cli.run(&["whoami"]).await.expect(0).out.contains("(user) of the tenant plant-a"));

    // Without PLATFORM_URL, commands use the platform of the last login. An expired token is renewed.
    let first = stored_credentials(&cli);
    expire_access_token(&cli, &app);
    let mut whoami = cli.command(&["whoami"]);
    Output::wait_for(whoami.env_remove("PLATFORM_URL").spawn().expect("it starts")).await.expect(0);
    let second = stored_credentials(&cli);
    let login_field = |contents: &Value, field: &str| contents["logins"][&app.base_url][field].clone();
    assert_ne!(login_field(&first, "access_token"), login_field(&second, "access_token"));
    assert!(is_private_to_its_owner(&cli.credentials()));
    // A token that the server refuses is renewed as well.
    let mut garbled = second.clone();
    garbled["logins"][&app.base_url]["access_token"] = json!("garbage");
    std::fs::write(cli.credentials(), garbled.to_string()).expect("written");
    cli.run(&["search", "anything"]).await.expect(0);

    let last = login_field(&stored_credentials(&cli), "refresh_token").as_str().expect("a refresh token").to_owned();
    cli.run(&["logout"]).await.expect(0);
    assert!(!std::fs::read_to_string(cli.credentials()).expect("a file").contains(&last));
    cli.run(&["whoami"]).await.expect(3);
    let form = format!("grant_type=refresh_token&client_id=plant-cli&refresh_token={last}");
    let request = app.http.post(format!("{}/token", provider.issuer));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(request.send().await.expect("an answer").status(), 400, "the issuer revoked the refresh token");
}

#[tokio::test]
async fn a_login_on_another_device_succeeds_and_a_refused_one_stores_nothing() {
    let provider = OidcProvider::start().await;
    let app = app_with(&provider).await;
    let cli = Cli::signed_out(&app);
    let mut child = login(&cli, &provider, &["--device"]).spawn().expect("it starts");
    let mut lines = stderr_lines(&mut child);
    let line = lines.next_line().await.expect("readable").expect("a message");
    let code = line.rsplit(' ').next().expect("a code").to_owned();
    let address = line.split([' ', ',']).find(|word| word.starts_with("http")).expect("an address").to_owned();
    let page = provider.visit(&address, "alice", &code).await;
    assert!(page.contains("successful"), "{page}");
    assert!(child.wait().await.expect("it ran").success());
    cli.run(&["whoami"]).await.expect(0);
    // An expired token is renewed here as well.
    expire_access_token(&cli, &app);
    cli.run(&["whoami"]).await.expect(0);

    // A refused login stores nothing, and a URL that is not an issuer is refused.
    let stranger = Cli::signed_out(&app);
    let missing = stranger.run(&["login", "--device"]).await.expect(2);
    assert!(missing.err.contains("PLATFORM_ISSUER"), "{}", missing.err);
    let unknown = stranger.run(&["login", "--device", "--issuer", &app.base_url, "--client-id", "x"]).await.expect(1);
    assert!(unknown.err.contains("issuer"), "{}", unknown.err);
    let unknown_client_args = ["login", "--device", "--issuer", &provider.issuer, "--client-id", "unknown"];
    assert!(stranger.run(&unknown_client_args).await.expect(3).err.contains("invalid_client"));
    stranger.run_with_input(&["login", "--token-stdin"], "garbage").await.expect(3);
    assert!(!stranger.credentials().exists());
}

#[tokio::test]
async fn a_token_from_standard_input_is_stored_until_logout() {
    let app = TestApp::shared().await;
    let cli = Cli::signed_out(app);
    let token = app.token(TENANT_A, "nora", Role::User);
    let output = cli.run_with_input(&["login", "--token-stdin"], &format!("{token}\n")).await.expect(0);
    assert!(output.err.contains(" (user) of the tenant plant-a") && !output.err.contains(&token), "{output:#?}");
    assert!(is_private_to_its_owner(&cli.credentials()));
    let me = cli.run(&["whoami", "--output", "json"]).await.expect(0).json();
    assert_eq!(me, app.with_token(&token).get("/v1/me").await.expect_json(200));
    // The token is not sent to another platform.
    cli.run(&["whoami", "--url", "http://127.0.0.1:1"]).await.expect(3);
    std::fs::set_permissions(cli.credentials(), std::fs::Permissions::from_mode(0o644)).expect("set");
    let exposed = cli.run(&["whoami"]).await.expect(3);
    assert!(exposed.err.contains("others can read") && !exposed.err.contains(&token), "{}", exposed.err);
    std::fs::set_permissions(cli.credentials(), std::fs::Permissions::from_mode(0o600)).expect("set");
    let out = cli.run(&["logout", "--output", "json"]).await.expect(0).json();
    assert_eq!(out["signed_out"], true);
    cli.run(&["whoami"]).await.expect(3);
    assert_eq!(cli.run(&["logout"]).await.expect(0).err.trim(), format!("not signed in to {}", app.base_url));
}
