//! Reasons for refusing a token: one code per check, for the log and the audit row.

/// Why a token was refused. The caller learns the reason only where it can act on it: no token, a login that is too
/// old, or keys that are not available.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each variant is a check; its code says which")]
pub enum TokenError {
    Missing,
    TooLarge,
    Malformed,
    CriticalHeader,
    KeyInHeader,
    UnexpectedTokenType,
    AlgorithmNotAllowed,
    UnknownIssuer,
    MissingKeyId,
    UnknownKey,
    KeyTypeMismatch,
    KeysUnavailable,
    HighSSignature,
    InvalidSignature,
    InvalidExpiry,
    Expired,
    NotYetValid,
    IssuedInFuture,
    AudienceMismatch,
    RequiredClaimMismatch,
    UnsupportedVersion,
    NotAnOAuthAccessToken,
    InvalidSubject,
    AuthenticationTooOld { max_age_s: u32 },
    PersonalTokenUnknown,
    PersonalTokenExpired,
    PersonalTokenRevoked,
    PersonalTokenWithoutLogin,
    PersonalTokenLastLoginTooOld,
    PersonalTokenUnknownIssuer,
    PersonalTokenRequiredClaimMismatch,
    PersonalTokenMaxAgeExceeded,
    PersonalTokenTenantUnmapped,
    PersonalTokenGroupsOverage,
    PersonalTokenGuestRefused,
    PersonalTokenInsufficientScope,
    PersonalTokenRoleLowered,
}

impl TokenError {
    /// Stable code in log lines and audit rows.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::CriticalHeader => "header_crit",
            Self::KeyInHeader => "header_key",
            Self::UnexpectedTokenType => "header_typ",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::UnknownIssuer => "issuer_unknown",
            Self::MissingKeyId => "key_id_missing",
            Self::UnknownKey => "key_unknown",
            Self::KeyTypeMismatch => "key_type_mismatch",
            Self::KeysUnavailable => "keys_unavailable",
            Self::HighSSignature => "signature_high_s",
            Self::InvalidSignature => "signature_invalid",
            Self::InvalidExpiry => "expiry_invalid",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::AudienceMismatch => "audience_mismatch",
            Self::RequiredClaimMismatch => "required_claim_mismatch",
            Self::UnsupportedVersion => "token_version",
            Self::NotAnOAuthAccessToken => "not_an_access_token",
            Self::InvalidSubject => "subject_missing",
            Self::AuthenticationTooOld { .. } => "authenticated_too_long_ago",
            Self::PersonalTokenUnknown => "access_token_unknown",
            Self::PersonalTokenExpired => "access_token_expired",
            Self::PersonalTokenRevoked => "access_token_revoked",
            Self::PersonalTokenWithoutLogin => "access_token_without_login",
            Self::PersonalTokenLastLoginTooOld => "access_token_login_too_old",
            Self::PersonalTokenUnknownIssuer => "access_token_issuer_unknown",
            Self::PersonalTokenRequiredClaimMismatch => "access_token_required_claim_mismatch",
            Self::PersonalTokenMaxAgeExceeded => "access_token_authenticated_too_long_ago",
            Self::PersonalTokenTenantUnmapped => "access_token_tenant_unmapped",
            Self::PersonalTokenGroupsOverage => "access_token_groups_overage",
            Self::PersonalTokenGuestRefused => "access_token_guest_refused",
            Self::PersonalTokenInsufficientScope => "access_token_insufficient_scope",
            Self::PersonalTokenRoleLowered => "access_token_role_lowered",
        }
    }
}

/// A refused token, with the parts of it that can be logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedToken {
    /// The check that failed.
    pub error: TokenError,
    /// The trusted issuer that the token names.
    pub issuer: Option<String>,
    /// The `kid` header, if it can be logged.
    pub key_id: Option<String>,
    /// The token's identifier (`jti`, Entra's `uti`), if it can be logged. Not trustworthy if the signature was not
    /// verified.
    pub token_id: Option<String>,
}

impl From<TokenError> for RefusedToken {
    fn from(error: TokenError) -> Self {
        Self { error, issuer: None, key_id: None, token_id: None }
    }
}

/// Returns text from a token if it can be logged: at most 128 bytes of visible ASCII.
pub fn loggable_text(text: &str) -> Option<String> {
    let is_plain = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !text.is_empty()).then(|| text.to_owned())
}
