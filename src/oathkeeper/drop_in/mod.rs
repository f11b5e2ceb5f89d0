//! Profiles of an Oathkeeper configuration that changes while it is served.
//!
//! A rule that is changed from the `id_token` to the `hydrator` mutator no longer defines its profile, but calls it from
//! then on. Such a profile keeps the configuration that it had, as long as the process runs. So does the profile of a rule
//! that Oathkeeper rejects after a change.
//!
//! No profile becomes that of another rule while it is served: its callers would get other claims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::OathkeeperConfig;
use super::rules::label_of_id;
use crate::code::ErrorCode;
use crate::config::fault::Faults;
use crate::config::{Config, GivenProfiles, Loaded, RuleOrigin};
use crate::mint::{BuildFault, ProfileName};
use crate::templates::{TemplateName, TemplateText};

/// The profiles of an Oathkeeper configuration, and those that are kept.
pub(crate) struct DropIn {
    oathkeeper: Arc<OathkeeperConfig>,
    file: String,
    given: GivenProfiles,
    templates: BTreeMap<TemplateName, TemplateText>,
    /// The access rule of each profile.
    origins: BTreeMap<ProfileName, RuleOrigin>,
    /// What became of profiles that were served, by name.
    changes: BTreeMap<ProfileName, String>,
    warnings: Vec<String>,
}

impl DropIn {
    /// Determines the profiles. `file` is the name of the configuration in errors, `current` is what is served.
    pub(crate) fn new(oathkeeper: Arc<OathkeeperConfig>, file: String, current: Option<&Config>) -> Self {
        let (served, templates) = oathkeeper.profiles();
        let given = GivenProfiles { served, ignored: Some(Faults::default()), ..GivenProfiles::default() };
        let of_rules = oathkeeper.profiles.iter().filter(|profile| !profile.is_global);
        let origins =
            of_rules.filter_map(|profile| Some((profile.name().clone(), profile.origins.first()?.clone()))).collect();
        let (changes, warnings) = Default::default();
        let mut drop_in = Self { oathkeeper, file, given, templates, origins, changes, warnings };
        if let Some(current) = current {
            drop_in.keep_names(current);
        }
        drop_in.keep_callable(current);
        drop_in
    }

    /// Lets the names of profiles that are served mean what they meant, or nothing.
    fn keep_names(&mut self, current: &Config) {
        let oathkeeper = Arc::clone(&self.oathkeeper);
        let broken: BTreeSet<_> = oathkeeper.broken.iter().flat_map(|broken| &broken.names).collect();
        let broken: BTreeSet<_> = broken.iter().filter_map(|name| oathkeeper.rules.get(*name)).collect();
        let now: BTreeMap<_, _> = oathkeeper
            .profiles
            .iter()
            .flat_map(|profile| profile.origins.iter().map(move |origin| (origin, profile.name())))
            .collect();
        for (name, before) in &current.rule_origins {
            match (self.origins.get(name), now.get(before)) {
                (Some(after), _) if self.is_same(name, before, after, current) => {}
                (Some(after), _) => {
                    let (before_id, after_id) = (&before.id, &after.id);
                    let (before_label, after_rule) = (label(before), after);
                    let after = label(after);
                    let message = if before_id == after_id && self.has_other_caller(name, after_rule) {
                        format!(
                            "profile {name} keeps the configuration that it had, so that another rule that calls it gets no other \
                             claims than before; the other faults name that rule"
                        )
                    } else if before_id == after_id {
                        format!(
                            "profile {name} keeps the configuration that it had, because ids and `match` of rules changed places; \
                             restart claimsmith if its callers want the claims of {after}"
                        )
                    } else {
                        format!(
                            "profile {name} was of {before_label} and would now be of {after}, whose claims its callers would get: it \
                         keeps the configuration that it had; rename {after}, or restart claimsmith if its callers want that"
                        )
                    };
                    if self.keep(name, current) {
                        self.changes.insert(name.clone(), message);
                    }
                }
                (None, _) if oathkeeper.hydrated.contains_key(name) || broken.contains(before) => {
                    self.keep(name, current);
                }
                (None, Some(other)) => {
                    if let Some(mut profile) = self.given.served.get(*other).cloned() {
                        let template = name.default_template();
                        let text = self.templates.get(&profile.spec.template).cloned();
                        profile.spec.name = name.clone();
                        profile.spec.template = template.clone();
                        self.given.served.insert(name.clone(), profile);
                        self.templates.extend(text.map(|text| (template, text)));
                        self.origins.insert(name.clone(), before.clone());
                        let message = format!(
                            "profile {name} of {} is called {other} now, and has its old name only until claimsmith restarts; \
                             let its callers use the new name",
                            label(before)
                        );
                        self.changes.insert(name.clone(), message);
                    }
                }
                (None, None) if !oathkeeper.has_unread_rules => {
                    let rule = label(before);
                    self.warnings
                        .push(format!("profile {name} is gone, because {rule} no longer defines it; callers get 404"));
                }
                (None, None) => {}
            }
        }
    }

    /// Returns `true` if the profile may become that of the rule `after`: it is the same rule, perhaps with a new
    /// `match` that no other rule had, and no rule with another id calls the profile.
    fn is_same(&self, name: &ProfileName, before: &RuleOrigin, after: &RuleOrigin, current: &Config) -> bool {
        let is_other = |rule: &RuleOrigin| rule.requests == before.requests && rule.id != before.id;
        // Usually nothing has changed, and no other rule is compared.
        let was_other = |rule: &RuleOrigin| rule.requests == after.requests && rule.id != after.id;
        let is_moved = || {
            before.id == after.id
                && !self.oathkeeper.rules.values().any(is_other)
                && !current.rule_origins.values().any(was_other)
        };
        (before == after || is_moved()) && !self.has_other_caller(name, after)
    }

