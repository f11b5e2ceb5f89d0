//! Who may import whom: the table in src/lib.rs, held by reading the source.

use std::fs;
use std::path::Path;

use crate::support::files_below;

/// Each module and its layer; a module imports from its own layer's row below, never from above.
const LAYERS: &[(&str, u8)] = &[
    ("code", 0),
    ("json", 0),
    ("secret", 0),
    ("session", 0),
    ("time", 0),
    ("claims", 1),
    ("templates", 2),
    ("keys", 2),
    ("mint", 3),
    ("config", 4),
    ("oathkeeper", 4),
    ("reload", 4),
    ("sources", 4),
    ("tls", 4),
    ("edge", 5),
    ("telemetry", 5),
    ("app", 6),
    ("cli", 6),
];

/// What may be named only in these modules.
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
    ("governor", &["edge"]),
    ("jsonschema", &["mint"]),
    ("reqwest", &["sources", "telemetry", "cli"]),
    ("object_store", &["sources"]),
    ("opentelemetry", &["telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("tracing", &["edge", "telemetry", "app", "cli"]),
];

/// The code of a file without its comments and its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// How many modules a file stands in, the crate's root not counted: 1 for `a.rs` and `a/mod.rs`, 2 for `a/b.rs`.
fn depth(relative: &Path) -> usize {
    relative.iter().count() - usize::from(relative.ends_with("mod.rs"))
}

/// Whether a chain of `super::` in code `depth` modules deep ends in the crate's root, from where every module is near.
fn reaches_the_root(code: &str, depth: usize) -> bool {
    code.contains(&"super::".repeat(depth))
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

#[test]
fn modules_import_from_lower_layers_alone() {
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
            let is_allowed = name == module
                || other < own
                || (own == 4 && other == 4)
                || own == 6
                || name == "telemetry" && own == 5
                || own == 0 && other == 0;
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
fn the_table_in_the_documentation_names_every_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (module, layer) in LAYERS {
        let row = lib.lines().find(|line| line.starts_with(&format!("//! | {layer} |"))).unwrap();
        assert!(row.contains(&format!("[`{module}`]")), "{module} is missing in the row of layer {layer}");
        assert!(lib.contains(&format!("pub mod {module};")), "{module}");
    }
}
