use std::sync::atomic::{AtomicI64, Ordering};

use super::super::testing::kid;
use super::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn ttl(count: u64) -> Ttl {
    Ttl::new(seconds(count)).unwrap()
}

/// Returns a policy with a lead time of an hour and a retention period of an hour, for tokens of fifteen minutes.
fn policy() -> RotationPolicy {
    RotationPolicy::new(seconds(3600), seconds(3600), seconds(300), ttl(900)).unwrap()
}

fn key(alg: SignatureAlg, id: &str, more: &Value) -> Value {
    let set: Value = serde_json::from_str(generate(alg, None, &kid(id)).unwrap().to_set()).unwrap();
    let mut key = set["keys"][0].clone();
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key
}

fn es256(kid: &str, more: &Value) -> Value {
    key(SignatureAlg::Es256, kid, more)
}

fn file(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

fn names() -> impl FnMut() -> KeyId {
    let mut count = 0;
    move || {
        count += 1;
        kid(&format!("new-{count}"))
    }
}

fn rotated(file: &[u8], now: i64) -> Rotation {
    let mut name = || kid(&format!("new-{}", now - NOW));
    rotate(file, None, &policy(), &at(now), &mut name).unwrap()
}

/// A clock that advances by a minute with each reading.
#[derive(Debug)]
struct Minutes(AtomicI64);

impl Clock for Minutes {
    fn now(&self) -> Timestamp {
        at(self.0.fetch_add(60, Ordering::Relaxed))
    }
}

#[test]
fn lead_begins_when_the_key_exists() {
    let clock = Minutes(AtomicI64::new(NOW));
    // The clock is read before the key is generated, and after it.
    let rotation = rotate(&file(&[es256("old", &json!({}))]), None, &policy(), &clock, &mut names()).unwrap();
    assert_eq!(rotation.added[0].signs_from, at(NOW + 60).after(policy().lead));
    assert_eq!(clock.now(), at(NOW + 120));
}

/// Returns `kid`, `nbf` and `exp` of the members of the changed file.
fn times(rotation: &Rotation) -> Vec<(String, Option<i64>, Option<i64>)> {
    let set: Value = serde_json::from_slice(rotation.set.as_ref().unwrap().as_bytes()).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| (key["kid"].as_str().unwrap().to_owned(), key["nbf"].as_i64(), key["exp"].as_i64())).collect()
}

#[test]
fn the_next_key_signs_after_the_lead_and_the_old_one_ends_then() {
    let rotation = rotated(&file(&[es256("old", &json!({}))]), NOW);
    assert_eq!(
        times(&rotation),
        [("old".to_owned(), None, Some(NOW + 3600 + 120)), ("new-0".to_owned(), Some(NOW + 3600), None),]
    );
    let set = KeySet::parse(rotation.set.unwrap().as_bytes()).unwrap();
    let signer = |now| set.signer(at(now), None).unwrap().kid().as_str().to_owned();
    assert_eq!((signer(NOW + 3599).as_str(), signer(NOW + 3600).as_str()), ("old", "new-0"));
}

#[test]
fn a_second_rotation_before_the_next_key_signs_adds_nothing() {
    let first = rotated(&file(&[es256("old", &json!({}))]), NOW).set.unwrap();
    let second = rotated(first.as_bytes(), NOW + 3599);
    assert!(second.set.is_none() && second.added.is_empty());
    assert_eq!(second.pending.unwrap().signs_from, at(NOW + 3600));
    assert_eq!(rotated(first.as_bytes(), NOW + 3600).added.len(), 1);
}

#[test]
fn a_dead_key_is_dropped_with_its_public_half_and_others_stay_as_they_were() {
    let old = es256("private:old", &json!({"exp": NOW - 3600, "x-note": [1, 2.50]}));
    let mut half = old.clone();
    for name in ["d", "exp"] {
        half.as_object_mut().unwrap().remove(name);
    }
    half["kid"] = "public:old".into();
    let kept = es256("kept", &json!({"exp": NOW - 3599, "x-note": [1, 2.50]}));
    let broken = json!({"kty": "quantum", "kid": "broken"});
    let current = es256("current", &json!({}));
    let text = json!({"owner": "platform", "keys": [half, old, kept, broken, current]}).to_string();
    let rotation = rotated(text.as_bytes(), NOW);
    assert_eq!(rotation.dropped, [kid("private:old"), kid("public:old")]);
    let set: Value = serde_json::from_slice(rotation.set.unwrap().as_bytes()).unwrap();
    assert_eq!(set["owner"], "platform");
    assert_eq!((&set["keys"][0], &set["keys"][1]), (&kept, &broken));
    assert_eq!(set["keys"].as_array().unwrap().len(), 4);
}

