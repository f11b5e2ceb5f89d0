//! Sections of the documents that are made of what the code says: the text between `<!-- NAME: … -->` and `<!-- end -->`.

use std::fs;
use std::path::Path;

/// Holds the section `name` of the document at `path` against what it has to be; with `UPDATE_DOCS` set, writes it.
#[track_caller]
pub(crate) fn hold(path: &str, name: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(&file).unwrap();
    let begin = text.find(&format!("<!-- {name}: ")).unwrap_or_else(|| panic!("{path} has no section `{name}`"));
    let begin = begin + text[begin..].find("-->\n").unwrap() + 4;
    let end = begin + text[begin..].find("<!-- end -->").unwrap_or_else(|| panic!("`{name}` in {path} does not end"));
    let (found, expected) = (&text[begin..end], format!("\n{}\n\n", expected.trim_end()));
    if found == expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(&file, format!("{}{expected}{}", &text[..begin], &text[end..])).unwrap();
    }
    let is_in = |line: &&str, other: &str| other.lines().any(|known| known == *line);
    let gone = found.lines().filter(|line| !is_in(line, &expected)).map(|line| format!("- {line}\n"));
    let new = expected.lines().filter(|line| !is_in(line, found)).map(|line| format!("+ {line}\n"));
    let difference: String = gone.chain(new).collect();
    panic!("{path}: `{name}` is not what the code says; UPDATE_DOCS=1 cargo test generated\n{difference}");
}
