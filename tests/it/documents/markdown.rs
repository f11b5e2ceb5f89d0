//! Reads the documents of the repository, as far as the tests need Markdown.

use std::fs;
use std::path::Path;

use crate::support::files_below;

/// A document and its parts.
pub(super) struct Document {
    /// The path in the repository, such as `docs/keys.md`.
    pub(super) path: String,
    pub(super) blocks: Vec<Block>,
    /// The text outside of fenced blocks. Each line of a block is an empty line here, so that line numbers stay.
    pub(super) prose: String,
}

/// A fenced block without the indentation of its fence.
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) text: String,
}

impl Block {
    /// Returns the first line.
    pub(super) fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// Reads all documents that readers of the repository open.
pub(super) fn documents() -> Vec<Document> {
    let root = repository();
    let mut paths = Vec::new();
    for name in ["README.md", "CHANGELOG.md"] {
        paths.push(root.join(name));
    }
    for folder in ["docs", "keys", "templates", "deploy"] {
        paths.extend(files_below(&root.join(folder), "md"));
    }
    paths.sort();
    let documents: Vec<_> = paths.iter().map(|path| read(path)).collect();
    assert!(documents.len() > 12, "{} documents", documents.len());
    documents
}

pub(super) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Document {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
    let mut document = Document { path, blocks: Vec::new(), prose: String::new() };
    let mut open: Option<(usize, Block)> = None;
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let block = Block { line: index + 1, language: language.to_owned(), text: String::new() };
                open = Some((indent, block));
            }
            (Some(_), Some("")) => document.blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), _) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => document.prose.push_str(line),
        }
        document.prose.push('\n');
    }
    assert!(open.is_none(), "{}: a block has no end", document.path);
    document
}

impl Document {
    /// Returns each text in backticks with its line.
    pub(super) fn code_spans(&self) -> Vec<(usize, &str)> {
        let mut spans = Vec::new();
        for (index, line) in self.prose.lines().enumerate() {
            let mut rest = line;
            while let Some(begin) = rest.find('`') {
                let ticks = rest[begin..].len() - rest[begin..].trim_start_matches('`').len();
                let inside = &rest[begin + ticks..];
                let Some(end) = inside.find(&"`".repeat(ticks)) else { break };
                spans.push((index + 1, inside[..end].trim()));
                rest = &inside[end + ticks..];
            }
        }
        spans
    }

    /// Returns the target of each link with its line.
    pub(super) fn links(&self) -> Vec<(usize, &str)> {
        let mut links = Vec::new();
        for (index, line) in self.prose.lines().enumerate() {
            for rest in line.split("](").skip(1) {
                links.push((index + 1, rest.split(')').next().unwrap()));
            }
        }
        links
    }

    /// Returns the anchors of the headings, as GitHub creates them.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut plain: Vec<String> = Vec::new();
        let mut anchors = Vec::new();
        let headings = self.prose.lines().filter(|line| line.starts_with('#'));
        for heading in headings.map(|line| line.trim_start_matches('#').trim()) {
            let keeps = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            let anchor: String = heading.to_lowercase().chars().filter(|c| keeps(*c)).collect();
            let anchor = anchor.replace(' ', "-");
            let count = plain.iter().filter(|known| **known == anchor).count();
            anchors.push(if count == 0 { anchor.clone() } else { format!("{anchor}-{count}") });
            plain.push(anchor);
        }
        anchors
    }
}

/// Splits a line of shell into words. Understands what documents use: quotes, and a comment at the end.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quote) = (None::<String>, None::<char>);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Splits a script into its simple commands, and each command into its words.
pub(super) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        let mut command = Vec::new();
        for word in words(line) {
            if matches!(word.as_str(), "&&" | "||" | "|" | ";" | ">" | "<" | "2>") {
                commands.push(std::mem::take(&mut command));
            } else {
                command.push(word);
            }
        }
        commands.push(command);
    }
    commands.retain(|command| !command.is_empty());
    commands
}
