//! Oathkeeper's configuration as claimsmith's: `mutators.id_token.config` and every access rule that has an `id_token`
//! mutator, merged as Oathkeeper merges them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::document::{Documents, put};
use super::names::GLOBAL;
use super::rule_set::{Called, rules_of};
use super::rules::{Fetch, Rule, RuleSource, hydrator_url};
use super::settings::{Broken, ClaimsText, Findings, KEYS, Settings, at, is_true, scalar, text, variable};
use super::template;
use crate::claims::{Issuer, RegisteredInTemplate};
use crate::code::ErrorCode;
use crate::config::fault::{ConfigError, Faults, Place};
use crate::config::yaml::{self, Entry, Node, Quoting, ScalarKind, Value, joined, scalar_kind};
use crate::config::{KeySource, Profile, RuleOrigin};
use crate::mint::{BuildFault, MOST_NAMED, ProfileName, listed};
use crate::templates::{TemplateName, TemplateText};
use crate::time::{Ttl, parse_duration};

/// The lifetime of a token if no `ttl` is set.
const DEFAULT_TTL: &str = "15m";

/// The tokens that an Oathkeeper configuration issues.
#[derive(Clone, Debug)]
pub struct OathkeeperConfig {
    /// One profile for each rule with settings of its own. The first profile is `id_token`, for the global configuration and
    /// the rules that only inherit it, if that configuration is complete.
    pub profiles: Vec<OathkeeperProfile>,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
    /// What is not served, although all else is.
    pub broken: Vec<Broken>,
    /// The profiles that the URLs of `hydrator` mutators name, each with a sentence that says where. Rules that have an
    /// `id_token` mutator as well do not depend on a profile, so they do not count.
    pub hydrated: BTreeMap<ProfileName, String>,
    /// Whether a source of rules cannot be read, so that there may be more rules than these.
    pub has_unread_rules: bool,
    /// All rules, by the names that they have.
    pub(crate) rules: BTreeMap<ProfileName, RuleOrigin>,
    /// The rules that call each profile without an `id_token` mutator.
    pub(crate) callers: BTreeSet<(ProfileName, RuleOrigin)>,
}

/// The profile of the global configuration, or of a rule with settings of its own.
#[derive(Clone, Debug)]
pub struct OathkeeperProfile {
    /// The profile with Oathkeeper's settings. Its name is `id_token`, or the id of its rule as far as a URL path allows it.
    pub profile: Profile,
    /// Whether the profile is that of the global configuration.
    pub is_global: bool,
    /// The rules with this configuration, as reports call them: by id, and by place if the id is not enough.
    pub rules: Vec<String>,
    /// `claims`: the template and its origin; `None` if the token has only registered claims.
    pub claims: Option<ClaimsText>,
    /// The same rules, as other rules are told from them.
    pub(crate) origins: Vec<RuleOrigin>,
}

