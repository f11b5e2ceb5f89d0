//! The section `callers`: what each one shows, where its secrets are, what it may ask for.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{Faults, Place, nearest};
use super::raw;
use super::read::{Mapping, count, has_control_characters, hidden_texts, path, text_as, words};
use super::secret::SecretSource;
use super::validate::optional;
use super::values::{ProfileName, is_name};
use super::yaml::{Quoting, Value};
use super::{Caller, CallerLimits, Credential, Profile, Rate};
use crate::secret::Secret;
use crate::tls::CertificateName;

/// The callers of the file, whose profiles are among `profiles`.
pub(super) fn callers(
    root: &Mapping<'_>,
    base_dir: &Path,
    profiles: &BTreeMap<ProfileName, Profile>,
    faults: &mut Faults,
) -> Vec<Caller> {
    let path = root.path_of("callers");
    let Some(node) = root.given("callers") else { return Vec::new() };
    let Value::List(items) = &node.value else {
        let found = node.description(Quoting::Hidden);
        faults.add(path, "a list of callers", found, &node.place);
        return Vec::new();
    };
    let mut callers: Vec<Caller> = Vec::with_capacity(items.len());
    let mut names = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let mapping = Mapping::open(Some(item), format!("{path}[{index}]"), item.place.clone(), &raw::CALLER, faults);
        let name = mapping.value("name", faults, text_as(|text| is_name(text).then(|| text.to_owned())));
        if let Some(name) = name.as_ref().filter(|name| !names.insert((*name).clone())) {
            let found = format!("`{name}` a second time");
            faults.add(mapping.path_of("name"), "each name once", found, &mapping.place_of("name"));
        }
        mapping.require_one_of(faults);
        let basic = mapping.given("basic").map(|_| basic(&mapping.mapping("basic", faults), base_dir, faults));
        let bearer = mapping.given("bearer").map(|_| bearer(&mapping.mapping("bearer", faults), base_dir, faults));
        let tls = mapping.given("tls").map(|_| certificate(&mapping.mapping("tls", faults), faults));
        let profiles = mapping.given("profiles").map(|_| caller_profiles(&mapping, profiles, faults));
        let limits = caller_limits(&mapping.mapping("limits", faults), faults);
        if let (Some(name), Some(Some(credential)), Some(profiles), Some(limits)) =
            (name, basic.or(bearer).or(tls), optional(profiles), limits)
        {
            callers.push(Caller { name, credential, profiles, limits });
        }
    }
    callers
}

/// The profiles of a caller, each of which is one of `known`.
fn caller_profiles(
    caller: &Mapping<'_>,
    known: &BTreeMap<ProfileName, Profile>,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let names = caller.value("profiles", faults, hidden_texts)?;
    let unknown = names.iter().position(|name| !known.contains_key(name.as_str()));
    let Some(index) = unknown else { return Some(names) };
    let known: Vec<&str> = known.keys().map(ProfileName::as_str).collect();
    let advice = names
        .get(index)
        .and_then(|name| nearest(name, known.iter().copied()))
        .map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"));
    let expected = format!("names of configured profiles ({}){advice}", known.join(", "));
    let found = format!("another one in place {}", index + 1);
    faults.add(caller.path_of("profiles"), expected, found, &caller.place_of("profiles"));
    None
}

fn caller_limits(limits: &Mapping<'_>, faults: &mut Faults) -> Option<CallerLimits> {
    let mut number = |name| {
        let value = limits.given(name).map(|_| limits.value(name, faults, count));
        optional(value).map(|value| value.and_then(|value| NonZeroU32::new(u32::try_from(value).ok()?)))
    };
    let (concurrency, burst) = (number("concurrency"), number("burst"));
    let rate = optional(limits.given("rate").map(|_| limits.value("rate", faults, text_as(rate_of))))?;
    let (concurrency, burst) = (concurrency?, burst?);
    if let (Some(_), None) = (burst, rate) {
        let place = limits.place_of("burst");
        faults.add(limits.path_of("burst"), "burst only beside rate", "it alone", &place);
        return None;
    }
    let rate = rate.map(|(period, of_one_second)| Rate { period, burst: burst.unwrap_or(of_one_second) });
    Some(CallerLimits { concurrency, rate })
}

/// The time that brings one request, and the requests of one second, at least one.
fn rate_of(text: &str) -> Option<(Duration, NonZeroU32)> {
    let (number, unit) = text.split_once('/')?;
    let is_plain = number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: u32 = number.parse().ok().filter(|_| is_plain)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let period = Duration::from_secs(seconds).checked_div(number)?;
    let of_one_second = NonZeroU32::new(number / u32::try_from(seconds).ok()?).unwrap_or(NonZeroU32::MIN);
    Some((period.max(Duration::from_nanos(1)), of_one_second))
}

fn basic(basic: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let is_username = |text: &str| {
        (!text.is_empty() && !text.contains(':') && !has_control_characters(text)).then(|| text.to_owned())
    };
    let username = basic.value("username", faults, text_as(is_username));
    let keys = SecretKeys { file: "password_file", files: "password_files", one: "password", several: "passwords" };
    let passwords = secrets(basic, &keys, base_dir, faults);
    Some(Credential::Basic { username: username?, passwords: passwords? })
}

fn bearer(bearer: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let keys = SecretKeys { file: "token_file", files: "token_files", one: "token", several: "tokens" };
    Some(Credential::Bearer { tokens: secrets(bearer, &keys, base_dir, faults)? })
}

fn certificate(tls: &Mapping<'_>, faults: &mut Faults) -> Option<Credential> {
    tls.require_one_of(faults);
    let subject = tls.value("subject", faults, text_as(CertificateName::subject));
    let spiffe = tls.value("spiffe", faults, text_as(CertificateName::spiffe));
    let dns = tls.value("dns", faults, text_as(CertificateName::dns));
    subject.or(spiffe).or(dns).map(Credential::Certificate)
}

/// The keys under which the secrets of one kind of caller stand.
struct SecretKeys {
    file: &'static str,
    files: &'static str,
    one: &'static str,
    several: &'static str,
}

fn secrets(
    mapping: &Mapping<'_>,
    keys: &SecretKeys,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Vec<SecretSource>> {
    for inline in [keys.one, keys.several] {
        if let Some(node) = mapping.given(inline).filter(|node| !matches!(node.place, Place::Environment(_))) {
            let expected = format!("the secret in a file that `{}` names, or in the environment", keys.file);
            faults.add(mapping.path_of(inline), expected, "it in the configuration file", &node.place);
            return None;
        }
    }
    mapping.require_one_of(faults);
    let in_file = |path: PathBuf| SecretSource::File(base_dir.join(path));
    let inline = |text: String| SecretSource::Inline(Secret::new(text.into_bytes()));
    let file = mapping.value(keys.file, faults, path).map(|path| vec![in_file(path)]);
    let files = mapping.value(keys.files, faults, hidden_texts);
    let files = files.map(|paths| paths.into_iter().map(|path| in_file(PathBuf::from(path))).collect());
    let one = mapping.value(keys.one, faults, words).map(|text| vec![inline(text)]);
    let several = mapping.value(keys.several, faults, hidden_texts);
    let several = several.map(|texts| texts.into_iter().map(inline).collect());
    file.or(files).or(one).or(several)
}
