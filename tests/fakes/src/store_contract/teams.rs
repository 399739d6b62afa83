//! Test cases for teams: their spaces, members, guests and invitations.

use super::conversations::{insert_conversation, new_message};
use super::{CaseError, CaseResult, TestContext, TestTenant, require, scope, user_id};
use chrono::TimeDelta;
use domain::conversation::{ConversationFilter, MessageRole, MessageStatus};
use domain::document::DocumentFilter;
use domain::ids::{TeamId, TenantId, UserId};
use domain::page::PageRequest;
use domain::role::Classification;
use domain::scope::{Actor, TenantScope};
use domain::team::{Invitation, InvitationStatus, ReceivedInvitation, Team, TeamPatch, TeamRole, TeamSlug, TeamSpace};
use domain::time::Timestamp;

/// A tenant with a team of which Ada is the owner.
struct TestTeam {
    tenant: TestTenant,
    id: TeamId,
    /// Ada in the team's space.
    ada: TenantScope,
    /// Bob in the team's space, who is no member.
    bob: TenantScope,
}

#[expect(clippy::disallowed_methods, reason = "the suite stands in for the gate, which reads the membership first")]
fn in_team(scope: &TenantScope, tenant: &TestTenant, team: TeamId) -> TenantScope {
    scope.in_team(tenant.id, team)
}

impl TestContext {
    fn new_team(&self, slug: &str) -> Team {
        let now = self.advance_clock();
        let (name, slug) = (format!("Team {slug}"), slug.to_owned());
        Team { id: self.new_id(), name, slug, created_at: now, updated_at: now, deleted_at: None }
    }

    async fn create_team(&self, tenant: &str) -> Result<TestTeam, CaseError> {
        let tenant = self.create_tenant(tenant).await?;
        let team = self.new_team("turnaround");
        let mut tx = self.begin(&tenant.ada).await?;
        tx.teams().insert(&team, user_id(&tenant.ada)?).await?;
        tx.commit().await?;
        let (ada, bob) = (in_team(&tenant.ada, &tenant, team.id), in_team(&tenant.bob, &tenant, team.id));
        Ok(TestTeam { tenant, id: team.id, ada, bob })
    }

    async fn listed(&self, scope: &TenantScope) -> Result<(usize, usize), CaseError> {
        let (filter, page) = (ConversationFilter { archived: None, text: None }, PageRequest::default());
        let mut tx = self.begin(scope).await?;
        let conversations = tx.conversations().list(&filter, Classification::Restricted, &page).await?.items;
        let documents = tx.documents().list(&DocumentFilter::default(), Classification::Restricted, &page).await?;
        Ok((conversations.len(), documents.items.len()))
    }
}

/// Content stays in the space in which it was stored; the members share it, with its authors.
pub async fn a_team_shares_what_is_stored_in_its_space(context: &TestContext) -> CaseResult {
    let team = context.create_team("a").await?;
    let (ada, bob) = (&team.ada, &team.bob);
    let document = context.insert_document(ada, 'a').await?;
    assert_eq!(document.team_id, Some(team.id));
    let conversation = insert_conversation(context, ada, "Shared").await?;
    assert_eq!(context.listed(ada).await?, (1, 1));
    assert_eq!(context.listed(bob).await?, (1, 1));
    assert_eq!(context.listed(&team.tenant.ada).await?, (0, 0));
    let message = new_message(context.new_id(), MessageRole::User, "Which bolts?", MessageStatus::Complete);
    let mut tx = context.begin(&team.tenant.bob).await?;
    tx.teams().put_member(team.id, user_id(bob)?, TeamRole::Member, context.now()).await?;
    tx.commit().await?;
    let mut tx = context.begin(bob).await?;
    require(tx.messages().append(conversation.id, None, std::slice::from_ref(&message), context.now()).await?)?;
    tx.commit().await?;
    let mut tx = context.begin(ada).await?;
    let stored = require(tx.messages().get(message.id).await?)?;
    assert_eq!(stored.author.map(|author| author.id), bob.user());
    let mut tx = context.begin(&team.tenant.bob).await?;
    assert_eq!(tx.messages().get(message.id).await?, None);
    assert_eq!(tx.documents().get(document.id, Classification::Restricted).await?, None);
    // The same bytes are another document at home.
    drop(tx);
    context.insert_document(&team.tenant.ada, 'a').await?;
    assert_eq!(context.listed(&team.tenant.ada).await?, (0, 1));
    assert_eq!(context.listed(ada).await?, (1, 1));
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert_eq!(tx.usage().storage_usage().await?.documents, 2, "the tenant is charged for both");
    Ok(())
}

