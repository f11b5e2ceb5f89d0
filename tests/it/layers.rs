//! The allowed imports between modules: the table in src/lib.rs, checked against the source.

use std::fs;
use std::path::Path;

use crate::support::files_below;

/// Each module and its layer. A module imports from lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("code", 0),
    ("json", 0),
    ("secret", 0),
    ("time", 0),
    ("remote", 1),
    ("session", 1),
    ("tls", 1),
    ("claims", 2),
    ("keys", 3),
    ("templates", 3),
    ("mint", 4),
    ("config", 5),
    ("oathkeeper", 6),
    ("reload", 6),
    ("telemetry", 6),
    ("service", 7),
    ("edge", 8),
    ("app", 9),
    ("cli", 10),
];

/// Crates and paths that only these modules may use.
const SEALED: &[(&str, &[&str])] = &[
    ("josekit", &["keys"]),
    ("openssl::", &["keys"]),
    ("aws_lc_rs", &["keys", "tls"]),
    ("handlebars::", &["templates"]),
    ("actix_web", &["edge", "app", "cli"]),
    ("actix_http", &["app"]),
    ("actix_server", &["app"]),
    ("rustix", &["app"]),
    ("std::fs", &["reload", "telemetry", "app", "cli"]),
    ("std::env::", &["cli"]),
    ("anyhow::", &["app", "cli"]),
    ("rustls::", &["tls"]),
    ("x509_cert", &["tls"]),
    ("governor", &["service"]),
    ("jsonschema", &["mint"]),
    ("reqwest", &["remote", "telemetry", "cli"]),
    ("object_store", &["remote"]),
    ("opentelemetry", &["telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("tracing", &["service", "edge", "telemetry", "app", "cli"]),
];

/// Returns the code of a file without its comments and tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the module depth of a file below the crate root: 1 for `a.rs` and `a/mod.rs`, 2 for `a/b.rs`.
fn depth(relative: &Path) -> usize {
    relative.iter().count() - usize::from(relative.ends_with("mod.rs"))
}

/// Returns `true` if a chain of `super::` at module depth `depth` reaches the crate root, which would bypass the check.
fn reaches_the_root(code: &str, depth: usize) -> bool {
    code.contains(&"super::".repeat(depth))
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

#[test]
fn modules_import_only_from_lower_layers() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files_below(&source, "rs");
    let mut broken = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("{module} has no line in the layer table"));
        let code = code(&file);
        for rest in code.split("crate::").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(other) = layer(&name) else {
                broken.push(format!("{}: crate::{name} is no module of the table", relative.display()));
                continue;
            };
            let is_allowed = name == module || other < own;
            if !is_allowed {
                broken.push(format!("{}: {module} (layer {own}) imports {name} (layer {other})", relative.display()));
            }
        }
        if reaches_the_root(&code, depth(relative)) {
            broken.push(format!("{}: `super::` leaves {module}; name the module by `crate::`", relative.display()));
        }
        for (word, homes) in SEALED {
            if code.contains(word) && !homes.contains(&module.as_str()) {
                broken.push(format!("{}: `{word}` belongs to {homes:?}", relative.display()));
            }
        }
    }
    let table = fs::read_to_string(source.join("lib.rs")).unwrap();
    let table: Vec<_> = table.lines().filter(|line| line.starts_with("//! |")).collect();
    assert!(broken.is_empty(), "{}\n\n{}", broken.join("\n"), table.join("\n"));
}

#[test]
fn layer_table_lists_each_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (module, layer) in LAYERS {
        let row = lib.lines().find(|line| line.starts_with(&format!("//! | {layer} |"))).unwrap();
        assert!(row.contains(&format!("[`{module}`]")), "{module} is missing in the row of layer {layer}");
        assert!(lib.lines().any(|line| line.ends_with(&format!("mod {module};"))), "{module}");
    }
}
