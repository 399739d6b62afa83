//! The models as clients of the OpenAI-compatible surface choose them: by id, from a closed list
//! (`docs/adr/0032-an-openai-compatible-surface.md`).

use crate::model_tier::{ModelChoice, ModelTier};
use crate::role::{Operation, Resource, string_enum};

string_enum! {
    /// What a client may name as `model`.
    ModelId {
        /// The plant's assistant; the platform chooses the tier.
        Auto = "auto",
        /// The plant's assistant on the everyday model.
        Fast = "fast",
        /// The plant's assistant on the model for hard questions.
        Heavy = "heavy",
        /// The everyday language model alone.
        FastDirect = "fast-direct",
        /// The language model for hard questions alone.
        HeavyDirect = "heavy-direct",
        /// The embedding model.
        Embed = "embed",
    }
}

impl ModelId {
    /// What one must be allowed to do to use it: the assistant is a conversation, the others are models alone.
    #[must_use]
    pub const fn needs(self) -> (Resource, Operation) {
        match self {
            Self::Auto | Self::Fast | Self::Heavy => (Resource::Conversations, Operation::Create),
            Self::FastDirect | Self::HeavyDirect | Self::Embed => (Resource::Models, Operation::Create),
        }
    }

    /// The language models alone.
    #[must_use]
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::FastDirect | Self::HeavyDirect)
    }

    /// The tier that must be there for it.
    #[must_use]
    pub const fn tier(self) -> Option<ModelTier> {
        match self {
            Self::Auto | Self::Fast | Self::FastDirect => Some(ModelTier::Fast),
            Self::Heavy | Self::HeavyDirect => Some(ModelTier::Heavy),
            Self::Embed => None,
        }
    }

    /// What it asks of the tiers; none for the embedding model, which does not chat.
    #[must_use]
    pub const fn choice(self) -> Option<ModelChoice> {
        match self {
            Self::Auto => Some(ModelChoice::Auto),
            Self::Fast | Self::FastDirect => Some(ModelChoice::Fast),
            Self::Heavy | Self::HeavyDirect => Some(ModelChoice::Heavy),
            Self::Embed => None,
        }
    }
}
