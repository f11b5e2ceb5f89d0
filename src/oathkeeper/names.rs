//! The names of the profiles of access rules.
//!
//! A name that a rule had must not become the name of a rule with other claims, if rules are reordered, or if they change
//! their mutators one by one. Otherwise a `hydrator` URL could silently get these other claims.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::mint::ProfileName;

/// The longest part of a name that comes from an id; a suffix follows if the id is not unique.
const LONGEST: usize = 110;

/// What the name of a rule's profile is made from.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The id as far as a URL path allows it; `None` if nothing is left of it.
    plain: Option<ProfileName>,
    /// A suffix that only depends on the requests that the rule matches.
    suffix: String,
}

impl Wish {
    /// Returns the wish of a rule; `identity` distinguishes it from rules with an equal id.
    pub(super) fn new(id: &str, identity: &str) -> Self {
        let digest = Sha256::digest(identity.as_bytes());
        let suffix = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { plain: plain_name(id), suffix }
    }

    /// Returns the names that the rule can get.
    pub(super) fn names(&self) -> Vec<ProfileName> {
        self.plain.clone().into_iter().chain(self.with_suffix()).collect()
    }

    fn with_suffix(&self) -> Option<ProfileName> {
        let base = self.plain.as_ref().map_or("rule", ProfileName::as_str);
        ProfileName::parse(&format!("{base}-{}", self.suffix))
    }
}

/// The plain names that rules want, each with everything that it would have to mean.
#[derive(Default)]
pub(super) struct Names {
    meanings: BTreeMap<ProfileName, BTreeSet<Meaning>>,
    taken: BTreeSet<ProfileName>,
}

/// What a plain name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The rule with this number, which is rejected.
    Broken(usize),
    /// The profile with this number.
    Group(usize),
    /// The profile that a `hydrator` URL names.
    Named(ProfileName),
}

impl Names {
    /// Registers that a rule with this wish would mean `meaning`.
    pub(super) fn register(&mut self, wish: &Wish, meaning: Meaning) {
        if let Some(plain) = &wish.plain {
            self.meanings.entry(plain.clone()).or_default().insert(meaning);
        }
    }

    /// Reserves a name. No rule gets it.
    pub(super) fn take(&mut self, name: ProfileName) {
        self.taken.insert(name);
    }

    /// Returns an unused name: the plain one, if it means one profile only.
    pub(super) fn name(&mut self, wish: &Wish) -> Option<ProfileName> {
        let is_unique = |name: &ProfileName| self.meanings.get(name).is_none_or(|meanings| meanings.len() <= 1);
        let plain = wish.plain.clone().filter(|name| is_unique(name) && !self.taken.contains(name));
        let mut name = plain.or_else(|| wish.with_suffix())?;
        let mut count = 1;
        while self.taken.contains(&name) {
            count += 1;
            name = ProfileName::parse(&format!("{}-{count}", wish.with_suffix()?))?;
        }
        self.taken.insert(name.clone());
        Some(name)
    }
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

    #[test]
    fn names_do_not_depend_on_the_order_of_rules() {
        let (first, second) = (Wish::new("api", "GET /a"), Wish::new("api", "GET /b"));
        let names = |order: [(&Wish, usize); 2]| {
            let mut names = Names::default();
            order.iter().for_each(|(wish, group)| names.register(wish, Meaning::Group(*group)));
            order.map(|(wish, _)| names.name(wish).unwrap())
        };
        let [a, b] = names([(&first, 0), (&second, 1)]);
        let [b_again, a_again] = names([(&second, 0), (&first, 1)]);
        assert_eq!((&a, &b), (&a_again, &b_again));
        assert_ne!(a, b);
        assert_ne!(a.as_str(), "api");
        // The first rule has been changed to a hydrator; the second one keeps its name.
        let mut changed = Names::default();
        changed.register(&first, Meaning::Named(a));
        changed.register(&second, Meaning::Group(0));
        assert_eq!(changed.name(&second), Some(b));
    }
}
