//! Finds the tags of a template in its text.
//!
//! The parsed tree of the handlebars crate tells what is said, but not exactly where: it trims literal text, gives no
//! place for `else`, arguments and closing tags, and reads numbers as float64. This scan gives the byte span of every
//! tag in the order of the text; the compiler walks the tree and these spans side by side.

use super::hints;
use crate::code::ErrorCode;

/// How deep blocks may stand inside each other in one file.
const BLOCK_DEPTH: usize = 48;
/// How deep parentheses and brackets may stand inside each other in one tag.
const NESTING: usize = 24;
/// How many `{{else if …}}` one block may have.
const CHAIN: usize = 64;

/// One `{{…}}`.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What stands between the braces without sigil and tildes.
    pub(super) inner: (usize, usize),
    pub(super) kind: TagKind,
    pub(super) trims_before: bool,
    pub(super) trims_after: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagKind {
    BlockClose,
    BlockOpen,
    Comment,
    Decorator,
    /// `{{else}}`, or `{{else if …}}` where something follows.
    Else,
    Expression,
    Partial,
    /// `{{{…}}}` or `{{&…}}`.
    Unescaped,
}

/// A fault at a byte offset.
pub(super) struct ScanFault {
    pub(super) code: ErrorCode,
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// What a scan found.
pub(super) struct Scan {
    pub(super) tags: Vec<Tag>,
    /// The text with what was reported already replaced byte by byte, so that the parser can go on.
    pub(super) text: String,
    pub(super) faults: Vec<ScanFault>,
    /// Whether the parser can make sense of the text.
    pub(super) is_parsable: bool,
}

/// Scans `text`.
pub(super) fn scan(text: &str) -> Scan {
    let mut found = Scan { tags: Vec::new(), text: text.to_owned(), faults: Vec::new(), is_parsable: true };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(ahead) = text.get(at..).and_then(|rest| rest.find(['{', '\\'])) {
        at += ahead;
        if bytes[at] == b'\\' {
            let slashes = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
            if slashes == 1 && text.get(at + 1..).unwrap_or_default().starts_with("{{") {
                at += if text.get(at + 3..).unwrap_or_default().starts_with("{{") { 5 } else { 3 };
            } else {
                at += slashes;
            }
            continue;
        }
        if !text.get(at..).unwrap_or_default().starts_with("{{") {
            at += 1;
            continue;
        }
        if text.get(at..).unwrap_or_default().starts_with("{{{{") {
            found.refuse(
                ErrorCode::TemplateSyntax,
                at,
                "expected an expression, found a raw block `{{{{`",
                "claims templates have no raw blocks; write \\{{ for two braces in a string",
            );
            return found;
        }
        let Some(tag) = tag_at(text, at) else {
            found.refuse(
                ErrorCode::TemplateSyntax,
                at,
                "expected `}}` after this `{{`, found none",
                "close the expression with }}; write \\{{ for two braces in a string",
            );
            return found;
        };
        at = tag.end;
        found.inspect(text, &tag);
        found.tags.push(tag);
    }
    found.check_blocks(text);
    found
}

impl Scan {
    fn refuse(&mut self, code: ErrorCode, offset: usize, message: impl Into<String>, help: impl Into<String>) {
        self.faults.push(ScanFault { code, offset, message: message.into(), help: help.into() });
        self.is_parsable = false;
    }

