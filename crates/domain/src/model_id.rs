//! The built-in model ids of the OpenAI-compatible API. A team's assistant has the id `assistant@SLUG`, which the
//! gateway resolves.

use crate::model_tier::{ModelTier, TierChoice};
use crate::role::{Operation, Resource, string_enum};

string_enum! {
    /// Values that a client may send as `model`.
    ModelId {
        /// The plant's assistant; the platform chooses the tier.
        Auto = "auto",
        /// The plant's assistant on the everyday model.
        Fast = "fast",
        /// The plant's assistant on the model for hard questions.
        Heavy = "heavy",
        /// The everyday language model, without the assistant.
        FastDirect = "fast-direct",
        /// The language model for hard questions, without the assistant.
        HeavyDirect = "heavy-direct",
        /// The embedding model.
        Embed = "embed",
    }
}

impl ModelId {
    /// The permission that its use requires: `auto`, `fast` and `heavy` create a conversation, the others use a model
    /// directly.
    #[must_use]
    pub const fn required_permission(self) -> (Resource, Operation) {
        match self {
            Self::Auto | Self::Fast | Self::Heavy => (Resource::Conversations, Operation::Create),
            Self::FastDirect | Self::HeavyDirect | Self::Embed => (Resource::Models, Operation::Create),
        }
    }

    /// Whether it is a language model without the assistant.
    #[must_use]
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::FastDirect | Self::HeavyDirect)
    }

    /// The tier that must be configured for it; `None` for the embedding model.
    #[must_use]
    pub const fn tier(self) -> Option<ModelTier> {
        match self {
            Self::Auto | Self::Fast | Self::FastDirect => Some(ModelTier::Fast),
            Self::Heavy | Self::HeavyDirect => Some(ModelTier::Heavy),
            Self::Embed => None,
        }
    }

    /// The corresponding choice of tier; `None` for the embedding model, which does not chat.
    #[must_use]
    pub const fn tier_choice(self) -> Option<TierChoice> {
        match self {
            Self::Auto => Some(TierChoice::Auto),
            Self::Fast | Self::FastDirect => Some(TierChoice::Fast),
            Self::Heavy | Self::HeavyDirect => Some(TierChoice::Heavy),
            Self::Embed => None,
        }
    }
}