/// What a user is in a team shows in a membership that is read in its space.
pub async fn a_membership_shows_the_role_in_the_team(context: &TestContext) -> CaseResult {
    let team = context.create_team("a").await?;
    let (ada, bob) = (user_id(&team.ada)?, user_id(&team.bob)?);
    let role_of = async |scope: &TenantScope| -> Result<Option<TeamRole>, CaseError> {
        let user = user_id(scope)?;
        let membership = context.begin(scope).await?.users().membership(user).await?;
        Ok(membership.and_then(|membership| membership.team).and_then(|team| team.role))
    };
    assert_eq!(role_of(&team.ada).await?, Some(TeamRole::Owner));
    assert_eq!(role_of(&team.bob).await?, None);
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert_eq!(tx.users().membership(ada).await?.and_then(|membership| membership.team), None, "at home");
    tx.teams().put_member(team.id, bob, TeamRole::Viewer, context.advance_clock()).await?;
    tx.commit().await?;
    assert_eq!(role_of(&team.bob).await?, Some(TeamRole::Viewer));
    let space = TeamSpace { team: team.id, host: team.tenant.id };
    let mut tx = context.begin(&team.tenant.bob).await?;
    assert_eq!(tx.teams().spaces(bob).await?, [space]);
    let roles: Vec<_> = tx.teams().members(team.id).await?.into_iter().map(|one| (one.user, one.role)).collect();
    assert_eq!(roles, [(ada, TeamRole::Owner), (bob, TeamRole::Viewer)]);
    assert!(tx.teams().remove_member(team.id, bob, context.now()).await?);
    assert!(!tx.teams().remove_member(team.id, bob, context.now()).await?);
    tx.commit().await?;
    assert_eq!(role_of(&team.bob).await?, None);
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert_eq!(tx.teams().spaces(bob).await?, []);
    assert!(tx.teams().mark_deleted(team.id, Some(context.now()), context.now()).await?);
    tx.commit().await?;
    assert_eq!(role_of(&team.ada).await?, None, "a deleted team is closed");
    Ok(())
}

/// Slugs are unique within a tenant.
pub async fn a_team_is_changed_and_has_a_unique_slug(context: &TestContext) -> CaseResult {
    let team = context.create_team("a").await?;
    let second = context.new_team("second");
    let mut tx = context.begin(&team.tenant.ada).await?;
    tx.teams().insert(&second, user_id(&team.ada)?).await?;
    tx.commit().await?;
    let slug = TeamPatch { name: None, slug: TeamSlug::parse("turnaround") };
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert!(tx.teams().update(second.id, &slug, context.now()).await.is_err());
    drop(tx);
    let rename = TeamPatch { name: Some(domain::text::ShortText::parse("Renamed")?), slug: None };
    let mut tx = context.begin(&team.ada).await?;
    assert_eq!(tx.teams().update(second.id, &rename, context.now()).await?, None, "another team's space");
    let renamed = require(tx.teams().update(team.id, &rename, context.now()).await?)?;
    assert_eq!((renamed.name.as_str(), renamed.slug.as_str()), ("Renamed", "turnaround"));
    Ok(())
}

/// The invitation that belongs to a link, by a user of the team's tenant to one of the tenant `b`.
fn invitation_of(link: &ReceivedInvitation, invited_by: UserId, guest_tenant: TenantId) -> Invitation {
    Invitation {
        id: link.invitation,
        team: link.space.team,
        invited_by,
        guest_tenant: "b".to_owned(),
        email: link.email.clone(),
        guest_tenant_id: Some(guest_tenant),
        guest_id: None,
        status: InvitationStatus::Pending,
        created_at: link.created_at,
        expires_at: link.expires_at,
    }
}

impl TestContext {
    /// An invitation of Ada, by an address in other letters, that nobody has claimed yet.
    fn received_invitation(&self, space: TeamSpace, now: Timestamp) -> ReceivedInvitation {
        ReceivedInvitation {
            invitation: self.new_id(),
            user: None,
            email: "ADA@plant.test".to_owned(),
            space,
            team_name: "Turnaround".to_owned(),
            status: InvitationStatus::Pending,
            created_at: now,
            expires_at: now + TimeDelta::days(14),
        }
    }
}