    /// Returns `true` if another rule than `rule` calls the profile.
    fn has_other_caller(&self, name: &ProfileName, rule: &RuleOrigin) -> bool {
        self.oathkeeper.callers.iter().any(|(called, caller)| called == name && caller.id != rule.id)
    }

    /// Keeps the configuration that the profile has. Returns `false` if there is none.
    fn keep(&mut self, name: &ProfileName, current: &Config) -> bool {
        let template = name.default_template();
        let Some((profile, text)) = current.profiles.get(name).zip(current.go_templates.get(&template)) else {
            return false;
        };
        self.given.served.remove(name);
        self.given.kept.insert(name.clone(), profile.clone());
        self.templates.insert(template, text.clone());
        self.origins.remove(name);
        self.origins.extend(current.rule_origins.get(name).map(|origin| (name.clone(), origin.clone())));
        true
    }

    /// Keeps the profiles that `hydrator` URLs name, and those of rules that cannot be read.
    fn keep_callable(&mut self, current: Option<&Config>) {
        let oathkeeper = Arc::clone(&self.oathkeeper);
        let broken = oathkeeper.broken.iter().flat_map(|broken| &broken.names);
        let wanted = oathkeeper.hydrated.keys().chain(broken);
        // If a source of rules cannot be read, each profile could be one of its rules.
        let all = current.filter(|_| oathkeeper.has_unread_rules).into_iter().flat_map(|config| config.profiles.keys());
        for name in wanted.chain(all) {
            let is_known = self.given.served.contains_key(name) || self.given.kept.contains_key(name);
            if !is_known && !current.is_some_and(|current| self.keep(name, current)) {
                self.given.absent.insert(name.clone());
            }
        }
    }

    /// Loads the configuration with these profiles.
    ///
    /// # Errors
    /// Returns the faults of `parse`, and the reasons why there are no profiles.
    pub(crate) fn load(
        self,
        parse: impl FnOnce(&mut GivenProfiles) -> Result<Loaded, Vec<BuildFault>>,
    ) -> Result<Loaded, Vec<BuildFault>> {
        let Self { oathkeeper, file, mut given, mut templates, origins, changes, warnings } = self;
        let has_none = given.served.is_empty() && given.kept.is_empty();
        let kept: Vec<ProfileName> = given.kept.keys().cloned().collect();
        let mut problems: Vec<BuildFault> = oathkeeper.faults().cloned().collect();
        let mut loaded = match parse(&mut given) {
            Ok(loaded) => loaded,
            Err(_) if has_none => {
                problems.extend(oathkeeper.hydrated.iter().map(|(name, origin)| missing(name, origin, &file)));
                return Err(problems);
            }
            Err(mut faults) => {
                faults.extend(problems);
                return Err(faults);
            }
        };
        for name in kept.iter().filter(|name| !given.kept.contains_key(*name)) {
            // The configuration defines this profile itself, with a template of its own.
            templates.remove(&name.default_template());
        }
        for (name, origin) in &oathkeeper.hydrated {
            if changes.contains_key(name) {
                continue;
            }
            if given.kept.contains_key(name) {
                problems.push(kept_by_hydrator(name, origin, &file));
            } else if !loaded.config.profiles.contains_key(name) {
                problems.push(missing(name, origin, &file));
            }
        }
        for (name, message) in &changes {
            if given.kept.contains_key(name) || given.served.contains_key(name) {
                problems.push(BuildFault::new(ErrorCode::ConfigInvalid, &file, message));
            }
        }
        let is_reported = |name: &&ProfileName| oathkeeper.hydrated.contains_key(*name) || changes.contains_key(*name);
        for name in given.kept.keys().filter(|name| !is_reported(name)) {
            let message = format!(
                "profile {name} keeps the configuration that it had, because its rule is rejected or cannot be read; see \
                 the other faults"
            );
            problems.push(BuildFault::new(ErrorCode::ConfigInvalid, &file, message));
        }
        let served = oathkeeper.profiles.iter().map(|profile| (profile.name().clone(), profile.origin()));
        let earlier = given.kept.keys().map(|name| (name.clone(), "access rules that it had before".to_owned()));
        loaded.config.origins = earlier.chain(served).collect();
        loaded.config.go_templates = templates;
        loaded.config.rule_origins = origins;
        loaded.warnings.extend(oathkeeper.warnings.iter().cloned().chain(warnings));
        loaded.problems.extend(problems);
        Ok(loaded)
    }
}

/// Returns what messages call a rule.
fn label(origin: &RuleOrigin) -> String {
    match origin.id.as_str() {
        "" => "an access rule without an id".to_owned(),
        id => format!("access rule {}", label_of_id(id)),
    }
}

/// Returns the fault that a `hydrator` calls a profile that nothing defines any longer, but that is still served.
fn kept_by_hydrator(name: &ProfileName, origin: &str, file: &str) -> BuildFault {
    let message = format!(
        "{origin} calls profile {name}, but no access rule defines it any longer: it keeps the configuration that it had, \
         and is lost when claimsmith restarts; let claimsmith read a copy of the files from before the change, or import \
         that copy"
    );
    BuildFault::new(ErrorCode::ConfigInvalid, file, message)
}

/// Returns the fault that a `hydrator` calls a profile that nothing defines.
fn missing(name: &ProfileName, origin: &str, file: &str) -> BuildFault {
    let message = format!(
        "{origin} calls profile {name}, but no access rule defines it, so that its requests fail; let claimsmith read a \
         copy of the files from before the change to hydrator, or import that copy, or add the profile to claimsmith.yaml"
    );
    BuildFault::new(ErrorCode::ConfigInvalid, file, message)
}

#[cfg(test)]
mod tests;
