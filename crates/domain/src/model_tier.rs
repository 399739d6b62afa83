//! Model tiers, and the choices that users and tenants have.

use crate::role::string_enum;

string_enum! {
    /// A tier of chat models; the configuration assigns backends to it.
    ModelTier {
        /// The model for everyday questions.
        Fast = "fast",
        /// The model for hard questions.
        Heavy = "heavy",
    }
}

string_enum! {
    /// A user's or tenant's choice of tier.
    TierChoice {
        /// The platform chooses a tier for each question.
        Auto = "auto",
        /// The everyday model.
        Fast = "fast",
        /// The model for hard questions.
        Heavy = "heavy",
    }
}
