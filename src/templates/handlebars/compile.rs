//! Walks the parsed tree and the tags of the text side by side and makes the program.

use std::collections::HashMap;
use std::rc::Rc;

use handlebars::template::TemplateElement;
use handlebars::{Template, TemplateError, TemplateErrorReason};

use super::expressions::Cursor;
use super::lexer::Literal;
use super::position::{Position, Sink};
use super::program::{Base, Expr, Op, Site};
use super::reads;
use super::scan::{Tag, TagKind, scan};
use super::{HandlebarsOptions, HandlebarsTemplate, Source};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::templates::{CompileError, Place, TemplateFault};

/// The largest template or partial.
const SOURCE_BYTES: usize = 256 * 1024;
/// The most expressions and texts of a template with all its partials put in.
const STEPS: usize = 100_000;
/// The most faults that are shown.
const FAULTS: usize = 100;
/// How deep blocks and partials may stand inside each other with all partials put in.
pub(super) const DEPTH: usize = 96;

/// Why the walk over one source ends early.
#[derive(Debug)]
pub(super) enum Halt {
    /// Tree and text do not agree at this offset.
    Misaligned(usize),
    /// The fault is told already.
    Reported,
}

pub(super) struct Compiler<'c> {
    pub(super) partials: HashMap<&'c str, Source<'c>>,
    pub(super) audience_configured: bool,
    pub(super) sources: Vec<(String, String)>,
    pub(super) parsed: HashMap<String, Option<Rc<Parsed>>>,
    pub(super) faults: Vec<TemplateFault>,
    /// The source and the byte up to which errors of the JSON position follow from another one.
    covered: Option<(u32, usize)>,
    /// Faults that do not prevent the use of the template.
    pub(super) warnings: Vec<TemplateFault>,
    pub(super) contexts: Vec<Context>,
    pub(super) locals: Vec<String>,
    /// Names below this belong to the callers of the partial that is being compiled.
    pub(super) barrier: usize,
    pub(super) position: Position,
    /// The partials that are being compiled, outermost first.
    pub(super) using: Vec<String>,
    pub(super) steps: usize,
    pub(super) depth: usize,
}

/// A source, parsed.
pub(super) struct Parsed {
    pub(super) source: u32,
    pub(super) text: String,
    pub(super) tags: Vec<Tag>,
    /// What stands at the top, in order.
    pub(super) units: Vec<Unit>,
    pub(super) is_partial: bool,
}

/// One tag, or one block with all that is in it. They are parsed one by one: so every unreadable one is reported, and
/// the parser, which counts lines from the start for every tag, stays fast.
pub(super) struct Unit {
    /// `None` where it was reported.
    tree: Option<Template>,
    /// The tag after it.
    next: usize,
}

/// What a path without a prefix is looked up in.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) is_session: bool,
    pub(super) is_loop: bool,
}

/// How far the walk over a source has come.
pub(super) struct Walk<'p> {
    pub(super) parsed: &'p Parsed,
    pub(super) next: usize,
    pub(super) at: usize,
    pub(super) trims: bool,
}

