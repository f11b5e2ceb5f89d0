//! The names of the profiles of access rules.
//!
//! A name that a rule had must not become the name of another rule, if rules are reordered, break, or change their mutators
//! one by one. Otherwise a `hydrator` URL could silently get other claims. So all rules count, whatever they serve.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::config::RuleOrigin;
use crate::mint::ProfileName;

/// The name of the profile of the global configuration. No rule gets it.
pub(super) const GLOBAL: &str = "id_token";
/// The longest part of a name that comes from an id; a suffix follows if the id is not unique.
const LONGEST: usize = 110;

/// What the name of a rule's profile is made from.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The id as far as a URL path allows it; `None` if nothing is left of it.
    plain: Option<ProfileName>,
    /// The name with a suffix that only depends on the id and on the requests that the rule matches.
    with_suffix: Option<ProfileName>,
    /// The rule.
    pub(super) origin: RuleOrigin,
}

impl Wish {
    /// Returns the wish of a rule; `identity` describes the requests that it matches.
    pub(super) fn new(id: &str, identity: &str) -> Self {
        let origin = RuleOrigin { id: id.to_owned(), requests: hex(identity.as_bytes(), 32) };
        let plain = plain_name(id);
        let base = plain.as_ref().map_or("rule", ProfileName::as_str);
        let suffix = hex(format!("{}\n{id}", origin.requests).as_bytes(), 8);
        let with_suffix = ProfileName::parse(&format!("{base}-{suffix}"));
        Self { plain, with_suffix, origin }
    }

    /// Returns the name with a suffix, which no rule with another id or another `match` has.
    pub(super) fn with_suffix(&self) -> Option<&ProfileName> {
        self.with_suffix.as_ref()
    }

    /// Returns the names that the rule can get.
    pub(super) fn names(&self) -> Vec<ProfileName> {
        self.plain.iter().chain(&self.with_suffix).cloned().collect()
    }
}

/// Returns the name of each rule: the plain one, if no other rule can have it. Rules with equal ids that match the same
/// requests have no name, because nothing distinguishes them.
pub(super) fn names(wishes: &[&Wish]) -> Vec<Option<ProfileName>> {
    let mut suffixed: BTreeMap<&ProfileName, usize> = BTreeMap::new();
    let mut plain: BTreeMap<&ProfileName, BTreeSet<&RuleOrigin>> = BTreeMap::new();
    for wish in wishes {
        if let Some(name) = &wish.with_suffix {
            *suffixed.entry(name).or_default() += 1;
        }
        if let Some(name) = &wish.plain {
            plain.entry(name).or_default().insert(&wish.origin);
        }
    }
    let is_free = |name: &&ProfileName| {
        name.as_str() != GLOBAL
            && !suffixed.contains_key(*name)
            && plain.get(*name).is_none_or(|origins| origins.len() == 1)
    };
    let name = |wish: &&Wish| {
        let with_suffix = wish.with_suffix.as_ref().filter(|name| suffixed.get(*name) == Some(&1))?;
        Some(wish.plain.as_ref().filter(is_free).unwrap_or(with_suffix).clone())
    };
    wishes.iter().map(name).collect()
}

/// Returns the first `length` bytes of a digest.
fn hex(bytes: &[u8], length: usize) -> String {
    Sha256::digest(bytes).iter().take(length).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the profile that the URL of a `hydrator` mutator names, if it is a URL of claimsmith.
pub(super) fn profile_of_url(url: &str) -> Option<ProfileName> {
    let path = url.split(['?', '#']).next()?.split_once("://")?.1;
    let (rest, name) = path.rsplit_once('/')?;
    rest.ends_with("/hydrate").then(|| ProfileName::parse(name)).flatten()
}

/// Returns an id with `-` for each character that a path cannot contain.
fn plain_name(id: &str) -> Option<ProfileName> {
    if id.len() <= LONGEST
        && let Some(name) = ProfileName::parse(id)
    {
        return Some(name);
    }
    let mut name = String::new();
    for character in id.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '.') {
            name.push(character);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.trim_matches(['-', '.']).chars().take(LONGEST).collect();
    ProfileName::parse(&name).or_else(|| ProfileName::parse(&format!("rule-{name}")).filter(|_| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hydrator_urls_name_profiles() {
        let name = |url: &str| profile_of_url(url).map(|name| name.to_string());
        assert_eq!(name("http://127.0.0.1:4477/hydrate/people").as_deref(), Some("people"));
        assert_eq!(name("https://gw.example/tokens/hydrate/a.b?x=1").as_deref(), Some("a.b"));
        for other in
            ["http://127.0.0.1:4477/hydrate/", "http://hydrate/people", "/hydrate/people", "http://h/issue/p", ""]
        {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn names_keep_letters_digits_and_some_signs() {
        let name = |id: &str| plain_name(id).map(|name| name.to_string());
        assert_eq!(name("api:a/b").as_deref(), Some("api-a-b"));
        assert_eq!(name("hydrate").as_deref(), Some("rule-hydrate"));
        assert_eq!(name("日本"), None);
        assert_eq!(name(""), None);
        assert_eq!(name(&"a".repeat(300)).map(|name| name.len()), Some(LONGEST));
    }

    fn named(wishes: &[&Wish]) -> Vec<Option<String>> {
        names(wishes).into_iter().map(|name| name.map(|name| name.to_string())).collect()
    }

    #[test]
    fn names_do_not_depend_on_the_order_of_rules() {
        let (first, second) = (Wish::new("api", "GET /a"), Wish::new("api", "GET /b"));
        let (names, mut reversed) = (named(&[&first, &second]), named(&[&second, &first]));
        reversed.reverse();
        assert_eq!(names, reversed);
        assert_ne!(names[0], names[1]);
        assert!(names.iter().flatten().all(|name| name.starts_with("api-")), "{names:?}");
        assert_eq!(named(&[&first]), [Some("api".to_owned())]);
    }

    #[test]
    fn rules_that_nothing_distinguishes_have_no_name() {
        let (rule, other) = (Wish::new("api", "GET /a"), Wish::new("other", "GET /a"));
        let many: Vec<&Wish> = std::iter::repeat_n(&rule, 20_000).chain([&other]).collect();
        let names = named(&many);
        assert!(names[..20_000].iter().all(Option::is_none));
        assert_eq!(names[20_000].as_deref(), Some("other"));
    }

    #[test]
    fn no_id_gets_the_name_of_another_rule_or_of_the_global_configuration() {
        let (first, second) = (Wish::new("api", "GET /a"), Wish::new("api", "GET /b"));
        let taken = first.with_suffix().unwrap().to_string();
        let names = named(&[&Wish::new(&taken, "GET /c"), &first, &second, &Wish::new("id_token", "GET /d")]);
        assert_eq!(names[1].as_deref(), Some(taken.as_str()));
        assert!(names[0].as_ref().unwrap().starts_with(&format!("{taken}-")), "{names:?}");
        assert!(names[3].as_ref().unwrap().starts_with("id_token-"), "{names:?}");
        // The same requests with ids whose names are equal.
        let names = named(&[&Wish::new("x:y", "GET /"), &Wish::new("x/y", "GET /")]);
        assert!(names[0].is_some() && names[1].is_some() && names[0] != names[1], "{names:?}");
        let long = Wish::new(&"a".repeat(300), "");
        assert_eq!(long.names().len(), 2);
    }
}
