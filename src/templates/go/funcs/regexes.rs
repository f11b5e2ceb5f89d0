//! Regular expressions: Go's syntax on an engine that is as linear as Go's.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::lists::STEPS_PER_PART;
use super::regex_syntax::{Translated, translate};
use super::search::{self, NotCompiled, Searcher};
use super::{Called, Function, Type, function, int, text};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::text::{Origin, Text, char_length, characters};
use crate::templates::go::value::{Element, Value};

const TWO: &[Type] = &[Type::String, Type::String];
const THREE: &[Type] = &[Type::String, Type::String, Type::String];
const COUNTED: &[Type] = &[Type::String, Type::String, Type::Int];
/// Steps to parse a byte of an expression.
const STEPS_TO_PARSE: u64 = 40;
/// Steps to compile a state of its automata.
const STEPS_PER_STATE: u64 = 4;
/// How many compiled expressions a rendering keeps.
const KEPT: usize = 16;
/// The longest expression that a session can write. Searches with larger ones are slow.
const LONGEST_OF_SESSION: usize = 200;

pub(super) static FUNCTIONS: &[Function] = &[
    // sprig ignores the error of this one.
    function("regexMatch", TWO, |context, values| match matches(context, values) {
        Err(problem) if problem.code != crate::code::ErrorCode::TemplateLimit => Ok(Value::Bool(false)),
        other => other,
    }),
    function("mustRegexMatch", TWO, matches),
    function("regexFind", TWO, find),
    function("mustRegexFind", TWO, find),
    function("regexFindAll", COUNTED, find_all),
    function("mustRegexFindAll", COUNTED, find_all),
    function("regexReplaceAll", THREE, replace_all),
    function("mustRegexReplaceAll", THREE, replace_all),
    function("regexReplaceAllLiteral", THREE, replace_all_literal),
    function("mustRegexReplaceAllLiteral", THREE, replace_all_literal),
    function("regexSplit", COUNTED, split),
    function("mustRegexSplit", COUNTED, split),
    function("regexQuoteMeta", &[Type::String], |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        let mut out = Text::default();
        for (piece, origin) in text.pieces() {
            for byte in piece {
                if b"\\.+*?()|[]{}^$".contains(byte) {
                    let origin = if origin == Origin::Template { origin } else { Origin::Data };
                    out.push(b"\\", origin);
                }
                out.push(&[*byte], origin);
            }
        }
        Ok(Value::text(out))
    }),
];

/// A compiled expression.
pub(in crate::templates::go) struct Expression {
    searcher: Searcher,
    /// A name can have several groups.
    names: BTreeMap<String, Vec<usize>>,
}

impl Expression {
    /// The first match from `from` on. No match begins inside of a character, as in Go.
    fn find(&self, context: &mut Context<'_>, subject: &Subject, from: usize) -> Result<Option<Range<usize>>, Problem> {
        let mut from = subject.searched_at(from);
        while let Some(found) = self.searcher.find(context, &subject.searched, from)? {
            match boundary(&subject.searched, &found) {
                None => return Ok(Some(subject.given_at(found))),
                Some(next) => from = next,
            }
        }
        Ok(None)
    }

    /// The groups of the match at `found`.
    fn groups(
        &self,
        context: &mut Context<'_>,
        subject: &Subject,
        found: &Range<usize>,
    ) -> Result<Vec<Option<Range<usize>>>, Problem> {
        let searched = subject.searched_at(found.start)..subject.searched_at(found.end);
        let groups = self.searcher.groups(context, &subject.searched, searched)?;
        Ok(groups.into_iter().map(|group| group.map(|group| subject.given_at(group))).collect())
    }
}

/// A text that is searched.
struct Subject {
    text: Rc<Text>,
    /// The text with U+FFFD for each byte that is not UTF-8, because Go takes such a byte for that character.
    searched: Vec<u8>,
    /// Where these bytes are in the text and in `searched`, which has two bytes more for each.
    replaced: Vec<(usize, usize)>,
}

