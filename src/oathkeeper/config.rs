//! Oathkeeper's configuration as claimsmith's: `mutators.id_token.config` and every access rule that has an `id_token`
//! mutator, merged as Oathkeeper merges them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::rules::{Fetch, Rule, RuleSource, rules};
use super::settings::{ClaimsText, Findings, KEYS, Settings, at, is_true, scalar};
use crate::claims::{Issuer, RegisteredInTemplate};
use crate::config::fault::{ConfigError, Faults, Place};
use crate::config::yaml::{self, Entry, Node, Quoting, Value, joined};
use crate::config::{KeySource, Profile};
use crate::mint::ProfileName;
use crate::templates::{TemplateName, TemplateText};
use crate::time::{Ttl, parse_duration};

/// The lifetime of a token if no `ttl` is set.
const DEFAULT_TTL: &str = "15m";

/// The tokens that an Oathkeeper configuration issues.
#[derive(Clone, Debug)]
pub struct OathkeeperConfig {
    /// One profile for each rule with an `id_token` mutator. Before them `id_token`, for the global configuration, if
    /// that is complete.
    pub profiles: Vec<OathkeeperProfile>,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// One kind of token of an Oathkeeper configuration.
#[derive(Clone, Debug)]
pub struct OathkeeperProfile {
    /// The profile with Oathkeeper's settings. Its name is `id_token`, or the rule's id as far as a URL path allows it.
    pub profile: Profile,
    /// The rule's id.
    pub rule: Option<String>,
    /// `claims`: the template and its origin; `None` if the token has only registered claims.
    pub claims: Option<ClaimsText>,
}

impl OathkeeperConfig {
    /// Reads `text`, the configuration called `name`, under the variables of `environment`. `fetch` returns the bytes of
    /// access rules, or a few words on why it cannot read them.
    ///
    /// # Errors
    /// Returns every fault: text that is not YAML or JSON, settings that Oathkeeper rejects, rules that cannot be read,
    /// and features that only Oathkeeper supports.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &[(String, String)],
        fetch: &dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let profiles = profiles(name, text, environment, fetch, &mut findings);
        if findings.faults.is_empty() {
            return Ok(Self { profiles, warnings: findings.warnings });
        }
        Err(findings.faults.into_error())
    }

    /// Returns the profiles and their templates, by name.
    pub(crate) fn profiles(&self) -> (BTreeMap<ProfileName, Profile>, BTreeMap<TemplateName, TemplateText>) {
        let mut templates = BTreeMap::new();
        let profiles = self.profiles.iter().map(|one| {
            let spec = &one.profile.spec;
            let (name, text) = match &one.claims {
                Some(claims) => (claims.name.clone(), claims.text.clone()),
                None => (spec.name.to_string(), "{}".to_owned()),
            };
            templates.insert(spec.template.clone(), TemplateText { name, text });
            (spec.name.clone(), one.profile.clone())
        });
        (profiles.collect(), templates)
    }
}

impl OathkeeperProfile {
    /// Returns the name of the profile.
    pub fn name(&self) -> &ProfileName {
        &self.profile.spec.name
    }
}

/// Reads the global settings and those of the rules.
fn profiles(
    name: &str,
    text: &str,
    environment: &[(String, String)],
    fetch: Fetch<'_>,
    findings: &mut Findings,
) -> Vec<OathkeeperProfile> {
    let Some(root) = yaml::parse(text, None, Quoting::Shown, &mut findings.faults) else { return Vec::new() };
    let mutator = at(&root, &["mutators", "id_token"]);
    if !is_enabled(mutator, environment) {
        let place = mutator.map_or(Place::Nowhere, |node| node.place.clone());
        let expected = "`true`, because otherwise Oathkeeper runs no id_token mutator";
        findings.faults.add("mutators.id_token.enabled", expected, "another value or nothing", &place);
        return Vec::new();
    }
    let global = Settings {
        document: name.into(),
        source: text.into(),
        path: "mutators.id_token.config".to_owned(),
        node: with_variables(mutator.and_then(|node| node.entry("config")), environment),
    };

    let mut profiles = Vec::new();
    let is_complete = ["issuer_url", "jwks_url"].iter().all(|key| global.entry(key).is_some());
    if is_complete {
        profiles.extend(profile(None, &global, &mut findings.faults));
    } else {
        global.check(&mut findings.faults);
        findings.warnings.push(
            "mutators.id_token.config has no issuer_url or no jwks_url: there is no profile id_token, only those of rules"
                .to_owned(),
        );
    }
    let taken: BTreeSet<ProfileName> =
        profiles.iter().map(|profile: &OathkeeperProfile| profile.name().clone()).collect();
    for rule in rules(&root, environment, taken, fetch, findings) {
        profiles.extend(profile(Some(&rule), &global, &mut findings.faults));
    }
    if profiles.is_empty() && findings.faults.is_empty() {
        let expected = "issuer_url and jwks_url, or access rules with an id_token mutator";
        findings.faults.add("mutators.id_token.config", expected, "neither", &root.place);
    }
    profiles
}