    fn inspect(&mut self, text: &str, tag: &Tag) {
        let inner = text.get(tag.inner.0..tag.inner.1).unwrap_or_default();
        if tag.kind == TagKind::Comment {
            return;
        }
        if tag.kind == TagKind::Unescaped {
            self.faults.push(ScanFault {
                code: ErrorCode::TemplateRefused,
                offset: tag.start,
                message: "expected `{{…}}`, found an expression that asks not to be escaped".to_owned(),
                help: format!(
                    "write {{{{{}}}}}: escaping follows the place in the JSON and cannot be turned off",
                    inner.trim()
                ),
            });
        }
        if nesting(inner) > NESTING {
            self.refuse(
                ErrorCode::TemplateLimit,
                tag.start,
                format!("expected at most {NESTING} parentheses and brackets inside each other, found more"),
                "give parts a name with {{#let name=(…)}}",
            );
        }
        let go_block = ["range", "if", "with", "define", "template", "block"]
            .into_iter()
            .find(|word| inner.trim_start().strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')));
        if tag.kind == TagKind::Expression
            && let Some(word) = go_block
        {
            self.refuse(
                ErrorCode::TemplateSyntax,
                tag.inner.0,
                format!("expected a Handlebars expression, found `{word}` as in a Go template"),
                match word {
                    "range" => "write {{#each Extra.roles}}…{{/each}}",
                    "template" | "block" | "define" => {
                        "put the text into templates/_partials/name.hbs and write {{> name}}"
                    }
                    _ => "write {{#if Extra.x}}…{{/if}} or {{#with Extra.x}}…{{/with}}",
                },
            );
            return;
        }
        self.inspect_words(text, tag);
    }

    /// Go's leading dots and pipes, outside quotes and brackets.
    fn inspect_words(&mut self, text: &str, tag: &Tag) {
        let bytes = text.as_bytes();
        let (start, end) = tag.inner;
        let mut at = start;
        let mut block_parameters = false;
        while at < end {
            if matches!(bytes[at], b'$' | b'[' | b'?' | 0xE2)
                && let Some((message, help)) = hints::in_tag(text, start, at)
            {
                self.refuse(ErrorCode::TemplateSyntax, at, message, help);
                return;
            }
            match bytes[at] {
                quote @ (b'"' | b'\'') => at = after_quote(bytes, at, quote, end),
                b'[' => at = after_bracket(bytes, at, end),
                b'|' => {
                    let opens = text.get(start..at).unwrap_or_default().trim_end().ends_with("as");
                    if !opens && text.get(at..).unwrap_or_default().starts_with("||") {
                        self.refuse(
                            ErrorCode::TemplateSyntax,
                            at,
                            "expected an argument, found an operator",
                            "write the helper `or` before its arguments: (or …)",
                        );
                        return;
                    }
                    if !opens && !block_parameters {
                        self.refuse(
                            ErrorCode::TemplateSyntax,
                            at,
                            "expected an argument, found `|` as in a Go template",
                            "write the helper first: {{upper Extra.name}} for {{ .Extra.name | upper }}",
                        );
                        return;
                    }
                    block_parameters = opens;
                    at += 1;
                }
                b'=' | b'!' | b'<' | b'>' | b'&' => {
                    let pair = text.get(at..end.min(at + 2)).unwrap_or_default();
                    let helper = match (bytes[at], pair) {
                        (_, "==") => "eq",
                        (_, "!=") => "ne",
                        (_, "&&") => "and",
                        (_, "<=") => "le",
                        (_, ">=") => "ge",
                        (b'<', _) => "lt",
                        (b'>', _) => "gt",
                        (b'!', _) => "not",
                        _ => {
                            at += 1;
                            continue;
                        }
                    };
                    self.refuse(
                        ErrorCode::TemplateSyntax,
                        at,
                        "expected an argument, found an operator",
                        format!("write the helper `{helper}` before its arguments: ({helper} …)"),
                    );
                    return;
                }
                b'.' => {
                    let starts_word =
                        at == start || matches!(bytes[at - 1], b' ' | b'\t' | b'\n' | b'\r' | b'(' | b'=' | b'{');
                    let next = bytes.get(at + 1).copied().unwrap_or(b' ');
                    if starts_word && (next.is_ascii_alphabetic() || next == b'_') {
                        let word: String = text
                            .get(at + 1..end)
                            .unwrap_or_default()
                            .chars()
                            .take_while(|c| c.is_alphanumeric() || "._-".contains(*c))
                            .collect();
                        self.faults.push(ScanFault {
                            code: ErrorCode::TemplateSyntax,
                            offset: at,
                            message: "expected a path without a leading dot, found one as in a Go template".to_owned(),
                            help: format!("drop the dot: {{{{{word}}}}}"),
                        });
                        self.text.replace_range(at..=at, " ");
                    } else if starts_word && !matches!(next, b'.' | b'/') {
                        self.faults.push(ScanFault {
                            code: ErrorCode::TemplateSyntax,
                            offset: at,
                            message: "expected a name, found a lone dot as in a Go template".to_owned(),
                            help: "write {{this}} inside {{#each}} or {{#with}}, or the name: {{Extra}}".to_owned(),
                        });
                        self.is_parsable = false;
                    }
                    at += 1;
                    while at < end && bytes[at] == b'.' {
                        at += 1;
                    }
                }
                _ => at += 1,
            }
        }
    }

    fn check_blocks(&mut self, text: &str) {
        let mut open: Vec<OpenBlock<'_>> = Vec::new();
        let line = |offset: usize| text.get(..offset).unwrap_or_default().matches('\n').count() + 1;
        let mut faults: Vec<(usize, String, String)> = Vec::new();
        for tag in &self.tags {
            let name = block_name(text.get(tag.inner.0..tag.inner.1).unwrap_or_default());
            match tag.kind {
                TagKind::BlockOpen => {
                    open.push(OpenBlock { start: tag.start, name, is_final: false, branches: 0 });
                    if open.len() > BLOCK_DEPTH {
                        faults.push((
                            tag.start,
                            format!("expected at most {BLOCK_DEPTH} blocks inside each other, found more"),
                            "move the inner part into a partial".to_owned(),
                        ));
                        break;
                    }
                }
                TagKind::BlockClose => match open.pop() {
                    None => faults.push((
                        tag.start,
                        format!("expected an open block, found {{{{/{name}}}}} without one"),
                        format!("open it with {{{{#{name} …}}}} or remove it"),
                    )),
                    Some(OpenBlock { start, name: opened, .. }) if opened != name => {
                        faults.push((
                            tag.start,
                            format!(
                                "expected {{{{/{opened}}}}} for the block opened on line {}, found {{{{/{name}}}}}",
                                line(start)
                            ),
                            format!("write {{{{/{opened}}}}} here"),
                        ));
                    }
                    Some(_) => {}
                },
                TagKind::Else => match open.last_mut() {
                    None => faults.push((
                        tag.start,
                        "expected {{else}} inside a block, found it outside".to_owned(),
                        "put it between {{#if …}} and {{/if}}".to_owned(),
                    )),
                    Some(block) => {
                        block.branches += 1;
                        if block.branches == CHAIN {
                            faults.push((
                                tag.start,
                                format!("expected fewer than {CHAIN} branches of one block, found more"),
                                "look the value up in an object: {{index {\"a\": 1} Extra.x}}".to_owned(),
                            ));
                        }
                        if block.is_final {
                            faults.push((
                                tag.start,
                                format!("expected {{{{/{}}}}}, found another else after the last", block.name),
                                "only {{else if …}} may come more than once, before {{else}}".to_owned(),
                            ));
                        }
                        block.is_final = text.get(tag.inner.0..tag.inner.1).unwrap_or_default().trim().is_empty();
                    }
                },
                _ => {}
            }
        }
        for OpenBlock { start, name, .. } in &open {
            faults.push((
                *start,
                format!("expected {{{{/{name}}}}} for this block, found the end of the file"),
                format!("close it with {{{{/{name}}}}}"),
            ));
        }
        for (offset, message, help) in faults {
            self.refuse(ErrorCode::TemplateSyntax, offset, message, help);
        }
    }
}

struct OpenBlock<'t> {
    start: usize,
    name: &'t str,
    /// Whether its `{{else}}` has come.
    is_final: bool,
    branches: usize,
}

fn block_name(inner: &str) -> &str {
    inner.trim().split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default()
}

fn tag_at(text: &str, start: usize) -> Option<Tag> {
    let bytes = text.as_bytes();
    let mut at = start + 2;
    if bytes.get(at) == Some(&b'!') {
        let body = text.get(at + 1..)?;
        let dashed = body.trim_start().starts_with("--");
        let dashed_end = dashed
            .then(|| {
                body.trim_start()[2..].find("--}}").map(|found| body.len() - body.trim_start().len() + 2 + found + 4)
            })
            .flatten();
        let end = match dashed_end {
            Some(end) => end,
            None => body.find("}}")? + 2,
        };
        let end = at + 1 + end;
        return Some(Tag {
            start,
            end,
            inner: (at + 1, end - 2),
            kind: TagKind::Comment,
            trims_before: false,
            trims_after: false,
        });
    }
    let trims_before = bytes.get(at) == Some(&b'~');
    at += usize::from(trims_before);
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    let content = at;
    let mut depth = 0_usize;
    let close = loop {
        match *bytes.get(at)? {
            quote @ (b'"' | b'\'') => at = after_quote(bytes, at, quote, bytes.len()),
            b'[' => at = after_bracket(bytes, at, bytes.len()),
            b'{' => {
                depth += 1;
                at += 1;
            }
            b'}' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b'}' if bytes.get(at + 1) == Some(&b'}') => break at,
            _ => at += 1,
        }
    };
    let mut inner_end = close;
    let trims_after = close > content && bytes[close - 1] == b'~';
    inner_end -= usize::from(trims_after);
    let mut inner_start = content;
    let kind = match bytes.get(content) {
        Some(b'{') => {
            let body = text.get(content + 1..inner_end).unwrap_or_default().trim_end();
            inner_end = content + 1 + body.strip_suffix('}').unwrap_or(body).len();
            inner_start += 1;
            TagKind::Unescaped
        }
        Some(b'&') => {
            inner_start += 1;
            TagKind::Unescaped
        }
        Some(b'#') => {
            inner_start += 1;
            while bytes.get(inner_start).is_some_and(u8::is_ascii_whitespace) {
                inner_start += 1;
            }
            match bytes.get(inner_start) {
                Some(b'>' | b'*') => {
                    inner_start += 1;
                    TagKind::BlockOpen
                }
                _ => TagKind::BlockOpen,
            }
        }
        Some(b'/') => {
            inner_start += 1;
            TagKind::BlockClose
        }
        Some(b'>') => {
            inner_start += 1;
            TagKind::Partial
        }
        Some(b'*') => TagKind::Decorator,
        Some(b'^') => {
            inner_start += 1;
            TagKind::Else
        }
        _ => {
            let word = text.get(content..inner_end).unwrap_or_default().strip_prefix("else");
            match word {
                Some(rest) if !rest.starts_with(|c: char| c.is_alphanumeric() || "-_$:./=".contains(c)) => {
                    inner_start += 4;
                    TagKind::Else
                }
                _ => TagKind::Expression,
            }
        }
    };
    let inner_end = inner_end.max(inner_start.min(close));
    Some(Tag { start, end: close + 2, inner: (inner_start.min(inner_end), inner_end), kind, trims_before, trims_after })
}

/// The offset after the string that starts at `at`; `end` where it does not end.
pub(super) fn after_quote(bytes: &[u8], at: usize, quote: u8, end: usize) -> usize {
    let mut next = at + 1;
    while next < end {
        match bytes[next] {
            b'\\' => next += 2,
            byte if byte == quote => return next + 1,
            _ => next += 1,
        }
    }
    end
}

/// The offset after a path segment in brackets or an array.
fn after_bracket(bytes: &[u8], at: usize, end: usize) -> usize {
    let mut next = at + 1;
    let inner = &bytes[next..end];
    let is_array = match inner.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'"' | b'[' | b'{') => true,
        // A name may begin like a literal, but hardly holds a comma.
        Some(b'-' | b'0'..=b'9' | b'f' | b'n' | b't') => {
            inner.iter().take_while(|byte| **byte != b']').any(|byte| *byte == b',')
        }
        _ => false,
    };
    let mut depth = 1;
    while next < end {
        match bytes[next] {
            quote @ b'"' if is_array => {
                next = after_quote(bytes, next, quote, end);
                continue;
            }
            b'[' if is_array => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return next + 1;
                }
            }
            _ => {}
        }
        next += 1;
    }
    end
}

/// How deep brackets stand inside each other, outside quotes.
fn nesting(inner: &str) -> usize {
    let bytes = inner.as_bytes();
    let mut depth = 0_usize;
    let mut deepest = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = after_quote(bytes, at, *byte, bytes.len());
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}
