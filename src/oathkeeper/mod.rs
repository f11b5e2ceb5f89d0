//! Oathkeeper's configuration and access rules, for gateways that use its `id_token` mutator today.
//!
//! claimsmith can serve them unchanged ([`Source`] and [`OathkeeperConfig`]) or convert them to a configuration of its
//! own ([`Import`]). The import runs each converted template beside the original and reports where the two differ.
//!
//! Nothing here reads or writes a file or opens a connection: the caller passes functions that do. The files in import
//! order, each of which uses only those before it: `settings`, `document`, `names`, `rules`, `rule_set`, `proof`, `template`, `config`,
//! `drop_in`, `source`, `imported`, `report`, `import`.

mod config;
mod document;
mod drop_in;
mod import;
mod imported;
mod names;
mod proof;
mod report;
mod rule_set;
mod rules;
mod settings;
mod source;
mod template;

pub use config::OathkeeperConfig;
pub use rules::RuleSource;

pub(crate) use drop_in::DropIn;
pub(crate) use import::{Import, ImportedFile};
pub(crate) use source::Source;
pub(crate) use template::fruitless;

#[cfg(test)]
mod tests;
