//! Walks the parsed tree and the tags of the text side by side and makes the program.

use std::collections::HashMap;
use std::rc::Rc;

use handlebars::Template;
use handlebars::template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::expressions::{Cursor, Whole};
use super::position::{Literal, Position, Sink};
use super::program::{Base, Branch, Expr, Op, Path, Site};
use super::scan::{Tag, TagKind, scan};
use super::{HandlebarsOptions, HandlebarsTemplate, Source};
use crate::code::ErrorCode;
use crate::templates::{CompileError, Place, TemplateFault};

/// The largest template or partial.
const SOURCE_BYTES: usize = 256 * 1024;
/// The most expressions and texts of a template with all its partials put in.
const STEPS: usize = 100_000;
/// The most faults that are shown.
const FAULTS: usize = 100;
/// How deep blocks and partials may stand inside each other with all partials put in.
const DEPTH: usize = 96;

/// Why the walk over one source ends early.
#[derive(Debug)]
pub(super) enum Halt {
    /// Tree and text do not agree at this offset.
    Misaligned(usize),
    /// The fault is told already.
    Reported,
}

pub(super) struct Compiler<'c> {
    partials: HashMap<&'c str, Source<'c>>,
    audience_configured: bool,
    sources: Vec<(String, String)>,
    parsed: HashMap<String, Option<Rc<Parsed>>>,
    faults: Vec<TemplateFault>,
    contexts: Vec<Context>,
    locals: Vec<String>,
    /// Names below this belong to the callers of the partial that is being compiled.
    barrier: usize,
    position: Position,
    /// The partials that are being compiled, outermost first.
    using: Vec<String>,
    steps: usize,
    depth: usize,
}

/// A source, parsed.
struct Parsed {
    source: u32,
    text: String,
    tags: Vec<Tag>,
    tree: Template,
    is_partial: bool,
}

/// What a path without a prefix is looked up in.
#[derive(Clone, Copy)]
struct Context {
    is_session: bool,
    is_loop: bool,
}

