//! Profiles of an Oathkeeper configuration that changes while it is served.
//!
//! A rule that is changed from the `id_token` to the `hydrator` mutator no longer defines its profile, but calls it from
//! then on. Such a profile keeps the configuration that it had, as long as the process runs. So does the profile of a rule
//! that Oathkeeper rejects after a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::code::ErrorCode;
use crate::config::fault::Faults;
use crate::config::{Config, GivenProfiles, Loaded};
use crate::mint::{BuildFault, ProfileName};
use crate::oathkeeper::OathkeeperConfig;
use crate::templates::{TemplateName, TemplateText};

/// The profiles of an Oathkeeper configuration, and those that are kept.
pub(super) struct DropIn {
    oathkeeper: Arc<OathkeeperConfig>,
    file: String,
    given: GivenProfiles,
    templates: BTreeMap<TemplateName, TemplateText>,
}

impl DropIn {
    /// Determines the profiles. `file` is the name of the configuration in errors, `current` is what is served.
    pub(super) fn new(oathkeeper: Arc<OathkeeperConfig>, file: String, current: Option<&Config>) -> Self {
        let (served, mut templates) = oathkeeper.profiles();
        let mut given = GivenProfiles { served, ignored: Some(Faults::default()), ..GivenProfiles::default() };
        let broken = oathkeeper.broken.iter().flat_map(|broken| &broken.names);
        let wanted = oathkeeper.hydrated.keys().chain(broken);
        // If a source of rules cannot be read, each profile could be one of its rules.
        let all = current.filter(|_| oathkeeper.has_unread_rules).into_iter().flat_map(|config| config.profiles.keys());
        for name in wanted.chain(all).filter(|name| !given.served.contains_key(*name)).collect::<Vec<_>>() {
            let template = name.default_template();
            let before = current.and_then(|config| {
                Some((config.profiles.get(name)?.clone(), config.go_templates.get(&template)?.clone()))
            });
            match before {
                Some((profile, text)) => {
                    given.kept.insert(name.clone(), profile);
                    templates.insert(template, text);
                }
                None => drop(given.absent.insert(name.clone())),
            }
        }
        Self { oathkeeper, file, given, templates }
    }

    /// Loads the configuration with these profiles.
    ///
    /// # Errors
    /// Returns the faults of `parse`, and the reasons why there are no profiles.
    pub(super) fn load(
        self,
        parse: impl FnOnce(&mut GivenProfiles) -> Result<Loaded, Vec<BuildFault>>,
    ) -> Result<Loaded, Vec<BuildFault>> {
        let Self { oathkeeper, file, mut given, mut templates } = self;
        let has_none = given.served.is_empty() && given.kept.is_empty();
        let kept: Vec<ProfileName> = given.kept.keys().cloned().collect();
        let mut problems: Vec<BuildFault> = oathkeeper.faults().cloned().collect();
        let mut loaded = match parse(&mut given) {
            Ok(loaded) => loaded,
            Err(_) if has_none => {
                problems.extend(oathkeeper.hydrated.iter().map(|(name, origin)| missing(name, origin, &file)));
                return Err(problems);
            }
            Err(faults) => return Err(faults),
        };
        for name in kept.iter().filter(|name| !given.kept.contains_key(*name)) {
            // The configuration defines this profile itself, with a template of its own.
            templates.remove(&name.default_template());
        }
        for (name, origin) in &oathkeeper.hydrated {
            if given.kept.contains_key(name) {
                problems.push(kept_by_hydrator(name, origin, &file));
            } else if !loaded.config.profiles.contains_key(name) {
                problems.push(missing(name, origin, &file));
            }
        }
        for name in given.kept.keys().filter(|name| !oathkeeper.hydrated.contains_key(*name)) {
            let message = format!(
                "profile {name} keeps the configuration that it had, because its rule is rejected or cannot be read; see \
                 the other faults"
            );
            problems.push(BuildFault::new(ErrorCode::ConfigInvalid, &file, message));
        }
        let origins = oathkeeper.profiles.iter().map(|profile| (profile.name().clone(), profile.origin()));
        let earlier = given.kept.keys().map(|name| (name.clone(), "access rules that it had before".to_owned()));
        loaded.config.origins = earlier.chain(origins).collect();
        loaded.config.go_templates = templates;
        loaded.warnings.extend(oathkeeper.warnings.iter().cloned());
        loaded.problems.extend(problems);
        Ok(loaded)
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