#[test]
fn the_next_key_is_of_the_algorithm_and_the_size_of_the_one_that_signs() {
    let set: Value =
        serde_json::from_str(generate(SignatureAlg::Ps256, Some(3072), &kid("rsa")).unwrap().to_set()).unwrap();
    let rsa = set["keys"][0].clone();
    let ec = es256("ec", &json!({"nbf": NOW - 1000, "exp": NOW - 10}));
    let rotation = rotated(&file(&[rsa, ec]), NOW);
    assert_eq!(rotation.added[0].alg, SignatureAlg::Ps256);
    let set: Value = serde_json::from_slice(rotation.set.unwrap().as_bytes()).unwrap();
    let modulus = set["keys"][2]["n"].as_str().unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(modulus).unwrap().len() * 8, 3072);
}

#[test]
fn keys_of_other_algorithms_go_on() {
    let keys = [es256("ec", &json!({})), key(SignatureAlg::EdDsa, "ed", &json!({}))];
    let rotation = rotate(&file(&keys), Some(SignatureAlg::Es256), &policy(), &at(NOW), &mut names()).unwrap();
    assert_eq!(rotation.ended.iter().map(|(kid, _)| kid.as_str()).collect::<Vec<_>>(), ["ec"]);
}

#[test]
fn there_is_no_second_without_a_key_that_signs() {
    let ending = file(&[es256("ending", &json!({"exp": NOW + 600}))]);
    assert_eq!(rotated(&ending, NOW).added[0].signs_from, at(NOW + 600));
    let ended = file(&[es256("ended", &json!({"exp": NOW - 600}))]);
    let rotation = rotated(&ended, NOW);
    let set = KeySet::parse(rotation.set.unwrap().as_bytes()).unwrap();
    assert_eq!(set.signer(at(NOW), None).unwrap().kid().as_str(), "new-0");
}

#[test]
fn a_schedule_adds_the_next_key_one_lead_before_it_is_to_sign() {
    let due = |keys: &[Value], now| {
        let set = KeySet::parse(&file(keys)).unwrap();
        policy().is_due(&set, SignatureAlg::Es256, seconds(86_400), at(now))
    };
    let current = es256("a", &json!({"nbf": NOW}));
    assert!(!due(std::slice::from_ref(&current), NOW + 86_400 - 3601));
    assert!(due(std::slice::from_ref(&current), NOW + 86_400 - 3600));
    assert!(!due(&[current, es256("b", &json!({"nbf": NOW + 86_400}))], NOW + 86_400 - 3600));
    assert!(due(&[es256("c", &json!({}))], NOW), "a key of unknown age");
}

#[test]
fn replacing_leaves_none_of_the_keys_that_were_there() {
    let ec = es256("ec", &json!({}));
    let mut half = ec.clone();
    half.as_object_mut().unwrap().remove("d");
    half["kid"] = "public:ec".into();
    let mut foreign = es256("foreign", &json!({}));
    foreign.as_object_mut().unwrap().remove("d");
    let pending = es256("pending", &json!({"nbf": NOW + 100}));
    let ed = key(SignatureAlg::EdDsa, "ed", &json!({"nbf": NOW - 100}));
    let gone = key(SignatureAlg::Hs256, "gone", &json!({"exp": NOW - 100}));
    let rotation = replace_keys(&file(&[ed, half, foreign, ec, pending, gone]), at(NOW), &mut names()).unwrap();
    let names: Vec<_> = times(&rotation).into_iter().map(|(kid, ..)| kid).collect();
    assert_eq!(names, ["foreign", "new-1", "new-2"]);
    let set = KeySet::parse(rotation.set.unwrap().as_bytes()).unwrap();
    assert_eq!(set.signer(at(NOW), None).unwrap().alg(), SignatureAlg::EdDsa, "as before");
    assert!(set.signer(at(NOW - 60), Some(SignatureAlg::Es256)).is_ok(), "also where a clock is behind");
}