/// How far the walk over a source has come.
struct Walk<'p> {
    parsed: &'p Parsed,
    next: usize,
    at: usize,
    trims: bool,
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
    Ok(HandlebarsTemplate { program, missing: options.missing, sources: compiler.sources })
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

    fn line(&self, site: Site) -> String {
        let Some((name, text)) = self.sources.get(site.source as usize) else { return String::new() };
        let place = Place::of(name, text, site.offset as usize);
        if site.source == 0 { format!("line {}", place.line) } else { format!("line {} of {name}", place.line) }
    }

    fn parse(&mut self, source: Source<'_>, is_partial: bool) -> Option<Rc<Parsed>> {
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
        match Template::compile(&scanned.text) {
            Ok(tree) => {
                Some(Rc::new(Parsed { source: number, text: scanned.text, tags: scanned.tags, tree, is_partial }))
            }
            Err(error) => {
                let (line, column) = error.pos().unwrap_or((1, 1));
                let offset = offset_of(source.text, line, column);
                // The parser names the end of what it could read; the tag that holds it is what the author wrote.
                let tag = scanned.tags.iter().find(|tag| tag.start <= offset && offset < tag.end);
                let message = "expected a Handlebars expression, found something that is none";
                let help = "an expression is a path {{Extra.name}}, a helper with arguments {{upper Extra.name}}, \
                            a block {{#if …}}…{{/if}}, a partial {{> name}} or a comment {{! … }}";
                self.fault(ErrorCode::TemplateSyntax, site(tag.map_or(offset, |tag| tag.start)), message, help);
                None
            }
        }
    }

    /// Compiles a whole source into `ops`; whether it was gone through to its end.
    fn source(&mut self, parsed: &Parsed, ops: &mut Vec<Op>) -> bool {
        let mut walk = Walk { parsed, next: 0, at: 0, trims: false };
        let end = self.elements(&parsed.tree, &mut walk, ops).and_then(|()| self.next_tag(&mut walk, ops));
        match end {
            Ok(None) => true,
            Ok(Some(tag)) => self.misaligned(parsed.source, tag.start),
            Err(Halt::Misaligned(offset)) => self.misaligned(parsed.source, offset),
            Err(Halt::Reported) => false,
        }
    }

    fn misaligned(&mut self, source: u32, offset: usize) -> bool {
        let site = Site { source, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        let message = "expected an expression in plain spelling, found one that cannot be followed";
        self.fault(ErrorCode::TemplateSyntax, site, message, "write it without unusual spacing or quoting");
        false
    }

    fn elements(&mut self, tree: &Template, walk: &mut Walk<'_>, ops: &mut Vec<Op>) -> Result<(), Halt> {
        for element in &tree.elements {
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(tree) | TemplateElement::HtmlExpression(tree) => {
                    let tag = self.expect_tag(walk, ops, &[TagKind::Expression, TagKind::Unescaped])?;
                    self.count(walk.site(tag.start))?;
                    let mut cursor = walk.cursor(&tag);
                    let expr = self.tag_expression(tree, &mut cursor)?;
                    let mut position = self.position.clone();
                    self.lex(walk.parsed.source, ops, |sink| position.expression(expr, tag.start, tag.end, sink));
                    self.position = position;
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
    fn next_tag(&mut self, walk: &mut Walk<'_>, ops: &mut Vec<Op>) -> Result<Option<Tag>, Halt> {
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
        let mut position = self.position.clone();
        self.lex(walk.parsed.source, ops, |sink| position.literal(&literal, sink));
        self.position = position;
    }

    /// A block whose opening tag (or `{{else if …}}`) is `tag`, up to and with its closing tag.
    fn block(&mut self, tree: &HelperTemplate, tag: &Tag, walk: &mut Walk<'_>, ops: &mut Vec<Op>) -> Result<(), Halt> {
        self.depth += 1;
        if self.depth > DEPTH {
            let message = format!("expected at most {DEPTH} blocks and partials inside each other, found more");
            self.fault(ErrorCode::TemplateLimit, walk.site(tag.start), message, "put less into each other");
            return Err(Halt::Reported);
        }
        let name = match &tree.name {
            Parameter::Name(name) => name.as_str(),
            _ => return Err(Halt::Misaligned(tag.start)),
        };
        let site = walk.site(tag.start);
        let mut cursor = walk.cursor(tag);
        cursor.skip(name)?;
        let whole = if name == "with" { Whole::Allowed } else { Whole::Refused };
        let (mut values, named) = self.arguments(&tree.params, &tree.hash, &mut cursor, whole)?;
        let parameters = block_parameters(tree.block_param.as_ref());
        if name == "let" {
            self.let_block(tree, site, values, named, parameters, walk, ops)?;
            self.depth -= 1;
            return Ok(());
        }
        if !matches!(name, "if" | "unless" | "each" | "with") {
            let help = match name {
                "range" => "write {{#each Extra.roles}}".to_owned(),
                _ => "the blocks are if, unless, each, with and let".to_owned(),
            };
            self.fault(
                ErrorCode::TemplateHelper,
                site,
                format!("expected a block, found the unknown name `{name}`"),
                help,
            );
        } else if values.len() != 1 || !named.is_empty() {
            let message = format!("expected one argument of {{{{#{name}}}}}, found {}", values.len() + named.len());
            let help = match name {
                "each" => "write {{#each Extra.roles}} or {{#each Extra.roles as |role index|}}",
                "with" => "write {{#with Extra.identity}} or {{#with Extra.identity as |user|}}",
                _ => "put a comparison into parentheses: {{#if (eq Extra.role \"admin\")}}",
            };
            self.fault(ErrorCode::TemplateHelper, site, message, help);
        }
        let allowed = match name {
            "each" => 2,
            "with" => 1,
            _ => 0,
        };
        if parameters.len() > allowed && matches!(name, "if" | "unless" | "each" | "with") {
            let message =
                format!("expected at most {allowed} name(s) after `as` in {{{{#{name}}}}}, found {}", parameters.len());
            self.fault(ErrorCode::TemplateHelper, site, message, "remove them");
        }
        let value =
            if values.is_empty() { Expr::Literal(crate::json::Json::Null, site) } else { values.swap_remove(0) };

        let entry = self.position.clone();
        let bound = self.locals.len();
        if matches!(name, "each" | "with") {
            let is_session = matches!(&value, Expr::Path(Path { base: Base::Root, keys, .. }) if keys.is_empty());
            self.contexts.push(Context { is_session, is_loop: name == "each" });
            self.locals.extend(parameters.iter().take(allowed).cloned());
        }
        self.position.cross_edge();
        let mut body = Vec::new();
        if let Some(template) = &tree.template {
            self.elements(template, walk, &mut body)?;
        }
        let end = self.next_tag(walk, &mut body)?.ok_or(Halt::Misaligned(walk.at))?;
        if matches!(name, "each" | "with") {
            self.contexts.pop();
        }
        self.locals.truncate(bound);
        let after = std::mem::replace(&mut self.position, entry.clone());

        let mut otherwise = Vec::new();
        let mut else_site = None;
        let mut is_chain = false;
        if end.kind == TagKind::Else {
            else_site = Some(walk.site(end.start));
            self.position.cross_edge();
            is_chain = !walk.inner(&end).trim().is_empty();
            match (&tree.inverse, is_chain) {
                (Some(inverse), true) => {
                    let Some(TemplateElement::HelperBlock(chained)) = inverse.elements.first() else {
                        return Err(Halt::Misaligned(end.start));
                    };
                    self.block(chained, &end, walk, &mut otherwise)?;
                }
                (inverse, _) => {
                    if let Some(inverse) = inverse {
                        self.elements(inverse, walk, &mut otherwise)?;
                    }
                    let close = self.next_tag(walk, &mut otherwise)?.ok_or(Halt::Misaligned(walk.at))?;
                    if close.kind != TagKind::BlockClose {
                        return Err(Halt::Misaligned(close.start));
                    }
                }
            }
        } else if end.kind != TagKind::BlockClose {
            return Err(Halt::Misaligned(end.start));
        }
        let other = std::mem::replace(&mut self.position, entry.clone());
        self.agree(name, site, else_site, &entry, &after, &other);

        let has_else = else_site.is_some();
        match name {
            "if" | "unless" => {
                let mut branches = vec![Branch { test: value, negated: name == "unless", body }];
                match otherwise.pop() {
                    Some(Op::If { branches: more, otherwise: rest }) if is_chain && otherwise.is_empty() => {
                        branches.extend(more);
                        otherwise = rest;
                    }
                    Some(op) => otherwise.push(op),
                    None => {}
                }
                ops.push(Op::If { branches, otherwise });
            }
            "each" => {
                let local = (!parameters.is_empty()).then_some(bound);
                let index_local = (parameters.len() > 1).then_some(bound + 1);
                let otherwise = has_else.then_some(otherwise);
                ops.push(Op::Each { over: value, local, index_local, body, otherwise });
            }
            _ => {
                let local = (!parameters.is_empty()).then_some(bound);
                ops.push(Op::With { value, local, body, otherwise: has_else.then_some(otherwise) });
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Checks that every way through a block comes to the same place, and goes on from there.
    fn agree(
        &mut self,
        name: &str,
        site: Site,
        else_site: Option<Site>,
        entry: &Position,
        after: &Position,
        other: &Position,
    ) {
        let code = ErrorCode::TemplatePosition;
        if name == "each" {
            if !after.is_same_place(entry) {
                let message = format!(
                    "expected the body of this {{{{#each}}}} ({}) to end where it begins, {}, found it to end {}",
                    self.line(site),
                    entry.describe(),
                    after.describe()
                );
                let help = if entry.describe() == after.describe() {
                    "close inside the body what is opened inside it"
                } else {
                    "let the body be whole elements or members, and write the brackets around the block: [{{#each …}}…{{/each}}]"
                };
                self.fault(code, site, message, help);
            } else if let Some(twice) = after.names_since(entry) {
                let message =
                    format!("expected each member name once in an object, found `{twice}` once for each element");
                let help = "write { … } around the members, or a name made by the element: \"{{@key}}\"";
                self.fault(ErrorCode::TemplateDuplicateMember, site, message, help);
            }
            if let Some(else_site) = else_site.filter(|_| !other.is_same_place(entry)) {
                let message = format!(
                    "expected the {{{{else}}}} ({}) of this {{{{#each}}}} ({}) to end where the block begins, {}, found it to end {}",
                    self.line(else_site),
                    self.line(site),
                    entry.describe(),
                    other.describe()
                );
                self.fault(code, else_site, message, "let both be whole elements or members");
            }
            self.position = entry.clone();
            self.position.join(after);
            return;
        }
        self.position = after.clone();
        if after.is_same_place(other) {
            self.position.join(other);
            return;
        }
        match else_site {
            Some(else_site) => {
                let message = format!(
                    "expected both branches of {{{{#{name}}}}} to end in the same place of the JSON, found the one of {} {} and the one of {} {}",
                    self.line(site),
                    after.describe(),
                    self.line(else_site),
                    other.describe()
                );
                self.fault(
                    code,
                    else_site,
                    message,
                    "let both branches write the same kind of thing: one value each, or whole members",
                );
            }
            None => {
                let message = format!(
                    "expected the block of {} to end where it begins, {}, found it to end {}; without {{{{else}}}} nothing is written when it is left out",
                    self.line(site),
                    entry.describe(),
                    after.describe()
                );
                self.fault(
                    code,
                    site,
                    message,
                    "add {{else}} with the other value, such as {{else}}null, or put the block around the whole member",
                );
            }
        }
        self.position.cross_edge();
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one tag, taken apart by the caller")]
    fn let_block(
        &mut self,
        tree: &HelperTemplate,
        site: Site,
        mut values: Vec<Expr>,
        named: Vec<(String, Site, Expr)>,
        parameters: Vec<String>,
        walk: &mut Walk<'_>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Halt> {
        let bound = self.locals.len();
        if values.len() != parameters.len() || values.is_empty() && named.is_empty() {
            let message = "expected names with values in {{#let}}, found none, or a value without a name";
            self.fault(
                ErrorCode::TemplateHelper,
                site,
                message,
                "write {{#let name=Extra.name}} or {{#let Extra.name as |name|}}",
            );
        }
        self.locals.extend(parameters);
        for (name, _, value) in named {
            self.locals.push(name);
            values.push(value);
        }
        self.position.cross_edge();
        let mut body = Vec::new();
        if let Some(template) = &tree.template {
            self.elements(template, walk, &mut body)?;
        }
        let end = self.next_tag(walk, &mut body)?.ok_or(Halt::Misaligned(walk.at))?;
        if end.kind != TagKind::BlockClose {
            let message = "expected {{/let}}, found {{else}}";
            self.fault(ErrorCode::TemplateSyntax, walk.site(end.start), message, "{{#let}} has no {{else}}");
            return Err(Halt::Reported);
        }
        self.locals.truncate(bound);
        self.position.cross_edge();
        ops.push(Op::Let { values, body });
        Ok(())
    }

    fn partial(
        &mut self,
        tree: &DecoratorTemplate,
        tag: &Tag,
        walk: &mut Walk<'_>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Halt> {
        let site = walk.site(tag.start);
        let Parameter::Name(written) = &tree.name else {
            let message = "expected the name of a partial, found an expression";
            self.fault(
                ErrorCode::TemplateRefused,
                site,
                message,
                "name the partial, and choose between partials with {{#if}}",
            );
            return Ok(());
        };
        let mut cursor = walk.cursor(tag);
        cursor.skip(written)?;
        let name = written.trim_matches(['[', ']', '\'']);
        let (mut values, named) = self.arguments(&tree.params, &tree.hash, &mut cursor, Whole::Allowed)?;
        if values.len() > 1 {
            let message = format!("expected at most one context for the partial `{name}`, found {}", values.len());
            self.fault(
                ErrorCode::TemplateHelper,
                site,
                message,
                "name further values: {{> name Extra.identity role=Extra.role}}",
            );
        }
        for (name, site, value) in &named {
            if matches!(value, Expr::Path(Path { base: Base::Root, keys, .. }) if keys.is_empty()) {
                let message = format!("expected a value for `{name}`, found the whole session");
                self.fault(ErrorCode::TemplateWrongType, *site, message, "name one of its members");
            }
        }
        if self.using.iter().any(|used| used == name) {
            let message = format!("expected partials that do not use themselves, found `{name}` inside itself");
            let help =
                format!("the way here is {} > {name}; write the repetition with {{{{#each}}}}", self.using.join(" > "));
            self.fault(ErrorCode::TemplateRefused, site, message, help);
            return Ok(());
        }
        let Some(source) = self.partials.get(name).copied() else {
            let mut known: Vec<&str> = self.partials.keys().copied().collect();
            known.sort_unstable();
            let help = if known.is_empty() {
                format!("there are no partials; put one into templates/_partials/{name}.hbs")
            } else {
                format!("the partials are {}; they live in templates/_partials", known.join(", "))
            };
            self.fault(
                ErrorCode::TemplateHelper,
                site,
                format!("expected a partial, found the unknown name `{name}`"),
                help,
            );
            return Ok(());
        };
        let parsed = match self.parsed.get(name) {
            Some(parsed) => parsed.clone(),
            None => {
                let parsed = self.parse(source, true);
                self.parsed.insert(name.to_owned(), parsed.clone());
                parsed
            }
        };
        let Some(parsed) = parsed else { return Ok(()) };
        self.depth += 1;
        if self.depth > DEPTH {
            let message = format!("expected at most {DEPTH} blocks and partials inside each other, found more");
            self.fault(ErrorCode::TemplateLimit, site, message, "put less into each other");
            return Err(Halt::Reported);
        }
        let context = if values.is_empty() { None } else { Some(values.swap_remove(0)) };
        if let Some(context) = &context {
            let is_session = matches!(context, Expr::Path(Path { base: Base::Root, keys, .. }) if keys.is_empty());
            self.contexts.push(Context { is_session, is_loop: false });
        }
        let bound = self.locals.len();
        let barrier = std::mem::replace(&mut self.barrier, bound);
        let mut arguments = Vec::with_capacity(named.len());
        for (name, _, value) in named {
            self.locals.push(name);
            arguments.push(value);
        }
        self.using.push(name.to_owned());
        self.position.cross_edge();
        let mut body = Vec::new();
        let is_whole = self.source(&parsed, &mut body);
        self.using.pop();
        self.locals.truncate(bound);
        self.barrier = barrier;
        self.position.cross_edge();
        if context.is_some() {
            self.contexts.pop();
        }
        self.depth -= 1;
        ops.push(Op::Partial { context, values: arguments, body });
        if is_whole { Ok(()) } else { Err(Halt::Reported) }
    }
}

impl<'p> Walk<'p> {
    fn site(&self, offset: usize) -> Site {
        Site { source: self.parsed.source, offset: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    fn inner(&self, tag: &Tag) -> &'p str {
        self.parsed.text.get(tag.inner.0..tag.inner.1).unwrap_or_default()
    }

    fn cursor(&self, tag: &Tag) -> Cursor<'p> {
        Cursor::new(&self.parsed.text, self.parsed.source, tag.inner)
    }
}

fn block_parameters(parameters: Option<&BlockParam>) -> Vec<String> {
    let names: Vec<&Parameter> = match parameters {
        Some(BlockParam::Single(name)) => vec![name],
        Some(BlockParam::Pair((value, index))) => vec![value, index],
        _ => Vec::new(),
    };
    names.into_iter().filter_map(|name| name.as_name().map(str::to_owned)).collect()
}

/// The byte offset of a line and a column in characters, both from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(offset, _)| offset)
}
