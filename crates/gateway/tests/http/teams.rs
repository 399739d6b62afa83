//! Routes of teams: the commands that requests become, and the fields that are refused.

use crate::support::*;
use chrono::TimeDelta;
use domain::command::{CreateTeam, GetTeam, InviteToTeam, ListInvitations, ListTeamMembers, PutTeamMember};
use domain::ids::{InvitationId, TeamId, TenantId, UserId};
use domain::page::Page;
use domain::role::Role;
use domain::team::{InvitationStatus, InvitationView, Team, TeamMember, TeamRole, TeamView};
use serde_json::json;

fn view() -> TeamView {
    let team = Team {
        id: TeamId::from_uuid(uuid(30)),
        name: "Turnaround".to_owned(),
        slug: "turnaround".to_owned(),
        created_at: fixed_time(),
        updated_at: fixed_time(),
        deleted_at: None,
    };
    TeamView { team, host: TenantId::from_uuid(uuid(1)), role: TeamRole::Owner }
}

fn invitation() -> InvitationView {
    InvitationView {
        id: InvitationId::from_uuid(uuid(31)),
        team: TeamId::from_uuid(uuid(30)),
        team_name: "Turnaround".to_owned(),
        status: InvitationStatus::Pending,
        created_at: fixed_time(),
        expires_at: fixed_time() + TimeDelta::days(14),
    }
}

#[tokio::test]
async fn teams_members_and_invitations_are_shown() {
    let mut gate = gate_for(Role::User);
    gate.on::<CreateTeam>(|_, _| Ok(view()));
    gate.on::<GetTeam>(|_, _| Ok(view()));
    gate.on::<ListTeamMembers>(|_, _| {
        Ok(vec![TeamMember {
            user: UserId::from_uuid(uuid(2)),
            name: "Ada".to_owned(),
            role: TeamRole::Viewer,
            guest_of: Some(TenantId::from_uuid(uuid(9))),
            is_active: true,
            joined_at: fixed_time(),
        }])
    });
    gate.on::<ListInvitations>(|_, _| Ok(Page { items: vec![invitation()], next: None }));
    let router = router(gate, settings());
    let new = json!({ "name": "Turnaround", "slug": "turnaround" });
    let created = send(&router, json_request("POST", "/v1/teams", &new.to_string())).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), Some(format!("/v1/teams/{}", uuid(30)).as_str()));
    let expected = json!({
        "id": uuid(30), "name": "Turnaround", "slug": "turnaround", "tenant_id": uuid(1), "team_role": "owner",
        "created_at": fixed_time(), "updated_at": fixed_time(), "deleted_at": null,
    });
    assert_eq!(created.json(), expected);
    assert_eq!(send(&router, get(&format!("/v1/teams/{}", uuid(30)))).await.json(), expected);
    let members = send(&router, get(&format!("/v1/teams/{}/members", uuid(30)))).await.json();
    let member = json!({
        "user_id": uuid(2), "name": "Ada", "team_role": "viewer", "guest": true, "joined_at": fixed_time(),
    });
    assert_eq!(members, json!({ "data": [member], "next_cursor": null, "has_more": false }));
    let invitations = send(&router, get("/v1/invitations")).await.json();
    let shown = json!({
        "id": uuid(31), "team": { "id": uuid(30), "name": "Turnaround" }, "status": "pending",
        "created_at": fixed_time(), "expires_at": fixed_time() + TimeDelta::days(14),
    });
    assert_eq!(invitations["data"], json!([shown]));
}

#[tokio::test]
async fn fields_that_are_not_allowed_are_named() {
    let router = router(gate_for(Role::User), settings());
    let team = format!("/v1/teams/{}", uuid(30));
    for (path, body, pointer) in [
        ("/v1/teams".to_owned(), json!({ "name": " ", "slug": "a" }), "/name"),
        ("/v1/teams".to_owned(), json!({ "name": "A", "slug": "A b" }), "/slug"),
        ("/v1/teams".to_owned(), json!({ "name": "A", "slug": "a".repeat(65) }), "/slug"),
        (format!("{team}/invitations"), json!({ "tenant": "a", "email": "" }), "/email"),
        (format!("{team}/invitations"), json!({ "tenant": "a".repeat(65), "email": "a@b.example" }), "/tenant"),
    ] {
        let answer = send(&router, json_request("POST", &path, &body.to_string())).await;
        assert_eq!(answer.problem(), (422, "validation".to_owned(), Some(pointer.to_owned())), "{path} {body}");
    }
}

#[tokio::test]
async fn a_member_is_set_with_the_role_of_the_body_and_an_invitation_carries_the_address() {
    let mut gate = gate_for(Role::User);
    gate.on::<PutTeamMember>(|_, command| {
        assert_eq!(command.role, TeamRole::Viewer);
        Ok(TeamMember {
            user: command.user,
            name: String::new(),
            role: command.role,
            guest_of: None,
            is_active: true,
            joined_at: fixed_time(),
        })
    });
    gate.on::<InviteToTeam>(|_, command| {
        assert_eq!((command.tenant.as_str(), command.email.as_str()), ("services", "ines@services.example"));
        Ok(invitation())
    });
    let router = router(gate, settings());
    let team = format!("/v1/teams/{}", uuid(30));
    let put = json_request("PUT", &format!("{team}/members/{}", uuid(2)), r#"{"team_role": "viewer"}"#);
    assert_eq!(send(&router, put).await.json()["team_role"], "viewer");
    let invite = json!({ "tenant": "services", "email": "ines@services.example" });
    assert_eq!(
        send(&router, json_request("POST", &format!("{team}/invitations"), &invite.to_string())).await.status,
        201
    );
}
