//! The commands, one module for each.

mod approvals;
mod audit;
mod chat;
mod conversations;
mod docs;
mod goals;
mod manual;
mod search;
mod sessions;
mod sign_in;
mod sources;
mod teams;
mod upload;

use crate::api::{BaseUrl, Client, TokenSource, http};
use crate::args::{Cli, Command, DocsCommand, GlobalOptions};
use crate::error::CliError;
use crate::login::{CredentialStore, FixedTokenSource, NoTokenSource, RefreshingTokenSource};
use crate::settings::{self, SystemClock};
use crate::terminal::Console;

/// Runs the command that was given.
///
/// # Errors
/// If the command fails; the error decides the exit code.
pub async fn run(cli: Cli) -> Result<(), CliError> {
    let Cli { options, command } = cli;
    let mut console = Console::new(options.output);
    match command {
        Command::Login(args) => sign_in::login(&options, &args, &mut console).await,
        Command::Logout => sign_in::logout(&options, &mut console).await,
        Command::Whoami => sign_in::whoami(&connect(&options)?, &mut console).await,
        Command::Chat(args) => chat::run(&connect(&options)?, &args, &mut console).await,
        Command::Conversations(args) => conversations::run(&connect(&options)?, &args, &mut console).await,
        Command::Search(args) => search::run(&connect(&options)?, &args, &mut console).await,
        Command::Docs(DocsCommand::Upload(args)) => upload::run(&connect(&options)?, &args, &mut console).await,
        Command::Docs(command) => docs::run(&connect(&options)?, command, &mut console).await,
        Command::Approvals(command) => approvals::run(&options, &command, &mut console).await,
        Command::Teams(command) => teams::run(&connect(&options)?, &command, &mut console).await,
        Command::Goals(args) => goals::run(&connect(&options)?, &args, &mut console).await,
        Command::Sessions(command) => sessions::run(&connect(&options)?, &command, &mut console).await,
        Command::Audit(args) => audit::run(&connect(&options)?, args, &mut console).await,
        Command::Completions { shell } => manual::completions(shell, &mut console),
        Command::Man { dir } => manual::man(dir.as_deref(), &mut console),
    }?;
    console.flush()
}

/// Creates a client with the token from the environment, otherwise with the stored login.
fn connect(options: &GlobalOptions) -> Result<Client, CliError> {
    let store = CredentialStore::in_dir(settings::state_dir()?);
    let address = address(options, &store)?;
    let http = http::client(options)?;
    let token_source: Box<dyn TokenSource> = match settings::token()? {
        Some(token) => Box::new(FixedTokenSource(token)),
        None => match store.login(&address)? {
            Some(login) => Box::new(RefreshingTokenSource {
                store,
                address: address.clone(),
                http: http.clone(),
                clock: Box::new(SystemClock),
                login: login.into(),
            }),
            None => Box::new(NoTokenSource),
        },
    };
    Ok(Client::new(http, address, token_source))
}

/// Returns the URL of the platform: the one from the options, otherwise that of the last login.
fn address(options: &GlobalOptions, store: &CredentialStore) -> Result<BaseUrl, CliError> {
    let text = match options.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) {
        Some(url) => url.to_owned(),
        None => store.last_address()?.ok_or_else(|| {
            CliError::Usage("no platform URL: pass --url, set PLATFORM_URL, or sign in with --url once".to_owned())
        })?,
    };
    BaseUrl::parse(&text, options.allow_http)
}