impl OathkeeperConfig {
    /// Reads `text`, the configuration called `name`, under the variables of `environment`. `fetch` returns the bytes of
    /// access rules, or a few words on why it cannot read them.
    ///
    /// # Errors
    /// As [`OathkeeperConfig::parse_files`].
    pub fn parse(
        name: &str,
        text: &str,
        environment: &[(String, String)],
        fetch: &dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, ConfigError> {
        Self::parse_files(&[(name.to_owned(), text.to_owned())], environment, fetch)
    }

    /// Reads `files`, each with its name and its text. Later files win over earlier ones, as with Oathkeeper's `--config`.
    ///
    /// # Errors
    /// Returns every reason to serve nothing: text that is not YAML or JSON, and global settings that Oathkeeper rejects.
    /// Everything else that cannot be served is in [`OathkeeperConfig::broken`].
    pub fn parse_files(
        files: &[(String, String)],
        environment: &[(String, String)],
        fetch: &dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, ConfigError> {
        Self::parse_all(files, environment, fetch).map_err(|(error, _)| error)
    }

    /// As [`OathkeeperConfig::parse_files`].
    ///
    /// # Errors
    /// Also returns the faults that would not prevent the others from being served.
    pub(super) fn parse_all(
        files: &[(String, String)],
        environment: &[(String, String)],
        fetch: &dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, (ConfigError, Vec<BuildFault>)> {
        let file = files.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let mut findings = Findings { file, ..Findings::default() };
        let (profiles, called) = read(files, environment, fetch, &mut findings);
        let Findings { faults, warnings, broken, has_unread_rules, .. } = findings;
        if faults.is_empty() {
            let Called { hydrated, callers, rules } = called;
            return Ok(Self { profiles, warnings, broken, hydrated, has_unread_rules, rules, callers });
        }
        Err((faults.into_error(), broken.into_iter().flat_map(|broken| broken.faults).collect()))
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

    /// Returns the faults of everything that is not served.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &BuildFault> {
        self.broken.iter().flat_map(|broken| &broken.faults)
    }
}

impl OathkeeperProfile {
    /// Returns the name of the profile.
    pub fn name(&self) -> &ProfileName {
        &self.profile.spec.name
    }

    /// Returns where the configuration comes from, such as "the global configuration and the rules a, b".
    pub(crate) fn origin(&self) -> String {
        let rules = listed(self.rules.iter().cloned(), MOST_NAMED).join(", ");
        let noun = if self.rules.len() == 1 { "access rule" } else { "access rules" };
        match (self.is_global, self.rules.is_empty()) {
            (true, true) => "the global configuration".to_owned(),
            (true, false) => format!("the global configuration and the {noun} {rules}"),
            (false, _) => format!("the {noun} {rules}"),
        }
    }
}

/// The settings of one kind of token, without its name.
struct Merged {
    issuer: Issuer,
    jwks: KeySource,
    ttl: Ttl,
    claims: Option<ClaimsText>,
    allow_empty_subject: bool,
}

/// The settings of a rule, or of the global configuration and the rules that only inherit it.
struct Group<'r> {
    merged: Merged,
    is_global: bool,
    rules: Vec<&'r Rule>,
}

/// Reads the global settings and those of the rules.
fn read(
    files: &[(String, String)],
    environment: &[(String, String)],
    fetch: Fetch<'_>,
    findings: &mut Findings,
) -> (Vec<OathkeeperProfile>, Called) {
    let mut documents = Documents::read(files, findings);
    let Some(mut root) = documents.root.take().filter(|_| findings.faults.is_empty()) else {
        return Default::default();
    };
    apply_sections(&mut root, environment, findings);
    if let Some((file, keys)) = documents.keys.take() {
        use_embedded_keys(&mut root, &file, &keys);
    }
    let is_enabled = is_enabled(&root, environment);
    let mutator = at(&root, &["mutators", "id_token"]);
    let mutator_place = mutator.map_or(&root.place, |node| &node.place).clone();
    let global = Settings {
        path: "mutators.id_token.config".to_owned(),
        place: mutator_place.clone(),
        node: with_variables(mutator.and_then(|node| node.entry("config")), environment),
    };
    let global_url = hydrator_url(&root, environment);
    documents.root = Some(root);
    let misplaced = documents.root.as_ref().and_then(misplaced);
    let rules = rules_of(documents, environment, fetch, findings);

    let called = Called::of(&rules, global_url.as_ref().map(|(url, _)| url.as_str()));
    let disabled = "`true`, because otherwise Oathkeeper runs no id_token mutator";
    if !is_enabled && called.hydrated.is_empty() {
        match misplaced {
            Some((path, place)) => misplaced_fault(&path, &place, &mut findings.faults),
            None => findings.faults.add(
                "mutators.id_token.enabled",
                disabled,
                "another value or nothing; set it to true",
                &mutator_place,
            ),
        }
        return Default::default();
    }

    let mut groups = Vec::new();
    let is_complete = ["issuer_url", "jwks_url"].iter().all(|key| global.entry(key).is_some());
    if !is_enabled {
        for rule in rules.iter().filter(|rule| rule.id_token.is_some()) {
            let mut faults = Faults::default();
            faults.add("mutators.id_token.enabled", disabled, "another value or nothing", &mutator_place);
            findings.reject(rule.names(), &format!("access rule {}", rule.label), faults.into_list());
        }
    } else if is_complete {
        let mut faults = Faults::default();
        if let Some(merged) = merged(None, &global, findings, &mut faults) {
            let group = Group { merged, is_global: true, rules: Vec::new() };
            if is_usable(
                &group.merged,
                "the global configuration",
                ProfileName::parse(GLOBAL).into_iter().collect(),
                findings,
            ) {
                groups.push(group);
            }
        } else {
            check_claims(None, &global, "the global configuration", findings);
        }
        findings.faults.extend(faults.into_list());
    } else {
        global.check(&mut findings.faults);
        findings.warnings.push(
            "mutators.id_token.config has no issuer_url or no jwks_url: there is no profile id_token, only those of rules"
                .to_owned(),
        );
    }
    if is_enabled {
        group_rules(&rules, &global, is_complete, &mut groups, findings);
    }
    let has_nothing = groups.is_empty() && called.hydrated.is_empty() && findings.faults.is_empty();
    if has_nothing && findings.broken.is_empty() {
        match &misplaced {
            Some((path, place)) => misplaced_fault(path, place, &mut findings.faults),
            None => findings.faults.add(
                "mutators.id_token.config",
                "issuer_url and jwks_url, or access rules with an id_token mutator",
                "neither; add issuer_url and jwks_url",
                &mutator_place,
            ),
        }
    } else if let Some((path, _)) = misplaced.filter(|(path, _)| path.starts_with("mutators.id_token.")) {
        findings
            .warnings
            .push(format!("{path}: Oathkeeper ignores this key here; move it below mutators.id_token.config"));
    }
    let profiles: Vec<_> = groups.into_iter().filter_map(profile).collect();
    report_callers(&rules, &profiles, findings);
    for profile in &profiles {
        let name = profile.name();
        if profile.rules.iter().any(|rule| rule != name.as_str()) {
            findings.warnings.push(format!("profile {name} serves {}", profile.origin()));
        }
    }
    (profiles, called)
}

/// Merges each rule over the `global` settings. Rules that only inherit complete global settings share their profile.
fn group_rules<'r>(
    rules: &'r [Rule],
    global: &Settings,
    is_complete: bool,
    groups: &mut Vec<Group<'r>>,
    findings: &mut Findings,
) {
    let mut usable = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.is_served()) {
        if is_complete && rule.inherits() {
            // Without that group, the reason is reported already.
            if let Some(group) = groups.first_mut().filter(|group| group.is_global) {
                group.rules.push(rule);
            }
            continue;
        }
        let mut faults = Faults::default();
        let what = format!("access rule {}", rule.label);
        let Some(merged) = merged(Some(rule), global, findings, &mut faults).filter(|_| faults.is_empty()) else {
            findings.reject(rule.names(), &what, faults.into_list());
            check_claims(Some(rule), global, &what, findings);
            continue;
        };
        let template = merged.claims.as_ref().map(|claims| claims.text.clone());
        if usable.contains(&template) || is_usable(&merged, &what, rule.names(), findings) {
            usable.insert(template);
            groups.push(Group { merged, is_global: false, rules: vec![rule] });
        }
    }
}

