//! The use cases over the in-memory store, with a scripted model and scripted tools.

#[cfg(test)]
mod administration;
#[cfg(test)]
mod audit_trail;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod chat_termination;
#[cfg(test)]
mod chat_tools;
#[cfg(test)]
mod classification;
#[cfg(test)]
mod client_history;
mod client_tools;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod direct_model_requests;
#[cfg(test)]
mod follow_ups;
#[cfg(test)]
mod glossary;
#[cfg(test)]
mod plant;
#[cfg(test)]
mod summaries;
#[cfg(test)]
mod support;
#[cfg(test)]
mod worker;
