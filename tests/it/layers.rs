//! The allowed imports between modules: the table in src/lib.rs, checked against the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::files_below;

/// Each module and its layer. A module imports from lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("code", 0),
    ("escape", 0),
    ("json", 0),
    ("nearest", 0),
    ("secret", 0),
    ("time", 0),
    ("remote", 1),
    ("session", 1),
    ("tls", 1),
    ("claims", 2),
    ("keys", 3),
    ("templates", 3),
    ("checks", 4),
    ("mint", 4),
    ("sources", 4),
    ("config", 5),
    ("decision", 5),
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
    ("libc::", &["reload"]),
    ("std::fs", &["reload", "telemetry", "app", "cli"]),
    ("std::env::", &["cli"]),
    ("anyhow::", &["app", "cli"]),
    ("rustls::", &["tls"]),
    ("x509_cert", &["tls"]),
    ("governor", &["service"]),
    ("jsonschema", &["mint"]),
    ("reqwest", &["remote", "sources", "telemetry", "cli"]),
    ("object_store", &["remote"]),
    ("opentelemetry", &["telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("tracing", &["service", "edge", "telemetry", "app", "cli"]),
];

/// Files that import each other: a directory, and its files or subdirectories. Evaluation is recursive in both template
/// languages. The route table names the endpoints, which use types of the exchange, which reads the table.
const RECURSIVE: &[(&str, &[&str])] = &[
    (
        "edge/http",
        &[
            "auth_request",
            "exchange",
            "forward_auth",
            "hydrate",
            "issue",
            "jwks",
            "openapi",
            "openid_configuration",
            "posted",
            "problem",
            "proxied",
            "routes",
        ],
    ),
    ("templates/go", &["ast", "context", "fields", "funcs", "numbers", "print", "printf"]),
    ("templates/go", &["urls", "value"]),
    ("templates/go/funcs", &["casing", "wording"]),
    ("templates/handlebars", &["compile", "expressions"]),
    ("templates/handlebars", &["helpers", "naming", "program", "render", "writer"]),
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

/// A module path below the crate root, such as `["remote", "http"]`.
type ModulePath = Vec<String>;

/// Returns the paths of a `use` tree or expression that starts `text`, such as `a::b` and `a::c` of `a::{b, c}; …`.
fn paths(text: &str) -> Vec<ModulePath> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let Some(list) = text.strip_prefix('{') else {
        let (name, rest) = text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()));
        let below = rest.strip_prefix("::").map_or_else(|| vec![Vec::new()], paths);
        return below.into_iter().map(|path| std::iter::once(name.to_owned()).chain(path).collect()).collect();
    };
    let (mut found, mut open, mut start) = (Vec::new(), 0, 0);
    for (index, c) in list.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open > 0 => open -= 1,
            ',' | '}' if open == 0 => {
                found.extend(paths(list[start..index].trim()));
                start = index + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Returns the paths that `code`, the module `own`, names by `super::` or `crate::`.
fn imports(code: &str, own: &[String]) -> Vec<ModulePath> {
    let mut found = Vec::new();
    for (index, _) in code.match_indices("super::").filter(|(index, _)| !code[..*index].ends_with("super::")) {
        let rest = code[index..].trim_start_matches("super::");
        let count = (code.len() - index - rest.len()) / "super::".len();
        let base = &own[..own.len().saturating_sub(count)];
        found.extend(paths(rest).into_iter().map(|path| [base, &path].concat()));
    }
    found.extend(code.split("crate::").skip(1).flat_map(paths));
    found
}

/// Returns every node that `start` reaches by at least one edge.
fn reached(edges: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
    while let Some(node) = open.pop() {
        let next = edges.get(&node).into_iter().flatten();
        open.extend(next.filter(|next| found.insert((*next).clone())).cloned());
    }
    found
}

#[test]
fn files_of_a_module_import_each_other_without_cycles() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The edges between the entries of each directory. `mod.rs` is the directory itself.
    let mut directories: BTreeMap<ModulePath, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for file in files_below(&source, "rs") {
        let relative = file.strip_prefix(&source).unwrap().with_extension("");
        let mut own: ModulePath = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        own.pop_if(|name| name == "mod");
        if own.iter().any(|name| name == "tests" || name == "testing") {
            continue;
        }
        for path in imports(&code(&file), &own) {
            let shared = own.iter().zip(&path).take_while(|(left, right)| left == right).count();
            let (Some(from), Some(to)) = (own.get(shared), path.get(shared)) else { continue };
            let mut at = source.join(own[..shared].iter().collect::<std::path::PathBuf>()).join(to);
            if shared > 0 && (at.is_dir() || at.set_extension("rs") && at.is_file()) {
                let edges = directories.entry(own[..shared].to_vec()).or_default();
                edges.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    assert!(directories.len() > 10, "{:?}", directories.keys());
    let mut cycles = BTreeSet::new();
    for (directory, edges) in &directories {
        for file in edges.keys() {
            let around = |other: &String| reached(edges, other).contains(file);
            let cycle: Vec<String> = reached(edges, file).into_iter().filter(around).collect();
            if !cycle.is_empty() {
                cycles.insert((directory.join("/"), cycle));
            }
        }
    }
    let is_within = |(directory, cycle): &(String, Vec<String>), (known, files): &(&str, &[&str])| {
        directory == known && cycle.iter().all(|file| files.contains(&file.as_str()))
    };
    let unknown: Vec<_> =
        cycles.iter().filter(|cycle| !RECURSIVE.iter().any(|known| is_within(cycle, known))).collect();
    assert!(
        unknown.is_empty(),
        "files import each other in a cycle; move what they share to a file of its own: {unknown:?}"
    );
    let gone: Vec<_> = RECURSIVE.iter().filter(|known| !cycles.iter().any(|cycle| is_within(cycle, known))).collect();
    assert!(gone.is_empty(), "RECURSIVE lists files that no longer import each other; remove them: {gone:?}");
}