/// Compiles the template of `merged`. Returns `false` if that is impossible, which is reported.
fn is_usable(merged: &Merged, what: &str, names: Vec<ProfileName>, findings: &mut Findings) -> bool {
    let faults =
        merged.claims.as_ref().map(|claims| template::faults(claims, what, &findings.file)).unwrap_or_default();
    let is_usable = faults.is_empty();
    if !is_usable {
        findings.broken.push(Broken { names, faults });
    }
    is_usable
}

/// Compiles the template of settings that cannot be served, so that all faults are reported at once.
fn check_claims(rule: Option<&Rule>, global: &Settings, what: &str, findings: &mut Findings) {
    let layers = [rule.and_then(|rule| rule.id_token.as_ref()).unwrap_or(global), global];
    let Some((settings, entry)) = layers.iter().find_map(|layer| Some((*layer, layer.entry("claims")?))) else {
        return;
    };
    // The faults of the setting itself are reported already.
    if let Some(claims) = settings.claims(entry, &findings.texts, &mut Faults::default()) {
        let faults = template::faults(&claims, what, &findings.file);
        let is_known = |fault: &BuildFault| findings.broken.iter().any(|broken| broken.faults.contains(fault));
        let faults: Vec<_> = faults.into_iter().filter(|fault| !is_known(fault)).collect();
        if !faults.is_empty() {
            findings.broken.push(Broken { names: Vec::new(), faults });
        }
    }
}

