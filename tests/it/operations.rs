//! The manual, the dashboard and the alerts match the served metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use claimsmith::code::ErrorCode;
use claimsmith::time::Timestamp;
use claimsmith::{Gauges, KeySetGauges, Metrics, ProfileGauges, ProfileResult, SourceGauges};
use serde_json::Value;

use crate::support::{Setup, spawn_app};

/// Records each metric once.
fn every_metric() -> String {
    let metrics = Metrics::new();
    metrics.request(&metrics.route("none", "none", false), 200, 0.1);
    metrics.issued("p", "ES256");
    metrics.shadow_compared("p", "equal");
    metrics.failure(ErrorCode::Internal, "p", "c");
    metrics.profile_request("p", ProfileResult::Issued);
    metrics.caller("c").count(true);
    metrics.generation_since(Timestamp::from_seconds(0));
    metrics.keys_skipped([("k", 1)].into_iter());
    metrics.key_source_failed("s".to_owned(), ErrorCode::KeySourceTimeout);
    metrics.key_sources([("s".to_owned(), Some(Duration::ZERO), true)].into_iter());
    metrics.session_sources().call("s", "session", Some(Duration::ZERO));
    metrics.session_sources().lookup("s", "hit");
    metrics.session_sources().extension("s", "extended");
    metrics.session_sources().rejection("s", "expired");
    metrics.set_session_sources([("s", SourceGauges::default())].into_iter());
    let keys = KeySetGauges { set: "k".to_owned(), active: 1, pending: 1, retired: 1, published: 1 };
    let profile = ProfileGauges {
        profile: "p".to_owned(),
        can_sign: true,
        key_age: Some(1),
        next_change: Some(1),
        signing_end: Some(1),
        publication_end: Some(1),
    };
    metrics.text(&Gauges { templates: 1, profiles: vec![profile], key_sets: vec![keys] })
}

/// Returns each metric by its Prometheus name, with its type and its labels.
pub(crate) fn served() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = every_metric();
    let mut served = BTreeMap::new();
    for block in text.split("# TYPE ").skip(1) {
        let (name, kind) = block.lines().next().unwrap().split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let sample = block.lines().skip(1).find(|line| !line.starts_with('#'));
        let sample = sample.unwrap_or_else(|| panic!("{name} has no sample"));
        let labels = sample.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        let labels = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        let labels = labels.filter(|label| label != "le").collect();
        served.insert(format!("{name}{suffix}"), (kind.to_owned(), labels));
    }
    served
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the claimsmith metrics that a text names, without the suffixes of histograms.
pub(crate) fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("claimsmith_"));
    let without_suffix = |word: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
        base.filter(|base| served().get(*base).is_some_and(|(kind, _)| kind == "histogram")).unwrap_or(word).to_owned()
    };
    words.map(without_suffix).collect()
}

#[test]
fn manual_lists_each_metric_with_type_and_labels() {
    let manual = read("docs/operations.md");
    let table = manual.split("## Metrics").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut listed = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels: BTreeSet<String> = labels.filter(|label| !label.is_empty()).collect();
        assert!(cells[4].len() > 3, "{row}");
        listed.insert(cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels));
    }
    assert_eq!(listed, served());
}

#[test]
fn running_service_serves_only_documented_metrics() {
    let app = spawn_app(&Setup::default());
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
    let text = app.get_admin("/metrics").text();
    let names: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 20, "{text}");
    let served = served();
    for name in names {
        assert!(served.contains_key(name) || served.contains_key(&format!("{name}_total")), "{name}");
    }
}

#[test]
fn dashboard_and_alerts_use_only_served_metrics() {
    let served: BTreeSet<String> = served().into_keys().collect();
    for path in [
        "deploy/grafana/claimsmith.json",
        "deploy/prometheus/claimsmith.rules.yml",
        "deploy/prometheus/claimsmith.rules.test.yml",
    ] {
        let named = named(&read(path));
        assert!(named.len() > 10, "{path}");
        let unknown: Vec<_> = named.difference(&served).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
    let shown = named(&read("deploy/grafana/claimsmith.json"));
    let missing: Vec<_> = served.difference(&shown).collect();
    assert!(missing.is_empty(), "the dashboard shows everything but {missing:?}");
}

#[test]
fn alerts_are_tested_and_documented() {
    let (rules, tests, manual) = (
        read("deploy/prometheus/claimsmith.rules.yml"),
        read("deploy/prometheus/claimsmith.rules.test.yml"),
        read("docs/operations.md"),
    );
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in &alerts {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} has no test");
        assert!(manual.contains(&format!("| `{alert}` |")), "{alert} is not in docs/operations.md");
    }
    assert_eq!(manual.matches("| `Claimsmith").count(), alerts.len());
}

#[test]
fn dashboard_is_well_formed() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/claimsmith.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = &panel["title"];
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = target["expr"].as_str().unwrap();
            for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
                assert_eq!(expression.matches(open).count(), expression.matches(close).count(), "{expression}");
            }
        }
    }
}
