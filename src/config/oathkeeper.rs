//! Oathkeeper's configuration as claimsmith's: `mutators.id_token.config` and every access rule that has an `id_token`
//! mutator, merged as Oathkeeper merges them.
//!
//! [`OathkeeperConfig::parse`] reads no file itself: access rules come through a function that the caller brings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::document::{self, Node, Quoting, Value, joined};
use super::fault::{ConfigError, Faults, Place, nearest};
use super::values::ProfileName;
use super::{ExpiresWith, KeySource, Profile};
use crate::claims::RegisteredInTemplate;
use crate::keys::TokenType;
use crate::mint::{Caching, Placement, Validate};
use crate::session::SessionPath;
use crate::templates::{Missing, TemplateText};
use crate::time::{Ttl, parse_duration};

/// The keys that `mutators.id_token.config` may have.
const KEYS: [&str; 4] = ["claims", "issuer_url", "jwks_url", "ttl"];
/// How long a token lives where nothing says so.
const DEFAULT_TTL: &str = "15m";

/// What an Oathkeeper configuration says of tokens.
#[derive(Clone, Debug)]
pub struct OathkeeperConfig {
    /// One for the global configuration, called `id_token`, where it is complete, and one for each rule with an
    /// `id_token` mutator.
    pub profiles: Vec<OathkeeperProfile>,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// One kind of token of an Oathkeeper configuration.
#[derive(Clone, Debug)]
pub struct OathkeeperProfile {
    /// The profile's name: `id_token`, or the rule's id as far as a path can hold it.
    pub name: ProfileName,
    /// The rule's id.
    pub rule: Option<String>,
    /// `issuer_url`
    pub issuer: String,
    /// Where `jwks_url` says the keys are.
    pub jwks: KeySource,
    /// `ttl`
    pub ttl: Ttl,
    /// `claims`: the text, and the file it stands in. `None` where the token has registered claims alone.
    pub claims: Option<ClaimsText>,
    /// Whether the rule lets requests through that nobody is named in (`noop`).
    pub allow_empty_subject: bool,
}

/// A Go template and where it was written.
#[derive(Clone, Debug)]
pub struct ClaimsText {
    /// What errors call it.
    pub name: String,
    /// The line of the file on which the text begins; `None` from the environment.
    pub line: Option<usize>,
    /// Whether each of its lines is a line of the file, as in a YAML block; not where line breaks are escaped.
    pub is_block: bool,
    /// The template.
    pub text: String,
}

/// Where access rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSource<'s> {
    /// A file, relative to the working directory as with Oathkeeper.
    File(&'s str),
    /// An http or https URL.
    Url(&'s str),
}

/// One mapping of settings and the document it stands in.
struct Settings<'n> {
    document: Arc<str>,
    /// The text of the document.
    source: &'n str,
    path: String,
    node: Option<&'n Node>,
}

struct Reader<'r> {
    faults: Faults,
    warnings: Vec<String>,
    fetch: &'r dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>,
}

impl OathkeeperConfig {
    /// Reads `text`, the configuration called `name`, under the variables of `environment`; `fetch` brings the bytes of
    /// access rules, or says in a few words why it cannot.
    ///
    /// # Errors
    /// Every fault: text that is not YAML or JSON, settings that Oathkeeper refuses, rules that cannot be had, and
    /// what only Oathkeeper supports.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &[(String, String)],
        fetch: &dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader { faults: Faults::default(), warnings: Vec::new(), fetch };
        let profiles = reader.config(name, text, environment);
        if reader.faults.is_empty() {
            return Ok(Self { profiles, warnings: reader.warnings });
        }
        Err(reader.faults.into_error())
    }

    /// The profiles as claimsmith's own, and their templates by name.
    pub fn profiles(&self) -> (BTreeMap<ProfileName, Profile>, BTreeMap<String, TemplateText>) {
        let mut templates = BTreeMap::new();
        let profiles = self.profiles.iter().map(|profile| {
            let (name, text) = match &profile.claims {
                Some(claims) => (claims.name.clone(), claims.text.clone()),
                None => (profile.name.to_string(), "{}".to_owned()),
            };
            templates.insert(profile.name.to_string(), TemplateText { name, text });
            (profile.name.clone(), profile.to_profile())
        });
        (profiles.collect(), templates)
    }
}

