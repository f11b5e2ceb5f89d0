//! The Helm chart has what the code has: the schema of the configuration, and the keys that need a restart.

use std::fs;
use std::path::Path;

use serde_json::Value;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/claimsmith");

fn schema() -> Value {
    serde_json::from_str(&claimsmith::config::schema()).unwrap()
}

/// Returns the paths of the keys that are marked with `x-restart`.
fn restart_keys(schema: &Value, path: &str, found: &mut Vec<String>) {
    if schema["x-restart"] == true {
        found.push(path.to_owned());
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        restart_keys(inner, &path, found);
    }
}

#[test]
fn values_are_validated_by_the_schema_of_the_configuration() {
    let path = Path::new(CHART).join("values.schema.json");
    let mut values: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut schema = schema();
    // The dialect is that of the whole document.
    schema.as_object_mut().unwrap().remove("$schema");
    // Where profiles come from Oathkeeper, the configuration has none.
    schema.as_object_mut().unwrap().remove("required");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        values["definitions"]["configuration"] = schema.clone();
        fs::write(&path, format!("{values:#}\n")).unwrap();
    }
    assert!(
        values["definitions"]["configuration"] == schema,
        "values.schema.json is out of date; update it with UPDATE_DOCS=1 cargo test values_are_validated"
    );
    assert_eq!(values["properties"]["config"]["allOf"][0]["$ref"], "#/definitions/configuration");
}

#[test]
fn pods_restart_for_every_key_that_is_read_only_at_startup() {
    let mut keys = Vec::new();
    restart_keys(&schema(), "", &mut keys);
    assert!(keys.len() >= 7, "{keys:?}");
    keys.sort();
    let helpers = fs::read_to_string(Path::new(CHART).join("templates/_helpers.tpl")).unwrap();
    let listed = helpers.split("{{- define \"claimsmith.restartKeys\" -}}").nth(1).unwrap();
    let listed: Vec<_> = listed.trim().lines().next().unwrap().split(' ').collect();
    assert_eq!(listed, keys);
}