/// A guest is a user of another tenant: a member of the team, and in the home space of its tenant nobody.
pub async fn a_guest_is_invited_and_belongs_to_the_team_alone(context: &TestContext) -> CaseResult {
    let team = context.create_team("a").await?;
    let other = context.create_tenant("b").await?;
    let guest = user_id(&other.ada)?;
    let (now, space) = (context.advance_clock(), TeamSpace { team: team.id, host: team.tenant.id });
    let link = context.received_invitation(space, now);
    let mut tx = context.begin(&scope(other.id, Actor::System)).await?;
    assert_eq!(tx.teams().find_user_by_email(&link.email).await?, Some(guest));
    tx.teams().insert_received_invitation(&link).await?;
    tx.commit().await?;
    let mut tx = context.begin(&other.ada).await?;
    assert_eq!(tx.teams().claim_received_invitations(user_id(&other.bob)?, "bob@plant.test").await?, []);
    assert_eq!(tx.teams().claim_received_invitations(guest, "ada@plant.test").await?.len(), 1);
    assert_eq!(tx.teams().spaces(guest).await?, []);
    assert!(tx.teams().answer_received_invitation(link.invitation, InvitationStatus::Accepted).await?);
    assert_eq!(tx.teams().spaces(guest).await?, [space]);
    let user = require(tx.users().get(guest).await?)?;
    tx.commit().await?;
    let invitation = invitation_of(&link, user_id(&team.ada)?, other.id);
    let mut tx = context.begin(&team.ada).await?;
    tx.teams().insert_invitation(&invitation).await?;
    tx.commit().await?;
    let entered = in_team(&other.ada, &team.tenant, team.id);
    let mut tx = context.begin(&entered).await?;
    assert_eq!(require(tx.teams().lock_invitation(invitation.id).await?)?, invitation);
    tx.teams().insert_guest(&user, other.id).await?;
    tx.teams().insert_guest(&user, other.id).await?;
    tx.teams().put_member(team.id, guest, TeamRole::Member, now).await?;
    assert!(tx.teams().answer_invitation(invitation.id, guest, InvitationStatus::Accepted).await?);
    assert!(!tx.teams().answer_invitation(invitation.id, guest, InvitationStatus::Declined).await?);
    assert_eq!(tx.teams().guest_home(guest).await?, Some(other.id));
    tx.commit().await?;
    let mut tx = context.begin(&entered).await?;
    let standing = require(require(tx.users().membership(guest).await?)?.team)?;
    assert_eq!((standing.role, standing.guest_role), (None, Some(TeamRole::Member)), "until the home tenant is asked");
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert_eq!(tx.users().get(guest).await?, None);
    assert_eq!(tx.users().list(&PageRequest::default()).await?.items.len(), 2);
    let mut tx = context.begin(&other.ada).await?;
    assert!(
        !tx.teams().answer_received_invitation(link.invitation, InvitationStatus::Declined).await?,
        "it was answered"
    );
    // One that nobody has claimed yet is voided with it, on both sides.
    let unclaimed = ReceivedInvitation { invitation: context.new_id(), ..link };
    tx.teams().insert_received_invitation(&unclaimed).await?;
    assert_eq!(tx.teams().void_received_invitations(team.id, guest).await?, 2);
    assert_eq!(tx.teams().spaces(guest).await?, []);
    tx.commit().await?;
    let mut tx = context.begin(&team.ada).await?;
    tx.teams().insert_invitation(&invitation_of(&unclaimed, user_id(&team.ada)?, other.id)).await?;
    assert_eq!(tx.teams().void_invitations(team.id, guest).await?, 2);
    Ok(())
}

/// A deleted team is found once its days are over, and deleted when it has no content.
pub async fn an_expired_team_is_found_and_deleted(context: &TestContext) -> CaseResult {
    let team = context.create_team("a").await?;
    let long_ago = context.now() - TimeDelta::days(3650);
    let mut tx = context.begin(&team.tenant.ada).await?;
    tx.teams().mark_deleted(team.id, Some(context.now() + TimeDelta::days(3650)), context.now()).await?;
    tx.commit().await?;
    assert_eq!(context.queue.expired_teams().await?, []);
    let mut tx = context.begin(&team.tenant.ada).await?;
    tx.teams().mark_deleted(team.id, None, context.now()).await?;
    tx.teams().mark_deleted(team.id, Some(long_ago), context.now()).await?;
    tx.commit().await?;
    let expired = context.queue.expired_teams().await?;
    assert_eq!(expired.iter().map(TenantScope::team).collect::<Vec<_>>(), [Some(team.id)]);
    let mut tx = context.begin(&team.ada).await?;
    assert!(tx.teams().lock_expired(team.id, long_ago).await?);
    assert!(!tx.teams().lock_expired(team.id, long_ago - TimeDelta::days(1)).await?, "deleted later");
    drop(tx);
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert!(tx.teams().mark_deleted(team.id, None, context.now()).await?);
    assert!(!tx.teams().lock_expired(team.id, context.now()).await?, "it was restored");
    assert!(!tx.teams().delete(team.id).await?, "it was restored");
    drop(tx);
    let mut tx = context.begin(&team.tenant.ada).await?;
    assert_eq!(tx.teams().all().await?, [team.id]);
    assert!(tx.teams().delete(team.id).await?);
    tx.commit().await?;
    assert_eq!(context.queue.expired_teams().await?, []);
    Ok(())
}