/// Compiles a template; see [`HandlebarsTemplate::compile`].
pub(super) fn compile(
    template: Source<'_>,
    partials: &[(&str, Source<'_>)],
    options: &HandlebarsOptions,
) -> Result<HandlebarsTemplate, CompileError> {
    let mut compiler = Compiler {
        partials: partials.iter().copied().collect(),
        audience_configured: options.audience_configured,
        sources: Vec::new(),
        parsed: HashMap::new(),
        faults: Vec::new(),
        covered: None,
        warnings: Vec::new(),
        contexts: vec![Context { is_session: true, is_loop: false }],
        locals: Vec::new(),
        barrier: 0,
        position: Position::start(),
        using: Vec::new(),
        steps: 0,
        depth: 0,
    };
    let mut program = Vec::new();
    if let Some(parsed) = compiler.parse(template, false) {
        let is_whole = compiler.source(&parsed, &mut program);
        if is_whole {
            let end = parsed.text.trim_end().len();
            let position = compiler.position.clone();
            compiler.lex(parsed.source, &mut program, |sink| position.finish(end, sink));
        }
    }
    let mut faults = compiler.faults;
    let mut seen: Vec<(Place, String)> = Vec::new();
    faults.retain(|fault| {
        let key = (fault.place.clone(), fault.message.clone());
        let is_new = !seen.contains(&key);
        if is_new {
            seen.push(key);
        }
        is_new
    });
    CompileError::check(faults)?;
    let selection = reads::bind(&mut program);
    let warnings = compiler.warnings;
    Ok(HandlebarsTemplate { program, selection, missing: options.missing, sources: compiler.sources, warnings })
}

impl Compiler<'_> {
    /// Notes a fault.
    pub(super) fn fault(&mut self, code: ErrorCode, site: Site, message: impl Into<String>, help: impl Into<String>) {
        if self.faults.len() >= FAULTS {
            return;
        }
        let Some((name, text)) = self.sources.get(site.source as usize) else { return };
        self.faults.push(TemplateFault::new(code, name, text, site.offset as usize, message).help(help));
    }

    /// Notes a fault that does not prevent the use of the template.
    pub(super) fn warn(&mut self, site: Site, message: impl Into<String>, help: impl Into<String>) {
        let Some((name, text)) = self.sources.get(site.source as usize) else { return };
        let code = ErrorCode::TemplateHelper;
        let warning = TemplateFault::new(code, name, text, site.offset as usize, message).help(help);
        if self.warnings.len() < FAULTS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The place of a local name on the renderer's stack.
    pub(super) fn local(&self, name: &str) -> Option<usize> {
        let visible = self.locals.get(self.barrier..)?;
        visible.iter().rposition(|known| known == name).map(|index| self.barrier + index)
    }

    /// The context `ups` above.
    pub(super) fn context_above(&self, ups: usize) -> Option<Base> {
        let index = self.contexts.len().checked_sub(1 + ups)?;
        let context = self.contexts.get(index)?;
        Some(if context.is_session { Base::Root } else { Base::Context(index) })
    }

    /// The loop `ups` above.
    pub(super) fn loop_above(&self, ups: usize) -> Option<usize> {
        let loops = self.contexts.iter().enumerate().filter(|(_, context)| context.is_loop).map(|(index, _)| index);
        loops.rev().nth(ups)
    }

    pub(super) fn line(&self, site: Site) -> String {
        let Some((name, text)) = self.sources.get(site.source as usize) else { return String::new() };
        let place = Place::of(name, text, site.offset as usize);
        if site.source == 0 { format!("line {}", place.line) } else { format!("line {} of {name}", place.line) }
    }

    pub(super) fn parse(&mut self, source: Source<'_>, is_partial: bool) -> Option<Rc<Parsed>> {
        let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push((source.name.to_owned(), source.text.to_owned()));
        let site = |offset: usize| Site { source: number, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        if source.text.len() > SOURCE_BYTES {
            let message = format!("expected at most {SOURCE_BYTES} bytes, found a larger template");
            self.fault(ErrorCode::TemplateLimit, site(0), message, "split it, or move data out of it");
            return None;
        }
        if source.text.starts_with('\u{feff}') {
            let message = "expected the template to start with its text, found a byte order mark";
            self.fault(ErrorCode::TemplateSyntax, site(0), message, "save the file as UTF-8 without a byte order mark");
            return None;
        }
        let scanned = scan(source.text);
        for fault in scanned.faults {
            self.fault(fault.code, site(fault.offset), fault.message, fault.help);
        }
        if !scanned.is_parsable {
            return None;
        }
        let mut units = Vec::new();
        let mut next = 0;
        while let Some(tag) = scanned.tags.get(next) {
            let first = next;
            next += 1;
            if tag.kind == TagKind::Comment {
                continue;
            }
            let mut open = usize::from(tag.kind == TagKind::BlockOpen);
            let mut end = tag.end;
            while let Some(inner) = scanned.tags.get(next).filter(|_| open > 0) {
                match inner.kind {
                    TagKind::BlockOpen => open += 1,
                    TagKind::BlockClose => open -= 1,
                    _ => {}
                }
                end = inner.end;
                next += 1;
            }
            let text = scanned.text.get(tag.start..end).unwrap_or_default();
            let tree = match Template::compile(text) {
                Ok(tree) => Some(tree),
                Err(error) => {
                    let tags = scanned.tags.get(first..next).unwrap_or_default();
                    self.unreadable(&error, &scanned.text, tags, number);
                    None
                }
            };
            units.push(Unit { tree, next });
        }
        Some(Rc::new(Parsed { source: number, text: scanned.text, tags: scanned.tags, units, is_partial }))
    }

    /// Says that the parser cannot read what stands in `tags`.
    fn unreadable(&mut self, error: &TemplateError, text: &str, tags: &[Tag], source: u32) {
        let start = tags.first().map_or(0, |tag| tag.start);
        let site = |offset: usize| Site { source, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        if let TemplateErrorReason::InvalidParam(literal) = error.reason() {
            let inner = |tag: &Tag| text.get(tag.inner.0..tag.inner.1)?.find(literal.as_str());
            let offset = tags.iter().find_map(|tag| inner(tag).map(|found| tag.inner.0 + found));
            let message = "expected a literal as JSON writes it, found another spelling";
            let help = "numbers look like 12, -0.5 or 1E9; arrays and objects hold strings in double quotes";
            self.fault(ErrorCode::TemplateSyntax, site(offset.unwrap_or(start)), message, help);
            return;
        }
        let (line, column) = error.pos().unwrap_or((1, 1));
        let offset = start + offset_of(text.get(start..).unwrap_or_default(), line, column);
        // The parser names the end of what it could read; the tag that holds it is what the author wrote.
        let tag = tags.iter().find(|tag| tag.start <= offset && offset < tag.end);
        let message = "expected a Handlebars expression, found something that is none";
        let help = "an expression is a path {{Extra.name}}, a helper with arguments {{upper Extra.name}}, \
                    a block {{#if …}}…{{/if}}, a partial {{> name}} or a comment {{! … }}";
        self.fault(ErrorCode::TemplateSyntax, site(tag.map_or(start, |tag| tag.start)), message, help);
    }

    /// Compiles a whole source into `ops`; whether it was gone through to its end.
    pub(super) fn source(&mut self, parsed: &Parsed, ops: &mut Vec<Op>) -> bool {
        let mut walk = Walk { parsed, next: 0, at: 0, trims: false };
        let mut units = parsed.units.iter();
        let end = units.try_for_each(|unit| self.unit(unit, &mut walk, ops));
        match end.and_then(|()| self.next_tag(&mut walk, ops)) {
            Ok(None) => true,
            Ok(Some(tag)) => self.misaligned(parsed.source, tag.start),
            Err(Halt::Misaligned(offset)) => self.misaligned(parsed.source, offset),
            Err(Halt::Reported) => false,
        }
    }

    fn unit(&mut self, unit: &Unit, walk: &mut Walk<'_>, ops: &mut Vec<Op>) -> Result<(), Halt> {
        let Some(tree) = &unit.tree else {
            let tag = self.next_tag(walk, ops)?.ok_or(Halt::Misaligned(walk.at))?;
            if tag.kind != TagKind::Expression {
                return Err(Halt::Reported);
            }
            // What it would have been is not known, but where it stands is.
            let expr = Expr::Literal(Json::Null, walk.site(tag.start));
            self.expression(expr, &tag, walk, ops);
            return Ok(());
        };
        self.elements(tree, walk, ops)?;
        if walk.next != unit.next {
            return Err(Halt::Misaligned(walk.at));
        }
        Ok(())
    }

    fn expression(&mut self, expr: Expr, tag: &Tag, walk: &Walk<'_>, ops: &mut Vec<Op>) {
        let mut position = std::mem::replace(&mut self.position, Position::start());
        let fails = matches!(&expr, Expr::Call(call) if call.helper.name == "fail");
        self.lex(walk.parsed.source, ops, |sink| match fails {
            true => position.failure(expr, (tag.start, tag.end), sink),
            false => position.expression(expr, tag.start, tag.end, sink),
        });
        self.position = position;
    }

    fn misaligned(&mut self, source: u32, offset: usize) -> bool {
        let site = Site { source, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        let message = "expected an expression in plain spelling, found one that cannot be followed";
        self.fault(ErrorCode::TemplateSyntax, site, message, "write it without unusual spacing or quoting");
        false
    }

    pub(super) fn elements(&mut self, tree: &Template, walk: &mut Walk<'_>, ops: &mut Vec<Op>) -> Result<(), Halt> {
        for element in &tree.elements {
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(tree) | TemplateElement::HtmlExpression(tree) => {
                    let tag = self.expect_tag(walk, ops, &[TagKind::Expression, TagKind::Unescaped])?;
                    self.count(walk.site(tag.start))?;
                    let mut cursor = walk.cursor(&tag);
                    let expr = self.tag_expression(tree, &mut cursor)?;
                    self.expression(expr, &tag, walk, ops);
                }
                TemplateElement::HelperBlock(tree) => {
                    let tag = self.expect_tag(walk, ops, &[TagKind::BlockOpen])?;
                    self.block(tree, &tag, walk, ops)?;
                }
                TemplateElement::PartialExpression(tree) => {
                    let tag = self.expect_tag(walk, ops, &[TagKind::Partial])?;
                    self.partial(tree, &tag, walk, ops)?;
                }
                TemplateElement::PartialBlock(_) => {
                    let tag = self.expect_tag(walk, ops, &[TagKind::BlockOpen])?;
                    let message = "expected {{> name}}, found a partial with a block";
                    self.fault(
                        ErrorCode::TemplateRefused,
                        walk.site(tag.start),
                        message,
                        "give values as arguments: {{> name role=Extra.role}}",
                    );
                    return Err(Halt::Reported);
                }
                TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                    let tag = self.expect_tag(walk, ops, &[TagKind::BlockOpen, TagKind::Decorator])?;
                    let message = "expected a block or an expression, found a decorator or inline partial";
                    self.fault(
                        ErrorCode::TemplateRefused,
                        walk.site(tag.start),
                        message,
                        "put the text into templates/_partials/name.hbs and write {{> name}}",
                    );
                    return Err(Halt::Reported);
                }
                _ => return Err(Halt::Misaligned(walk.at)),
            }
        }
        Ok(())
    }

    fn count(&mut self, site: Site) -> Result<(), Halt> {
        self.steps += 1;
        if self.steps == STEPS {
            let message = format!("expected at most {STEPS} steps with all partials put in, found more");
            self.fault(ErrorCode::TemplateLimit, site, message, "use fewer partials inside partials");
        }
        if self.steps >= STEPS { Err(Halt::Reported) } else { Ok(()) }
    }

    /// Runs the lexer and keeps what it reports.
    fn lex(&mut self, source: u32, ops: &mut Vec<Op>, run: impl FnOnce(&mut Sink<'_>)) {
        let mut faults = Vec::new();
        run(&mut Sink { ops, faults: &mut faults, source, audience_configured: self.audience_configured });
        for fault in faults {
            let is_covered = self.covered.is_some_and(|(source, end)| source == fault.source && fault.offset <= end);
            if is_covered && fault.code == ErrorCode::TemplatePosition {
                continue;
            }
            if let Some(end) = fault.covers {
                self.covered = Some((fault.source, end));
            }
            let site = Site { source: fault.source, offset: u32::try_from(fault.offset).unwrap_or(u32::MAX) };
            self.fault(fault.code, site, fault.message, fault.help);
        }
    }

    fn expect_tag(&mut self, walk: &mut Walk<'_>, ops: &mut Vec<Op>, kinds: &[TagKind]) -> Result<Tag, Halt> {
        match self.next_tag(walk, ops)? {
            Some(tag) if kinds.contains(&tag.kind) => Ok(tag),
            Some(tag) => Err(Halt::Misaligned(tag.start)),
            None => Err(Halt::Misaligned(walk.at)),
        }
    }

    /// Goes over the literal text up to the next tag that is no comment, and past that tag.
    pub(super) fn next_tag(&mut self, walk: &mut Walk<'_>, ops: &mut Vec<Op>) -> Result<Option<Tag>, Halt> {
        loop {
            let tag = walk.parsed.tags.get(walk.next).cloned();
            let end = tag.as_ref().map_or(walk.parsed.text.len(), |tag| tag.start);
            self.text(walk, end, tag.as_ref().is_some_and(|tag| tag.trims_before), tag.is_none(), ops);
            let Some(tag) = tag else {
                walk.at = end;
                return Ok(None);
            };
            self.count(walk.site(tag.start))?;
            walk.next += 1;
            walk.at = tag.end;
            walk.trims = tag.trims_after;
            if tag.kind != TagKind::Comment {
                return Ok(Some(tag));
            }
        }
    }

    fn text(&mut self, walk: &Walk<'_>, end: usize, trims_end: bool, is_last: bool, ops: &mut Vec<Op>) {
        let whole = walk.parsed.text.as_str();
        let mut start = walk.at;
        let mut text = whole.get(start..end).unwrap_or_default();
        if walk.trims {
            text = text.trim_start();
            start = end - text.len();
        }
        if trims_end {
            text = text.trim_end();
        }
        if is_last && walk.parsed.is_partial {
            // Editors end a file with a line break that nobody means to be part of a string.
            text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        }
        if text.is_empty() {
            return;
        }
        let mut literal = Literal::new();
        let mut rest = text;
        while let Some(slash) = rest.find('\\') {
            let at = start + (text.len() - rest.len()) + slash;
            let run = rest[slash..].bytes().take_while(|byte| *byte == b'\\').count();
            if whole[at + run..].starts_with("{{") {
                literal.push(&rest[..slash], start + (text.len() - rest.len()));
                let kept = if run == 1 { "{{" } else { "" };
                literal.push(&rest[slash + 1..slash + run + kept.len()], at + 1);
                rest = &rest[slash + run + kept.len()..];
            } else {
                literal.push(&rest[..slash + run], start + (text.len() - rest.len()));
                rest = &rest[slash + run..];
            }
        }
        literal.push(rest, start + (text.len() - rest.len()));
        let mut position = std::mem::replace(&mut self.position, Position::start());
        self.lex(walk.parsed.source, ops, |sink| position.literal(&literal, sink));
        self.position = position;
    }
}

impl<'p> Walk<'p> {
    pub(super) fn site(&self, offset: usize) -> Site {
        Site { source: self.parsed.source, offset: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    pub(super) fn inner(&self, tag: &Tag) -> &'p str {
        self.parsed.text.get(tag.inner.0..tag.inner.1).unwrap_or_default()
    }

    pub(super) fn cursor(&self, tag: &Tag) -> Cursor<'p> {
        Cursor::new(&self.parsed.text, self.parsed.source, tag.inner)
    }
}

/// The byte offset of a line and a column in characters, both from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(offset, _)| offset)
}
