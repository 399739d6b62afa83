//! `teams`: lists, creates and deletes teams, and manages members and invitations.

use super::docs::note_next_page;
use crate::api::{Client, Query, show_pages};
use crate::args::{PageArgs, TeamsCommand};
use crate::error::CliError;
use crate::terminal::{Console, Table};
use serde_json::{Value, json};

/// A list as a table: the headings, and the JSON pointers of the columns.
struct Columns<const N: usize> {
    headings: [&'static str; N],
    pointers: [&'static str; N],
}

const TEAMS: Columns<4> =
    Columns { headings: ["id", "slug", "role", "name"], pointers: ["/id", "/slug", "/team_role", "/name"] };
const MEMBERS: Columns<3> =
    Columns { headings: ["user", "role", "name"], pointers: ["/user_id", "/team_role", "/name"] };
const INVITATIONS: Columns<4> = Columns {
    headings: ["id", "status", "expires", "team"],
    pointers: ["/id", "/status", "/expires_at", "/team/name"],
};

/// Runs a command on teams.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, command: &TeamsCommand, console: &mut Console) -> Result<(), CliError> {
    let nothing = json!({});
    match command {
        TeamsCommand::List(page) => list(client, "v1/teams", page, &TEAMS, console).await,
        TeamsCommand::Create { name, slug } => {
            let team = client.post("v1/teams", &json!({ "name": name, "slug": slug })).await?;
            show(&team, &TEAMS, console)
        }
        TeamsCommand::Members { team } => {
            let members = client.get(&format!("v1/teams/{team}/members"), &Query::default()).await?;
            if console.is_json() { console.json(&members) } else { table(&members, &MEMBERS, console) }
        }
        TeamsCommand::Set { team, user, role } => {
            let path = format!("v1/teams/{team}/members/{user}");
            let member = client.put(&path, &json!({ "team_role": role })).await?;
            show(&member, &MEMBERS, console)
        }
        TeamsCommand::Remove { team, user } => client.delete(&format!("v1/teams/{team}/members/{user}")).await,
        TeamsCommand::Invite { team, tenant, email } => {
            let body = json!({ "tenant": tenant, "email": email });
            let invitation = client.post(&format!("v1/teams/{team}/invitations"), &body).await?;
            show(&invitation, &INVITATIONS, console)
        }
        TeamsCommand::Invitations(page) => list(client, "v1/invitations", page, &INVITATIONS, console).await,
        TeamsCommand::Accept { invitation } => {
            let accepted = client.post(&format!("v1/invitations/{invitation}/accept"), &nothing).await?;
            show(&accepted, &INVITATIONS, console)
        }
        TeamsCommand::Decline { invitation } => {
            let declined = client.post(&format!("v1/invitations/{invitation}/decline"), &nothing).await?;
            show(&declined, &INVITATIONS, console)
        }
        TeamsCommand::Delete { team } => client.delete(&format!("v1/teams/{team}")).await,
        TeamsCommand::Restore { team } => client.post(&format!("v1/teams/{team}/restore"), &nothing).await.map(drop),
    }
}

async fn list<const N: usize>(
    client: &Client,
    path: &str,
    page: &PageArgs,
    columns: &Columns<N>,
    console: &mut Console,
) -> Result<(), CliError> {
    let all = page.all;
    show_pages(client, path, Query::default(), page, |page| {
        match (console.is_json(), all) {
            (true, true) => {
                return page["data"].as_array().into_iter().flatten().try_for_each(|item| console.json(item));
            }
            (true, false) => return console.json(page),
            (false, _) => {}
        }
        table(page, columns, console)?;
        note_next_page(page, all, console);
        Ok(())
    })
    .await
}

/// Prints one item as a table with one row, or as JSON.
fn show<const N: usize>(item: &Value, columns: &Columns<N>, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(item);
    }
    table(&json!({ "data": [item] }), columns, console)
}

fn table<const N: usize>(page: &Value, columns: &Columns<N>, console: &mut Console) -> Result<(), CliError> {
    let mut table = Table::new(&columns.headings);
    for item in page["data"].as_array().into_iter().flatten() {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
        table.push_row(columns.pointers.map(text));
    }
    console.table(&table)
}