impl OathkeeperProfile {
    fn to_profile(&self) -> Profile {
        Profile {
            issuer: self.issuer.clone(),
            jwks: self.jwks.clone(),
            alg: None,
            typ: TokenType::JWT,
            ttl: self.ttl,
            audience: None,
            template: self.name.to_string(),
            placement: Placement::Header { name: "Authorization".to_owned(), scheme: Some("Bearer".to_owned()) },
            missing: Missing::Error,
            expires_with: SessionPath::parse("Extra.expires_at")
                .map_or(ExpiresWith::Never, |path| ExpiresWith::Path { path, is_explicit: false }),
            subject: SessionPath::subject(),
            allow_empty_subject: self.allow_empty_subject,
            registered_claims: RegisteredInTemplate::Override,
            validate: Validate::Recorded,
            cache: Caching::On,
        }
    }
}

impl Reader<'_> {
    fn config(&mut self, name: &str, text: &str, environment: &[(String, String)]) -> Vec<OathkeeperProfile> {
        let document: Arc<str> = Arc::from(name);
        let Some(root) = document::parse(text, None, Quoting::Shown, &mut self.faults) else { return Vec::new() };
        let mutator = at(&root, &["mutators", "id_token"]);
        let mut global = mutator.and_then(|node| node.entry("config")).map(|entry| entry.value.clone());
        for key in KEYS {
            let variable = format!("MUTATORS_ID_TOKEN_CONFIG_{}", key.to_uppercase());
            if let Some((_, value)) = environment.iter().find(|(name, _)| *name == variable) {
                let place = Place::Environment(Arc::from(variable));
                let entry = document::Entry {
                    key: key.to_owned(),
                    place: place.clone(),
                    value: Node::text(value.as_str(), place.clone()),
                };
                let node = global.get_or_insert_with(|| Node::empty_map(place));
                if let Value::Map(entries) = &mut node.value {
                    entries.retain(|entry| entry.key != key);
                    entries.push(entry);
                }
            }
        }
        let is_enabled = environment
            .iter()
            .find(|(name, _)| name == "MUTATORS_ID_TOKEN_ENABLED")
            .map(|(_, value)| value == "true")
            .unwrap_or_else(|| {
                mutator.and_then(|node| node.entry("enabled")).is_some_and(|entry| is_true(&entry.value))
            });
        if !is_enabled {
            let place = mutator.map_or(Place::Nowhere, |node| node.place.clone());
            let expected = "`true`, because Oathkeeper runs no id_token mutator otherwise";
            self.faults.add("mutators.id_token.enabled", expected, "another value or none", &place);
            return Vec::new();
        }
        let global =
            Settings { document, source: text, path: "mutators.id_token.config".to_owned(), node: global.as_ref() };

        let mut profiles = Vec::new();
        let is_complete = ["issuer_url", "jwks_url"].iter().all(|key| global.entry(key).is_some());
        if is_complete {
            profiles.extend(self.profile(None, &[&global], false));
        } else {
            global.check(&mut self.faults);
            self.warnings.push(
                "mutators.id_token.config has no issuer_url or no jwks_url: there is no profile \
                                id_token, only those of rules"
                    .to_owned(),
            );
        }
        self.rules(&root, environment, &global, &mut profiles);
        if profiles.is_empty() && self.faults.is_empty() {
            let expected = "issuer_url and jwks_url, or access rules with an id_token mutator";
            self.faults.add("mutators.id_token.config", expected, "neither", &root.place);
        }
        profiles
    }

    fn rules(
        &mut self,
        root: &Node,
        environment: &[(String, String)],
        global: &Settings<'_>,
        profiles: &mut Vec<OathkeeperProfile>,
    ) {
        let repositories = match environment.iter().find(|(name, _)| name == "ACCESS_RULES_REPOSITORIES") {
            Some((name, value)) => {
                let place = Place::Environment(Arc::from(name.as_str()));
                value.split(',').map(|part| (part.trim().to_owned(), place.clone())).collect()
            }
            None => self.repositories(root),
        };
        let mut names: BTreeSet<String> = profiles.iter().map(|profile| profile.name.to_string()).collect();
        for (repository, place) in repositories {
            let Some((name, bytes)) = self.repository(&repository, &place) else { continue };
            let Ok(text) = String::from_utf8(bytes) else {
                self.faults.add(name.as_str(), "access rules in UTF-8", "other bytes", &Place::Nowhere);
                continue;
            };
            // A list of rules is all that such a file holds, so the path of a fault starts with the file.
            let mut faults = Faults::default();
            let rules = document::parse(&text, None, Quoting::Shown, &mut faults);
            self.faults.append_under(&name, faults);
            let Some(rules) = rules else { continue };
            let Value::List(items) = &rules.value else {
                if !matches!(&rules.value, Value::Map(entries) if entries.is_empty()) {
                    let found = rules.description(Quoting::Hidden);
                    self.faults.add(name.as_str(), "a list of access rules", found, &rules.place);
                }
                continue;
            };
            for (index, rule) in items.iter().enumerate() {
                self.rule((&name, &text), index, rule, global, &mut names, profiles);
            }
        }
    }

    fn repositories(&mut self, root: &Node) -> Vec<(String, Place)> {
        let Some(node) = at(root, &["access_rules", "repositories"]) else { return Vec::new() };
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut repositories = Vec::new();
        for item in items {
            match scalar(item) {
                Some(text) => repositories.push((text.to_owned(), item.place.clone())),
                None => {
                    let found = item.description(Quoting::Hidden);
                    self.faults.add("access_rules.repositories", "the URL of access rules", found, &item.place);
                }
            }
        }
        repositories
    }

    /// The name and the bytes of one repository.
    fn repository(&mut self, url: &str, place: &Place) -> Option<(String, Vec<u8>)> {
        let path = "access_rules.repositories";
        let (source, name) = match url.split_once("://") {
            None => (RuleSource::File(url), url.to_owned()),
            Some(("file", file)) => (RuleSource::File(file), file.to_owned()),
            Some(("http" | "https", _)) => {
                (RuleSource::Url(url), url.split(['?', '#']).next().unwrap_or(url).to_owned())
            }
            Some(("inline", data)) => {
                let data = data.strip_prefix("base64://").unwrap_or(data);
                return match STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)) {
                    Ok(bytes) => Some(("inline access rules".to_owned(), bytes)),
                    Err(_) => {
                        self.faults.add(path, "inline:// and base64", "what is no base64", place);
                        None
                    }
                };
            }
            Some((scheme, _)) => {
                let found = format!("a {scheme}:// URL, which claimsmith does not read; mount the rules as a file");
                self.faults.add(path, "a file, inline:// or http(s):// URL", found, place);
                return None;
            }
        };
        match (self.fetch)(source) {
            Ok(bytes) => Some((name, bytes)),
            Err(found) => {
                self.faults.add(path, format!("readable access rules at {name}"), found, place);
                None
            }
        }
    }

    fn rule(
        &mut self,
        (document, source): (&str, &str),
        index: usize,
        rule: &Node,
        global: &Settings<'_>,
        names: &mut BTreeSet<String>,
        profiles: &mut Vec<OathkeeperProfile>,
    ) {
        let path = format!("{document}: [{index}]");
        for legacy in ["mutator", "credentials_issuer"] {
            if rule.entry(legacy).is_some() {
                let expected = "`mutators`, a list, as Oathkeeper has it since 0.18";
                self.faults.add(format!("{path}.{legacy}"), expected, "the older form", &rule.place);
            }
        }
        let id_tokens: Vec<(usize, &Node)> = list(rule, "mutators")
            .iter()
            .enumerate()
            .filter(|(_, mutator)| handler(mutator) == Some("id_token"))
            .collect();
        // Each writes the same header, so the last one's token is what arrives.
        let Some((place_in_list, mutator)) = id_tokens.last() else { return };
        let Some(id) = rule.entry("id").and_then(|entry| scalar(&entry.value)).filter(|id| !id.is_empty()) else {
            self.faults.add(format!("{path}.id"), "the rule's id", "none", &rule.place);
            return;
        };
        if id_tokens.len() > 1 {
            self.warnings
                .push(format!("rule {id} has several id_token mutators; the last one's token is what arrives"));
        }
        let Some(name) = profile_name(id) else {
            self.faults.add(format!("{path}.id"), "an id with a letter or digit", "another one", &rule.place);
            return;
        };
        if !names.insert(name.to_string()) {
            let found = format!("`{name}` a second time");
            self.faults.add(format!("{path}.id"), "an id that makes a profile of its own", found, &rule.place);
            return;
        }
        if name.as_str() != id {
            self.warnings.push(format!("rule {id} is served as profile {name}, because a path cannot hold its id"));
        }
        let allow_empty_subject = list(rule, "authenticators").iter().any(|one| handler(one) == Some("noop"));
        if allow_empty_subject {
            self.warnings
                .push(format!("rule {id} lets nobody in particular in (noop): its tokens may have an empty sub"));
        }
        let own = Settings {
            document: Arc::from(document),
            source,
            path: format!("{path}.mutators[{place_in_list}].config"),
            node: mutator.entry("config").map(|entry| &entry.value).filter(|node| !node.is_null()),
        };
        profiles.extend(self.profile(Some((id, name)), &[&own, global], allow_empty_subject));
    }

    /// The profile that `layers` make together, the first over the second.
    fn profile(
        &mut self,
        rule: Option<(&str, ProfileName)>,
        layers: &[&Settings<'_>],
        allow_empty_subject: bool,
    ) -> Option<OathkeeperProfile> {
        let own = layers.first()?;
        own.check(&mut self.faults);
        let issuer = self.text(layers, "issuer_url");
        let jwks = self.text(layers, "jwks_url").and_then(|(text, settings, place)| {
            KeySource::parse(text, Path::new(""))
                .map_err(|found| {
                    self.faults.add(joined(&settings.path, "jwks_url"), super::raw::JWKS.expected, found, &place);
                })
                .ok()
        });
        let ttl = match layers.iter().find_map(|layer| Some((*layer, layer.entry("ttl")?))) {
            None => parse_duration(DEFAULT_TTL).and_then(Ttl::new),
            Some((settings, entry)) => {
                let is_oathkeepers = |text: &&str| {
                    text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic()).bytes().all(|b| b.is_ascii_digit())
                };
                let ttl = scalar(&entry.value).filter(is_oathkeepers).and_then(parse_duration).and_then(Ttl::new);
                if ttl.is_none() {
                    let expected = "a duration of a second or more with one unit, such as 15m";
                    let found = entry.value.description(Quoting::Shown);
                    self.faults.add(joined(&settings.path, "ttl"), expected, found, &entry.place);
                }
                ttl
            }
        };
        let claims = layers.iter().find_map(|layer| Some((*layer, layer.entry("claims")?)));
        let claims = claims.and_then(|(settings, entry)| match scalar(&entry.value) {
            Some("") => None,
            Some(text) => {
                let line = match entry.value.place {
                    Place::File { line, .. } => Some(line),
                    Place::Environment(_) | Place::Nowhere => None,
                };
                let name = format!("{} ({})", settings.document, joined(&settings.path, "claims"));
                let written = line.and_then(|line| settings.source.lines().nth(line.saturating_sub(1)));
                let is_block = written.map(str::trim) == text.lines().next().map(str::trim);
                Some(ClaimsText { name, line, is_block, text: text.to_owned() })
            }
            None if entry.value.is_null() => None,
            None => {
                let found = entry.value.description(Quoting::Hidden);
                self.faults.add(joined(&settings.path, "claims"), "a Go template as text", found, &entry.place);
                None
            }
        });
        let (rule, name) = match rule {
            Some((id, name)) => (Some(id.to_owned()), name),
            None => (None, ProfileName::parse("id_token")?),
        };
        Some(OathkeeperProfile {
            name,
            rule,
            issuer: issuer?.0.to_owned(),
            jwks: jwks?,
            ttl: ttl?,
            claims,
            allow_empty_subject,
        })
    }

    /// The text of a setting that has to be there.
    fn text<'n>(&mut self, layers: &[&'n Settings<'n>], key: &str) -> Option<(&'n str, &'n Settings<'n>, Place)> {
        let found = layers.iter().find_map(|layer| Some((*layer, layer.entry(key)?)));
        match found {
            Some((settings, entry)) => match scalar(&entry.value).filter(|text| !text.is_empty()) {
                Some(text) => Some((text, settings, entry.value.place.clone())),
                None => {
                    let found = entry.value.description(Quoting::Hidden);
                    self.faults.add(joined(&settings.path, key), "text that is not empty", found, &entry.place);
                    None
                }
            },
            None => {
                let path = layers.first().map(|layer| joined(&layer.path, key)).unwrap_or_default();
                self.faults.add(path, "it here or in the global configuration", "none", &Place::Nowhere);
                None
            }
        }
    }
}