/// Returns the profile of a group.
fn profile(group: Group<'_>) -> Option<OathkeeperProfile> {
    let Group { merged, is_global, rules } = group;
    let name = match is_global {
        true => ProfileName::parse(GLOBAL)?,
        false => rules.first()?.name.clone()?,
    };
    let Merged { issuer, jwks, ttl, claims, allow_empty_subject } = merged;
    let mut profile = Profile::with_defaults(name, issuer, jwks)?;
    profile.spec.ttl = ttl;
    profile.spec.allow_empty_subject = allow_empty_subject;
    // Oathkeeper writes its own registered claims over those of a template.
    profile.spec.registered_claims = RegisteredInTemplate::Override;
    let origins = rules.iter().map(|rule| rule.wish.origin.clone()).collect();
    let rules = rules.iter().map(|rule| rule.label.clone()).collect();
    Some(OathkeeperProfile { profile, is_global, rules, claims, origins })
}

/// Reports rules whose `hydrator` calls the profile of another rule, and `hydrator` mutators beside `id_token` that call no
/// profile.
fn report_callers(rules: &[Rule], profiles: &[OathkeeperProfile], findings: &mut Findings) {
    let known: BTreeMap<_, _> = profiles.iter().map(|profile| (profile.name(), profile)).collect();
    for rule in rules {
        let (label, Some((name, _))) = (&rule.label, &rule.hydrated) else { continue };
        match known.get(name) {
            Some(profile) if !profile.is_global && !profile.origins.contains(&rule.wish.origin) => {
                let message = format!(
                    "the hydrator of access rule {label} calls profile {name}, but that is the profile of {}: let it call the \
                     profile of its own rule, which its `id_token` mutator defines",
                    profile.origin()
                );
                let faults = vec![BuildFault::new(ErrorCode::ConfigInvalid, &findings.file, message)];
                findings.broken.push(Broken { names: Vec::new(), faults });
            }
            None if rule.id_token.is_some() => findings.warnings.push(format!(
                "the hydrator of access rule {label} calls {name}, which is no profile of these files; if it calls another \
                 service, that is right"
            )),
            _ => {}
        }
    }
}

/// Puts the keys that Helm values contain in the place of the file that the chart makes from them.
fn use_embedded_keys(root: &mut Node, file: &str, keys: &Node) {
    use base64::Engine as _;
    let path = ["mutators", "id_token", "config", "jwks_url"];
    let names_file = at(root, &path).and_then(scalar).is_some_and(|url| url.rsplit('/').next() == Some(file));
    if let Some(text) = scalar(keys).filter(|_| names_file) {
        let url = format!("base64://{}", base64::engine::general_purpose::STANDARD.encode(text));
        put(root, &path, Node::text(url, keys.place.clone()));
    }
}

/// Returns the path and the place of a setting of `mutators.id_token.config` that is elsewhere.
fn misplaced(root: &Node) -> Option<(String, Place)> {
    fn find(node: &Node, path: &str) -> Option<(String, Place)> {
        let Value::Map(entries) = &node.value else { return None };
        let is_right = path == "mutators.id_token.config";
        entries.iter().find_map(|entry| {
            let path = joined(path, &entry.key);
            match entry.key.as_str() {
                "issuer_url" | "jwks_url" if !is_right => Some((path, entry.place.clone())),
                _ => find(&entry.value, &path),
            }
        })
    }
    find(root, "")
}

fn misplaced_fault(path: &str, place: &Place, faults: &mut Faults) {
    let key = path.rsplit('.').next().unwrap_or(path);
    faults.add(path, format!("mutators.id_token.config.{key}"), "the key here; move it", place);
}

