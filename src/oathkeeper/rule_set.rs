//! All access rules: their names, the profiles that they call, and those that are rejected.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Documents;
use super::names::{GLOBAL, names, profile_of_url};
use super::rules::{Fetch, Rule, rules};
use super::settings::{Broken, Findings};
use crate::code::ErrorCode;
use crate::config::RuleOrigin;
use crate::mint::{BuildFault, MOST_NAMED, ProfileName, listed};

/// What the rules call, and the rules themselves.
#[derive(Default)]
pub(super) struct Called {
    /// The profiles that `hydrator` URLs name, each with a sentence that says where.
    pub(super) hydrated: BTreeMap<ProfileName, String>,
    /// The rules that call each profile without an `id_token` mutator.
    pub(super) callers: BTreeSet<(ProfileName, RuleOrigin)>,
    /// All rules, by the names that they have.
    pub(super) rules: BTreeMap<ProfileName, RuleOrigin>,
}

impl Called {
    /// Determines what `rules` and the global `hydrator` call.
    pub(super) fn of(rules: &[Rule], global_url: Option<&str>) -> Self {
        let mut called = Self::default();
        for rule in rules {
            let names = rule.name.iter().chain(rule.wish.with_suffix());
            names.for_each(|name| drop(called.rules.insert(name.clone(), rule.wish.origin.clone())));
            if let (Some((name, _)), None) = (&rule.hydrated, &rule.id_token) {
                let origin = || format!("the hydrator of access rule {}", rule.label);
                called.hydrated.entry(name.clone()).or_insert_with(origin);
                called.callers.insert((name.clone(), rule.wish.origin.clone()));
            }
        }
        // The hydrator of the global configuration can be another service, unless it names a profile.
        let is_known = |name: &ProfileName| name.as_str() == GLOBAL || called.rules.contains_key(name);
        if let Some(name) = global_url.and_then(profile_of_url).filter(is_known) {
            called.hydrated.entry(name).or_insert_with(|| "the global hydrator".to_owned());
        }
        called
    }
}

/// Reads all rules, gives them their names, and reports those that are rejected.
pub(super) fn rules_of(
    documents: Documents,
    environment: &[(String, String)],
    fetch: Fetch<'_>,
    findings: &mut Findings,
) -> Vec<Rule> {
    let mut rules = rules(documents, environment, fetch, findings);
    // A rule whose id others have too is called by its place as well.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    rules.iter().for_each(|rule| *counts.entry(rule.label.clone()).or_default() += 1);
    for rule in &mut rules {
        if counts.get(&rule.label).is_some_and(|count| *count > 1) {
            rule.label = format!("{} ({})", rule.label, rule.origin);
        }
    }
    let names = names(&rules.iter().map(|rule| &rule.wish).collect::<Vec<_>>());
    rules.iter_mut().zip(names).for_each(|(rule, name)| rule.name = name);
    for rule in &mut rules {
        let faults = rule.faults.clone();
        findings.reject(rule.names(), &format!("access rule {}", rule.label), faults);
    }
    reject_equal(&rules, findings);
    rules
}

/// Rejects rules with an `id_token` mutator that have equal ids and match the same requests.
fn reject_equal(rules: &[Rule], findings: &mut Findings) {
    let mut equal: BTreeMap<_, Vec<&Rule>> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.name.is_none()) {
        equal.entry(rule.wish.with_suffix()).or_default().push(rule);
    }
    for rules in equal.into_values().filter(|rules| rules.iter().any(|rule| rule.id_token.is_some())) {
        let labels = listed(rules.iter().map(|rule| rule.label.clone()), MOST_NAMED).join(", ");
        let message = format!(
            "access rules {labels}: expected different ids or a different `match`, found equal ones, so that nothing tells \
             their profiles apart, and Oathkeeper responds to their requests with 500; remove all but one"
        );
        let names = rules.first().map(|rule| rule.names()).unwrap_or_default();
        let faults = vec![BuildFault::new(ErrorCode::ConfigInvalid, &findings.file, message)];
        findings.broken.push(Broken { names, faults });
    }
}