#[test]
fn a_key_is_added_to_a_set_or_makes_one() {
    let key = generate(SignatureAlg::EdDsa, None, &kid("next")).unwrap();
    let alone = KeySet::parse(add_key(None, &key, None).unwrap().as_bytes()).unwrap();
    assert_eq!(alone.signer(at(0), None).unwrap().not_before(), None);
    let text = add_key(Some(&file(&[es256("first", &json!({}))])), &key, Some(at(NOW))).unwrap();
    let both = KeySet::parse(text.as_bytes()).unwrap();
    assert_eq!(both.signer(at(NOW - 1), None).unwrap().kid().as_str(), "first");
    assert_eq!(both.signer(at(NOW), None).unwrap().kid().as_str(), "next");
    let again = add_key(Some(text.as_bytes()), &generate(SignatureAlg::Es256, None, &kid("next")).unwrap(), None);
    assert_eq!(again.unwrap_err(), EditError::KeySet(KeySetError::DuplicateKid(kid("next"))));
}

#[test]
fn a_policy_that_would_lose_tokens_is_refused() {
    let policy = |lead, retire| RotationPolicy::new(seconds(lead), seconds(retire), seconds(300), ttl(900));
    assert!(matches!(policy(300, 900), Err(PolicyError::Lead { .. })));
    assert!(matches!(policy(301, 899), Err(PolicyError::Retire { .. })));
    assert!(policy(301, 900).is_ok());
}

#[test]
fn nothing_private_shows_in_debug_or_errors() {
    let old = es256("old", &json!({}));
    let rotation = rotated(&file(std::slice::from_ref(&old)), NOW);
    let new: Value = serde_json::from_slice(rotation.set.as_ref().unwrap().as_bytes()).unwrap();
    let shown = format!("{rotation:?}");
    for member in [&old["d"], &new["keys"][1]["d"]] {
        assert!(!shown.contains(member.as_str().unwrap()));
    }
}

#[test]
fn rotation_never_extends_the_exp_of_a_key() {
    let end = NOW + 3600 + 120;
    let expiring = |kid: &str, exp| es256(kid, &json!({ "exp": exp }));
    let keys = [
        es256("endless", &json!({})),
        expiring("earlier", end - 1),
        expiring("equal", end),
        expiring("later", end + 1),
    ];
    let rotation = rotated(&file(&keys), NOW);
    assert_eq!(rotation.ended, [(kid("endless"), at(end)), (kid("later"), at(end))]);
    let exps: Vec<_> = times(&rotation).into_iter().map(|(_, _, exp)| exp).collect();
    assert_eq!(exps, [Some(end), Some(end - 1), Some(end), Some(end), None]);
}

/// A string that grows leaves copies of private keys behind.
#[test]
fn key_file_text_is_allocated_once() {
    let nested = json!({"a": [1, 2.5, null, true, false, {"b": ["c", {}], "d": []}], "\u{e9}\u{7}": "\u{1}"});
    let keys: Vec<_> = (0..4).map(|index| es256(&format!("k{index}"), &json!({"x-note": nested}))).collect();
    let text = file(&keys);
    let document = Document::parse(&text).unwrap();
    let mut root = document.root;
    root.set(Cow::Borrowed("keys"), Json::Array(document.keys));
    let mut written = String::new();
    let root = Json::Object(root);
    root.write_pretty(&mut written);
    assert!(written.len() < 2 * length(&root) + 64, "{} {}", written.len(), length(&root));
    let changed = add_key(Some(&text), &generate(SignatureAlg::Es256, None, &kid("new")).unwrap(), None).unwrap();
    assert_eq!(format!("{changed:?}"), format!("KeySetText({} bytes)", changed.as_bytes().len()));
}

#[test]
fn replaced_keys_have_the_size_of_their_predecessors() {
    let rsa: Value =
        serde_json::from_str(generate(SignatureAlg::Rs256, Some(2056), &kid("rsa")).unwrap().to_set()).unwrap();
    let keys = [rsa["keys"][0].clone(), es256("ec", &json!({}))];
    let rotation = replace_keys(&file(&keys), at(NOW), &mut names()).unwrap();
    let set: Value = serde_json::from_slice(rotation.set.unwrap().as_bytes()).unwrap();
    let moduli: Vec<_> = set["keys"].as_array().unwrap().iter().filter_map(|key| key["n"].as_str()).collect();
    assert_eq!(moduli.len(), 1);
    assert_eq!(URL_SAFE_NO_PAD.decode(moduli[0]).unwrap().len() * 8, 2056);
}