/// Returns the global settings with those that variables override.
fn with_variables(config: Option<&Entry>, environment: &[(String, String)]) -> Option<Node> {
    let mut settings = config.map(|entry| entry.value.clone());
    for key in KEYS {
        let variable = format!("MUTATORS_ID_TOKEN_CONFIG_{}", key.to_uppercase());
        if let Some((_, value)) = environment.iter().find(|(name, _)| *name == variable) {
            let place = Place::Environment(Arc::from(variable));
            let value = Node::text(value.as_str(), place.clone());
            let entry = Entry { key: key.to_owned(), place: place.clone(), value };
            let node = settings.get_or_insert_with(|| Node::empty_map(place));
            if let Value::Map(entries) = &mut node.value {
                entries.retain(|entry| entry.key != key);
                entries.push(entry);
            }
        }
    }
    settings
}

/// Returns `true` if Oathkeeper runs the mutator.
fn is_enabled(mutator: Option<&Node>, environment: &[(String, String)]) -> bool {
    match environment.iter().find(|(name, _)| name == "MUTATORS_ID_TOKEN_ENABLED") {
        Some((_, value)) => value == "true",
        None => mutator.and_then(|node| node.entry("enabled")).is_some_and(|entry| is_true(&entry.value)),
    }
}

/// Merges the settings of `rule` over the `global` ones.
fn profile(rule: Option<&Rule>, global: &Settings, faults: &mut Faults) -> Option<OathkeeperProfile> {
    let own = rule.map_or(global, |rule| &rule.settings);
    own.check(faults);
    let layers = [own, global];
    let setting = |key: &str| layers.iter().find_map(|layer| Some((*layer, layer.entry(key)?)));
    let issuer = required_text(&layers, "issuer_url", faults).and_then(|(text, ..)| Issuer::parse(text));
    let jwks = required_text(&layers, "jwks_url", faults).and_then(|(text, settings, place)| {
        KeySource::parse(text, Path::new(""))
            .map_err(|found| faults.add(joined(&settings.path, "jwks_url"), KeySource::EXPECTED, found, place))
            .ok()
    });
    let ttl = match setting("ttl") {
        None => parse_duration(DEFAULT_TTL).and_then(Ttl::new),
        Some((settings, entry)) => ttl(settings, entry, faults),
    };
    let claims = setting("claims").and_then(|(settings, entry)| settings.claims(entry, faults));
    let name = match rule {
        Some(rule) => rule.name.clone(),
        None => ProfileName::parse("id_token")?,
    };
    let mut profile = Profile::with_defaults(name, issuer?, jwks?)?;
    profile.spec.ttl = ttl?;
    profile.spec.allow_empty_subject = rule.is_some_and(|rule| rule.allow_empty_subject);
    // Oathkeeper writes its own registered claims over those of a template.
    profile.spec.registered_claims = RegisteredInTemplate::Override;
    Some(OathkeeperProfile { profile, rule: rule.map(|rule| rule.id.clone()), claims })
}

/// Returns the lifetime in `entry`. Oathkeeper accepts a single unit, so `1h30m` is a fault here.
fn ttl(settings: &Settings, entry: &Entry, faults: &mut Faults) -> Option<Ttl> {
    let has_one_unit = |text: &&str| {
        text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic()).bytes().all(|byte| byte.is_ascii_digit())
    };
    let ttl = scalar(&entry.value).filter(has_one_unit).and_then(parse_duration).and_then(Ttl::new);
    if ttl.is_none() {
        let expected = "a duration of a second or more with one unit, such as 15m";
        let found = entry.value.description(Quoting::Shown);
        faults.add(joined(&settings.path, "ttl"), expected, found, &entry.place);
    }
    ttl
}

/// Returns the text of a required setting, the settings that contain it, and its place.
fn required_text<'n>(
    layers: &[&'n Settings; 2],
    key: &str,
    faults: &mut Faults,
) -> Option<(&'n str, &'n Settings, &'n Place)> {
    match layers.iter().find_map(|layer| Some((*layer, layer.entry(key)?))) {
        Some((settings, entry)) => match scalar(&entry.value).filter(|text| !text.is_empty()) {
            Some(text) => Some((text, settings, &entry.value.place)),
            None => {
                let found = entry.value.description(Quoting::Hidden);
                faults.add(joined(&settings.path, key), "text that is not empty", found, &entry.place);
                None
            }
        },
        None => {
            let path = joined(&layers[0].path, key);
            faults.add(path, "it here or in the global configuration", "none", &Place::Nowhere);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

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
        let names: Vec<_> = config.profiles.iter().map(|profile| profile.name().to_string()).collect();
        assert_eq!(names, ["id_token", "one", "two", "api-a-b"]);
        let seconds: Vec<_> = config.profiles.iter().map(|profile| profile.profile.spec.ttl.seconds()).collect();
        assert_eq!(seconds, [900, 30, 900, 900]);
        let claims: Vec<_> = config.profiles.iter().map(|profile| profile.claims.clone().unwrap().text).collect();
        assert_eq!(claims, ["{\"a\": 1}", "{}", "{\"a\": 1}", "{\"a\": 1}"]);
        assert_eq!(config.profiles.iter().filter(|profile| profile.profile.spec.allow_empty_subject).count(), 1);
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
        assert_eq!(config.profiles[0].profile.spec.issuer.as_str(), "/bar");
    }
}
