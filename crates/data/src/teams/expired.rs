//! Finds deleted teams whose content is to go, of all tenants, with the worker's role.

use crate::pool::Database;
use crate::statement::{DbRole, Statement, row, statements};
use domain::ids::{RequestId, TenantId};
use domain::ports::StoreError;
use domain::scope::{Actor, TenantScope};
use uuid::Uuid;

row! {
    struct ExpiredTeamRow {
        tenant_id: Uuid,
        team_id: Uuid,
    }
}

impl From<ExpiredTeamRow> for TenantScope {
    #[expect(clippy::disallowed_methods, reason = "the database names the space of a deleted team, as that of a job")]
    fn from(row: ExpiredTeamRow) -> Self {
        let tenant = TenantId::from_uuid(row.tenant_id);
        let home = Self::mint(tenant, Actor::Worker, RequestId::from_uuid(row.team_id));
        home.in_team(tenant, row.team_id.into())
    }
}

statements! {
    EXPIRED_TEAMS: ExpiredTeamRow = Statement::call(
        "expired_teams",
        "looking for deleted teams",
        "SELECT tenant_id, team_id FROM expired_teams()",
    )
    .run_by(DbRole::Worker);
}

/// The spaces of these teams, at most 20.
pub(crate) async fn find_expired(database: &Database) -> Result<Vec<TenantScope>, StoreError> {
    let mut connection = database.acquire("looking for deleted teams").await?;
    EXPIRED_TEAMS.query().fetch_all(&mut connection).await
}