impl Subject {
    fn new(values: &[Value]) -> Self {
        let text = text(values, 1);
        let mut searched = Vec::with_capacity(text.len());
        let mut replaced = Vec::new();
        for chunk in text.bytes().utf8_chunks() {
            searched.extend_from_slice(chunk.valid().as_bytes());
            for _ in chunk.invalid() {
                replaced.push((searched.len() - 2 * replaced.len(), searched.len()));
                searched.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        Self { text, searched, replaced }
    }

    fn bytes(&self) -> &[u8] {
        self.text.bytes()
    }

    fn slice(&self, range: Range<usize>) -> Text {
        self.text.slice(range)
    }

    fn searched_at(&self, given: usize) -> usize {
        given + 2 * self.replaced.partition_point(|(at, _)| *at < given)
    }

    fn given_at(&self, searched: Range<usize>) -> Range<usize> {
        let given = |at: usize| at - 2 * self.replaced.partition_point(|(_, replaced)| *replaced < at);
        given(searched.start)..given(searched.end)
    }
}

/// Where to look on after an empty match inside of a character.
fn boundary(subject: &[u8], found: &Range<usize>) -> Option<usize> {
    let is_inside = |at: usize| subject.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    if !found.is_empty() || !is_inside(found.start) {
        return None;
    }
    let mut next = found.start + 1;
    while is_inside(next) {
        next += 1;
    }
    Some(next)
}

fn compiled(context: &mut Context<'_>, values: &[Value]) -> Result<Rc<Expression>, Problem> {
    let pattern = text(values, 0);
    let subject = text(values, 1);
    context.charge_reads(subject.len(), 4)?;
    if let Some(known) = context.regexes.get(pattern.bytes()) {
        return Ok(Rc::clone(known));
    }
    // Classes of Unicode have hundreds of ranges.
    context.steps(200 + pattern.len() as u64 * STEPS_TO_PARSE)?;
    let is_of_session = pattern.origin() != Origin::Template;
    if is_of_session && (pattern.len() > LONGEST_OF_SESSION || has_count(pattern.bytes())) {
        return Err(Problem::limit(format!(
            "expected a regular expression of the session of at most {LONGEST_OF_SESSION} bytes and without counts such as \
             {{9}}, found a longer one or a count; write the expression in the template"
        )));
    }
    let refused = || Problem::wrong_type("expected a regular expression of RE2, found something else");
    let utf8 = std::str::from_utf8(pattern.bytes()).map_err(|_| refused())?;
    let Translated { pattern: translated, names } = translate(utf8).ok_or_else(refused)?;
    let searcher = Searcher::new(translated).map_err(|error| match error {
        NotCompiled::Syntax => refused(),
        // `regexMatch` turns other errors into false, as sprig does for what Go rejects. Go accepts this expression.
        NotCompiled::TooLarge => search::too_large(),
    })?;
    context.steps(searcher.states().saturating_mul(STEPS_PER_STATE))?;
    let expression = Rc::new(Expression { searcher, names });
    if context.regexes.len() >= KEPT {
        context.regexes.clear();
    }
    context.regexes.insert(pattern.bytes().to_vec(), Rc::clone(&expression));
    Ok(expression)
}

/// Returns `true` if an expression has a repetition such as `{9}`, which makes it larger than its text.
fn has_count(pattern: &[u8]) -> bool {
    pattern.windows(2).any(|pair| pair[0] == b'{' && pair[1].is_ascii_digit())
}

fn matches(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    regex.searcher.is_match(context, &Subject::new(values).searched).map(Value::Bool)
}

fn find(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let subject = Subject::new(values);
    let found = regex.find(context, &subject, 0)?.map_or_else(Text::default, |found| subject.slice(found));
    Ok(Value::text(found))
}

fn limit(values: &[Value], index: usize) -> usize {
    usize::try_from(int(values, index)).unwrap_or(usize::MAX)
}

fn find_all(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let subject = Subject::new(values);
    let found: Vec<_> =
        ranges(context, &regex, &subject, limit(values, 2))?.into_iter().map(|range| subject.slice(range)).collect();
    Ok(if found.is_empty() { Value::nil_list(Element::String) } else { Value::strings(found) })
}

/// All matches, at most `limit`; an empty one directly after a match does not count, as in Go.
fn ranges(
    context: &mut Context<'_>,
    regex: &Expression,
    subject: &Subject,
    limit: usize,
) -> Result<Vec<Range<usize>>, Problem> {
    let bytes = subject.bytes();
    let (mut found, mut from, mut previous_end) = (Vec::new(), 0, None);
    while found.len() < limit && from <= bytes.len() {
        context.step()?;
        let Some(range) = regex.find(context, subject, from)? else {
            break;
        };
        let counts = !(range.end == from && previous_end == Some(range.start));
        from = if range.end == from { from + char_length(&bytes[from..]).max(1) } else { range.end };
        previous_end = Some(range.end);
        if counts {
            context.steps(STEPS_PER_PART)?;
            found.push(range);
        }
    }
    Ok(found)
}

fn replace_all(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let (subject, replacement) = (Subject::new(values), text(values, 2));
    // A session must not choose where text of the author stands.
    let replacement = if text(values, 0).is_of_session() { Rc::new(replacement.as_data()) } else { replacement };
    let has_groups = replacement.bytes().contains(&b'$');
    replaced(context, &subject, &regex, |context, found, out| {
        context.charge_bytes(replacement.len())?;
        if has_groups {
            let groups = regex.groups(context, &subject, found)?;
            expand(context, &regex, &groups, &subject, &replacement, out)?;
        } else {
            out.push_text(&replacement);
        }
        Ok(())
    })
}

fn replace_all_literal(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let replacement = text(values, 2);
    let replacement = if text(values, 0).is_of_session() { Rc::new(replacement.as_data()) } else { replacement };
    replaced(context, &Subject::new(values), &regex, |context, _, out| {
        context.charge_bytes(replacement.len())?;
        out.push_text(&replacement);
        Ok(())
    })
}

/// `subject` with what `write` makes of each match, except of an empty one directly after another.
fn replaced(
    context: &mut Context<'_>,
    subject: &Subject,
    regex: &Expression,
    write: impl Fn(&mut Context<'_>, &Range<usize>, &mut Text) -> Result<(), Problem>,
) -> Called {
    let bytes = subject.bytes();
    let mut out = Text::default();
    let (mut copied, mut from) = (0, 0);
    while from <= bytes.len() {
        context.step()?;
        let Some(found) = regex.find(context, subject, from)? else {
            break;
        };
        out.push_text(&subject.slice(copied..found.start));
        if found.end > copied || found.start == 0 {
            write(context, &found, &mut out)?;
        }
        copied = found.end;
        let width = char_length(&bytes[from..]).max(1);
        from = if from + width > found.end { from + width } else { found.end };
    }
    out.push_text(&subject.slice(copied.min(bytes.len())..bytes.len()));
    context.charge_bytes(out.len())?;
    Ok(Value::text(out))
}

/// Writes `replacement` with `$1`, `${1}` and `${name}` filled in. Pays for each group before it is written, because a
/// replacement of the session can name a long group many times.
fn expand(
    context: &mut Context<'_>,
    regex: &Expression,
    captures: &[Option<Range<usize>>],
    subject: &Subject,
    replacement: &Text,
    out: &mut Text,
) -> Result<(), Problem> {
    let bytes = replacement.bytes();
    let mut at = 0;
    while at < bytes.len() {
        let literal = bytes[at..].iter().position(|byte| *byte == b'$').unwrap_or(bytes.len() - at);
        out.push_text(&replacement.slice(at..at + literal));
        at += literal;
        if at >= bytes.len() {
            break;
        }
        if bytes.get(at + 1) == Some(&b'$') {
            out.push_text(&replacement.slice(at..at + 1));
            at += 2;
            continue;
        }
        let Some((name, length)) = group_name(&bytes[at + 1..]) else {
            out.push_text(&replacement.slice(at..at + 1));
            at += 1;
            continue;
        };
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
        let matched = |index: usize| captures.get(index).cloned().flatten();
        let group = match regex.names.get(name) {
            _ if is_number => name.parse().ok().and_then(matched),
            // The first group of that name that matched.
            Some(indices) => indices.iter().find_map(|index| matched(*index)),
            None => None,
        };
        if let Some(group) = group {
            context.charge_bytes(group.len())?;
            let group = subject.slice(group);
            match replacement.origin_at(at) {
                Origin::Template => out.push_text(&group),
                // A session must not repeat what the author wrote.
                _ => out.push(group.bytes(), Origin::Data),
            }
        }
        at += 1 + length;
    }
    Ok(())
}

/// The name or number of a group at the start of `bytes`, after a dollar sign, and how many bytes it takes.
fn group_name(bytes: &[u8]) -> Option<(&str, usize)> {
    let start = usize::from(bytes.first() == Some(&b'{'));
    let length = characters(bytes.get(start..)?)
        .take_while(|(_, character, _)| character.is_some_and(|c| c.is_alphanumeric() || c == '_'))
        .map(|(_, _, length)| length)
        .sum::<usize>();
    let name = std::str::from_utf8(bytes.get(start..start + length)?).ok().filter(|name| !name.is_empty())?;
    match start {
        0 => Some((name, length)),
        _ => (bytes.get(start + length) == Some(&b'}')).then_some((name, length + 2)),
    }
}

fn split(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let subject = Subject::new(values);
    let limit = match int(values, 2) {
        0 => return Ok(Value::nil_list(Element::String)),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if !text(values, 0).is_empty() && subject.text.is_empty() {
        return Ok(Value::strings(vec![Text::default()]));
    }
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for range in ranges(context, &regex, &subject, limit)? {
        if parts.len() + 1 >= limit {
            break;
        }
        end = range.start;
        if range.end != 0 {
            parts.push(subject.slice(start..end));
        }
        start = range.end;
    }
    if end != subject.text.len() {
        parts.push(subject.slice(start..subject.text.len()));
    }
    Ok(Value::strings(parts))
}