impl Settings<'_> {
    fn entry(&self, key: &str) -> Option<&document::Entry> {
        self.node?.entry(key)
    }

    /// Oathkeeper refuses keys that it does not know.
    fn check(&self, faults: &mut Faults) {
        match self.node.map(|node| (&node.value, node)) {
            None => {}
            Some((Value::Map(entries), _)) => {
                for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
                    let expected = match nearest(&entry.key, KEYS.into_iter()) {
                        Some(known) => format!("a key that Oathkeeper knows (did you mean `{known}`?)"),
                        None => format!("one of {}, as Oathkeeper does", KEYS.join(", ")),
                    };
                    faults.add(joined(&self.path, &entry.key), expected, "another key", &entry.place);
                }
            }
            Some((_, node)) => {
                let found = node.description(Quoting::Hidden);
                faults.add(self.path.as_str(), "a mapping", found, &node.place);
            }
        }
    }
}

fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.entry(key).map(|entry| &entry.value))
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}

fn is_true(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, .. } if text.eq_ignore_ascii_case("true"))
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match node.entry(key).map(|entry| &entry.value.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn handler(node: &Node) -> Option<&str> {
    scalar(&node.entry("handler")?.value)
}

/// The profile of a rule: its id, with `-` for what a path cannot hold.
fn profile_name(id: &str) -> Option<ProfileName> {
    if let Some(name) = ProfileName::parse(id) {
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
    let name: String = name.trim_matches(['-', '.']).chars().take(120).collect();
    ProfileName::parse(&name).or_else(|| ProfileName::parse(&format!("rule-{name}")).filter(|_| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, rules: &str) -> Result<OathkeeperConfig, ConfigError> {
        OathkeeperConfig::parse("oathkeeper.yml", text, &[], &|source| match source {
            RuleSource::File("/rules.yml") | RuleSource::Url("https://rules.example/r.json") => Ok(rules.into()),
            _ => Err("no such thing".to_owned()),
        })
    }

    const GLOBAL: &str = "mutators: { id_token: { enabled: true, config: { issuer_url: /foo, jwks_url: 'file:///k.json', \
                          claims: '{\"a\": 1}' } } }\naccess_rules: { repositories: [ 'file:///rules.yml' ] }\n";

    #[test]
    fn a_rule_is_merged_over_the_global_configuration() {
        let rules = "- { id: one, mutators: [{ handler: id_token, config: { ttl: 30s, claims: '{}' } }] }\n\
                     - { id: two, mutators: [{ handler: noop }, { handler: id_token }], authenticators: [{ handler: noop }] }\n\
                     - { id: three, mutators: [{ handler: header }] }\n\
                     - { id: 'api:a/b', mutators: [{ handler: id_token, config: null }] }\n";
        let config = parse(GLOBAL, rules).unwrap();
        let names: Vec<_> = config.profiles.iter().map(|profile| profile.name.to_string()).collect();
        assert_eq!(names, ["id_token", "one", "two", "api-a-b"]);
        let seconds: Vec<_> = config.profiles.iter().map(|profile| profile.ttl.seconds()).collect();
        assert_eq!(seconds, [900, 30, 900, 900]);
        let claims: Vec<_> = config.profiles.iter().map(|profile| profile.claims.clone().unwrap().text).collect();
        assert_eq!(claims, ["{\"a\": 1}", "{}", "{\"a\": 1}", "{\"a\": 1}"]);
        assert_eq!(config.profiles.iter().filter(|profile| profile.allow_empty_subject).count(), 1);
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    }

    #[test]
    fn rules_come_inline_and_from_urls_as_json() {
        let rules = r#"[{"id":"r","mutators":[{"handler":"id_token"}]}]"#;
        for url in ["https://rules.example/r.json", &format!("inline://{}", STANDARD.encode(rules)), "/rules.yml"] {
            let config = parse(&GLOBAL.replace("file:///rules.yml", url), rules).unwrap();
            assert_eq!(config.profiles[1].rule.as_deref(), Some("r"), "{url}");
        }
    }

    #[test]
    fn what_oathkeeper_refuses_is_refused_with_its_place() {
        let text = |global: &str, rules: &str| parse(global, rules).unwrap_err().to_string();
        let error = text(&GLOBAL.replace("claims:", "aud: x, claims:"), "[]");
        assert!(error.contains("mutators.id_token.config.aud: expected one of claims"), "{error}");
        let error = text(&GLOBAL.replace("enabled: true", "enabled: false"), "[]");
        assert!(error.contains("mutators.id_token.enabled"), "{error}");
        let error = text(GLOBAL, "- { mutators: [{ handler: id_token }] }");
        assert!(error.contains("/rules.yml: [0].id: expected the rule's id"), "{error}");
        let error = text(GLOBAL, "- { id: a, mutators: [{ handler: id_token, config: { ttl: 1h30m } }] }");
        assert!(error.contains("mutators[0].config.ttl"), "{error}");
        let error = text(&GLOBAL.replace("file:///k.json", "vault://canary"), "[]");
        assert!(error.contains("jwks_url: expected a JWK Set: its path") && !error.contains("canary"), "{error}");
        let error = text(&GLOBAL.replace("file:///rules.yml", "file:///none"), "[]");
        assert!(error.contains("readable access rules at /none, found no such thing"), "{error}");
    }

    #[test]
    fn the_environment_overrides_as_with_oathkeeper() {
        let environment = [("MUTATORS_ID_TOKEN_CONFIG_ISSUER_URL".to_owned(), "/bar".to_owned())];
        let config = OathkeeperConfig::parse("o", GLOBAL, &environment, &|_| Ok(b"[]".to_vec())).unwrap();
        assert_eq!(config.profiles[0].issuer, "/bar");
    }
}
