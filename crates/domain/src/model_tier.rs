//! The tiers of models, and what may be asked of them.

use crate::role::string_enum;

string_enum! {
    /// Which class of model answers.
    ModelTier {
        /// The model for everyday questions.
        Fast = "fast",
        /// The model for hard questions.
        Heavy = "heavy",
    }
}

string_enum! {
    /// What a user or a tenant wants of the tiers.
    ModelChoice {
        /// The platform chooses by the question.
        Auto = "auto",
        /// The everyday model.
        Fast = "fast",
        /// The model for hard questions.
        Heavy = "heavy",
    }
}