/// Merges the variables of whole sections, JSON objects such as `MUTATORS_ID_TOKEN_CONFIG={"ttl":"5m"}`, over `root`.
/// Oathkeeper ignores other values of these variables.
fn apply_sections(root: &mut Node, environment: &[(String, String)], findings: &mut Findings) {
    let sections: [&[&str]; 6] = [
        &["access_rules"],
        &["mutators", "hydrator"],
        &["mutators", "hydrator", "config"],
        &["mutators", "hydrator", "config", "api"],
        &["mutators", "id_token"],
        &["mutators", "id_token", "config"],
    ];
    for path in sections {
        let Some((value, place)) = variable(environment, &path.join("_").to_uppercase()) else { continue };
        let mut faults = Faults::default();
        match yaml::parse(value, Some(&place), Quoting::Hidden, &mut faults) {
            Some(node) if faults.is_empty() && matches!(node.value, Value::Map(_)) => put(root, path, node),
            _ => findings.warnings.push(format!(
                "{}: Oathkeeper ignores a value that is not a JSON object",
                path.join("_").to_uppercase()
            )),
        }
    }
}

/// Returns the global settings with those that variables override.
fn with_variables(config: Option<&Entry>, environment: &[(String, String)]) -> Option<Node> {
    let mut settings = config.map(|entry| entry.value.clone());
    for key in KEYS {
        let name = format!("MUTATORS_ID_TOKEN_CONFIG_{}", key.to_uppercase());
        if let Some((value, place)) = variable(environment, &name) {
            let node = settings.get_or_insert_with(|| Node::empty_map(place.clone()));
            let value = Node::text(value, place.clone());
            if let Value::Map(entries) = &mut node.value {
                entries.retain(|entry| entry.key != key);
                entries.push(Entry { key: key.to_owned(), place, value });
            }
        }
    }
    settings
}

/// Returns `true` if Oathkeeper runs the mutator.
fn is_enabled(root: &Node, environment: &[(String, String)]) -> bool {
    match variable(environment, "MUTATORS_ID_TOKEN_ENABLED") {
        Some((value, _)) => is_true(value),
        None => at(root, &["mutators", "id_token", "enabled"]).is_some_and(|node| match &node.value {
            Value::Scalar { text, is_plain } => scalar_kind(text, *is_plain) == ScalarKind::Bool(true),
            _ => false,
        }),
    }
}

/// Merges the settings of `rule` over the `global` ones. Returns `None` if a fault was added.
fn merged(rule: Option<&Rule>, global: &Settings, findings: &Findings, faults: &mut Faults) -> Option<Merged> {
    let own = rule.and_then(|rule| rule.id_token.as_ref()).unwrap_or(global);
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
    let claims = setting("claims").and_then(|(settings, entry)| settings.claims(entry, &findings.texts, faults));
    let allow_empty_subject = rule.is_some_and(|rule| rule.allow_empty_subject);
    Some(Merged { issuer: issuer?, jwks: jwks?, ttl: ttl?, claims, allow_empty_subject })
}

/// Returns the lifetime in `entry`. Oathkeeper accepts a single unit, so `1h30m` is a fault here.
fn ttl(settings: &Settings, entry: &Entry, faults: &mut Faults) -> Option<Ttl> {
    let has_one_unit = |text: &&str| {
        text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic()).bytes().all(|byte| byte.is_ascii_digit())
    };
    let ttl = text(&entry.value).filter(has_one_unit).and_then(parse_duration).and_then(Ttl::new);
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
        Some((settings, entry)) => match text(&entry.value).filter(|text| !text.is_empty()) {
            Some(text) => Some((text, settings, &entry.value.place)),
            None => {
                let found = entry.value.description(Quoting::Hidden);
                faults.add(joined(&settings.path, key), "text that is not empty", found, &entry.place);
                None
            }
        },
        None => {
            let path = joined(&layers[0].path, key);
            let expected = format!("{key} here or in mutators.id_token.config");
            faults.add(path, expected, "neither; add one", &layers[0].place);
            None
        }
    }
}
