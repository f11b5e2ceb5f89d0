//! Compiles what stands between the braces: paths, literals and helpers.
//!
//! The parsed tree tells the structure; a cursor goes over the text beside it, for the places, the order of named
//! arguments and the digits of numbers.

use handlebars::template::{HelperTemplate, Parameter, Subexpression};
use std::collections::HashMap;
use std::sync::Arc;

use super::compile::{Compiler, Halt};
use super::helpers::{Body, Lazy, Pattern, find, suggest};
use super::hints;
use super::program::{Base, Call, Expr, Key, LoopFact, Path, Site};
use super::scan::after_quote;
use crate::code::ErrorCode;
use crate::json::{Json, ReadLimits};

/// A place between the braces of one tag.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    end: usize,
    source: u32,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, source: u32, (start, end): (usize, usize)) -> Self {
        let mut cursor = Self { text, at: start, end, source };
        cursor.skip_space();
        cursor
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Goes past `token`, or finds that the tree and the text do not agree.
    pub(super) fn skip(&mut self, token: &str) -> Result<(), Halt> {
        self.take(token)
    }

    fn take(&mut self, token: &str) -> Result<(), Halt> {
        self.skip_space();
        if !self.rest().starts_with(token) {
            return Err(Halt::Misaligned(self.at));
        }
        self.at += token.len();
        self.skip_space();
        Ok(())
    }

    pub(super) fn site(&self) -> Site {
        Site { source: self.source, offset: u32::try_from(self.at).unwrap_or(u32::MAX) }
    }

    /// The name of a named argument, if one comes next.
    fn peek_name(&self) -> Option<&'t str> {
        let rest = self.rest();
        let length = rest.find(|c: char| c.is_whitespace() || "=()\"'[]{}|~,.!#%&*+/;<>@\\^`".contains(c))?;
        let (name, after) = rest.split_at(length);
        (!name.is_empty() && after.trim_start().starts_with('=')).then_some(name)
    }

    /// The text of a literal.
    fn take_literal(&mut self) -> Result<&'t str, Halt> {
        self.skip_space();
        let start = self.at;
        let bytes = self.text.as_bytes();
        match bytes.get(start) {
            Some(quote @ (b'"' | b'\'')) => self.at = after_quote(bytes, start, *quote, self.end),
            Some(b'[' | b'{') => {
                let mut depth = 0_usize;
                while self.at < self.end {
                    match bytes[self.at] {
                        b'"' => {
                            self.at = after_quote(bytes, self.at, b'"', self.end);
                            continue;
                        }
                        b'[' | b'{' => depth += 1,
                        b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let rest = self.rest();
                self.at += rest.find(|c: char| c.is_whitespace() || "()=|~}".contains(c)).unwrap_or(rest.len());
            }
        }
        let literal = self.text.get(start..self.at).ok_or(Halt::Misaligned(start))?;
        self.skip_space();
        Ok(literal)
    }
}

/// What an expression may be, besides a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// The whole session may stand here.
    Allowed,
    Refused,
}

/// Named arguments in the order of the text.
pub(super) type Named = Vec<(String, Site, Expr)>;

fn raw(path: &handlebars::Path) -> &str {
    match path {
        handlebars::Path::Relative((_, raw)) => raw,
        handlebars::Path::Local((_, _, raw)) => raw,
    }
}

impl Compiler<'_> {
    /// The expression of a tag such as `{{Extra.name}}` or `{{upper Extra.name}}`.
    pub(super) fn tag_expression(&mut self, tree: &HelperTemplate, cursor: &mut Cursor<'_>) -> Result<Expr, Halt> {
        self.named_expression(&tree.name, &tree.params, &tree.hash, cursor, Whole::Refused)
    }

    fn named_expression(
        &mut self,
        name: &Parameter,
        params: &[Parameter],
        hash: &HashMap<String, Parameter>,
        cursor: &mut Cursor<'_>,
        whole: Whole,
    ) -> Result<Expr, Halt> {
        if params.is_empty() && hash.is_empty() {
            return match name {
                Parameter::Name(path) => self.path(path, cursor, whole),
                other => self.parameter(other, cursor, whole),
            };
        }
        let site = cursor.site();
        let name = match name {
            Parameter::Name(name) => name.as_str(),
            Parameter::Path(path) => raw(path),
            _ => return Err(Halt::Misaligned(cursor.at)),
        };
        cursor.take(name)?;
        let helper = find(name);
        let (arguments, named) = self.arguments(params, hash, cursor, Whole::Refused)?;
        let Some(helper) = helper else {
            let help = match suggest(name) {
                _ if matches!(name, "print" | "println" | "printf") && arguments.len() == 1 => {
                    format!("an expression writes its value: {{{{{}}}}}", shown_argument(&arguments))
                }
                Some(near) => match find(near) {
                    Some(helper) => format!("did you mean `{}`? ({})", near, helper.signature()),
                    None => format!("did you mean `{near}`?"),
                },
                None if matches!(name, "if" | "unless" | "each" | "with" | "let") => {
                    format!("{name} is a block: {{{{#{name} …}}}}…{{{{/{name}}}}}")
                }
                None => "the helpers are listed in docs/templates.md".to_owned(),
            };
            self.fault(
                ErrorCode::TemplateHelper,
                site,
                format!("expected a helper, found the unknown name `{name}`"),
                help,
            );
            return Ok(placeholder(site));
        };
        if let Some((wrong, site, _)) = named.first() {
            self.fault(
                ErrorCode::TemplateHelper,
                *site,
                format!("expected `{}` without named arguments, found `{wrong}=`", helper.name),
                format!("write {{{{{}}}}}", helper.signature()),
            );
        }
        if arguments.len() < helper.least || arguments.len() > helper.most {
            let wanted = match (helper.least, helper.most) {
                (least, most) if least == most => format!("{least}"),
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            let message = format!("expected {wanted} argument(s) of `{}`, found {}", helper.name, arguments.len());
            self.fault(ErrorCode::TemplateHelper, site, message, format!("write {{{{{}}}}}", helper.signature()));
            return Ok(placeholder(site));
        }
        let mut pattern = None;
        if helper.name == "regexMatch"
            && let Some(Expr::Literal(Json::String(text), site)) = arguments.get(1)
        {
            pattern = self.pattern(text, *site);
        }
        if helper.name == "fail" {
            self.check_refusal(arguments.first());
        }
        if matches!(helper.body, Body::Lazy(Lazy::Required))
            && let Some(message) = arguments.get(1)
            && !matches!(message, Expr::Literal(Json::String(_), _))
        {
            self.fault(
                ErrorCode::TemplateHelper,
                message.site(),
                "expected the message as a string in the template, found something else",
                "write it in quotes: errors never quote the session",
            );
        }
        Ok(Expr::Call(Call { helper, arguments, pattern, site }))
    }

    /// The compiled pattern `text`, or `None` if it was reported. Equal patterns are compiled once.
    fn pattern(&mut self, text: &str, site: Site) -> Option<Arc<Pattern>> {
        if let Some(known) = self.patterns.get(text) {
            return Some(Arc::clone(known));
        }
        let Ok(compiled) = Pattern::compile(text) else {
            let (message, help) = hints::pattern(text);
            self.fault(ErrorCode::TemplateHelper, site, message, help);
            return None;
        };
        if let Err(over) = self.pattern_budget.take(compiled.size) {
            let help = "use fewer or smaller patterns, such as a{1,9} instead of a{1,999}; partials count, too";
            self.fault(ErrorCode::TemplateLimit, site, over.to_string(), help);
            return None;
        }
        let compiled = Arc::new(compiled);
        self.patterns.insert(text.to_owned(), Arc::clone(&compiled));
        Some(compiled)
    }

    /// Checks the message of `fail`, which clients and the log get.
    fn check_refusal(&mut self, message: Option<&Expr>) {
        let Some(message) = message else { return };
        let problem = match message {
            Expr::Literal(Json::String(text), _) => match hints::refusal(text) {
                Some(problem) => problem,
                None => return,
            },
            _ => "something else",
        };
        self.fault(
            ErrorCode::TemplateHelper,
            message.site(),
            format!("expected a message of 1 to {} characters in the template, found {problem}", hints::REFUSAL_CHARS),
            "write it in quotes, such as {{fail \"requires aal2\"}}: clients and the log get it, so it never quotes the session",
        );
    }

    /// The arguments that follow a name, in the order of the text.
    pub(super) fn arguments(
        &mut self,
        params: &[Parameter],
        hash: &HashMap<String, Parameter>,
        cursor: &mut Cursor<'_>,
        whole: Whole,
    ) -> Result<(Vec<Expr>, Named), Halt> {
        let mut values = Vec::with_capacity(params.len());
        let mut named: Named = Vec::with_capacity(hash.len());
        let mut params = params.iter();
        loop {
            if let Some(name) = cursor.peek_name()
                && let Some(value) = hash.get(name)
            {
                let site = cursor.site();
                if named.iter().any(|(known, _, _)| known == name) {
                    self.fault(
                        ErrorCode::TemplateHelper,
                        site,
                        format!("expected each named argument once, found `{name}=` a second time"),
                        "remove one of the two",
                    );
                    return Err(Halt::Reported);
                }
                cursor.take(name)?;
                cursor.take("=")?;
                let value = match self.parameter(value, cursor, whole) {
                    // Of a name that comes twice the tree keeps the last value only, so the first may not fit.
                    Err(Halt::Misaligned(_)) if cursor.rest().contains(&format!("{name}=")) => {
                        self.fault(
                            ErrorCode::TemplateHelper,
                            site,
                            format!("expected each named argument once, found `{name}=` a second time"),
                            "remove one of the two",
                        );
                        return Err(Halt::Reported);
                    }
                    other => other?,
                };
                named.push((name.to_owned(), site, value));
                continue;
            }
            let Some(param) = params.next() else { break };
            values.push(self.parameter(param, cursor, whole)?);
        }
        Ok((values, named))
    }

    /// One argument.
    pub(super) fn parameter(
        &mut self,
        parameter: &Parameter,
        cursor: &mut Cursor<'_>,
        whole: Whole,
    ) -> Result<Expr, Halt> {
        match parameter {
            Parameter::Name(name) => self.path(name, cursor, whole),
            Parameter::Path(path) => self.path(raw(path), cursor, whole),
            Parameter::Literal(value) => {
                let site = cursor.site();
                let text = cursor.take_literal()?;
                if let (true, Some(text)) = (text.starts_with('\''), value.as_str()) {
                    return Ok(Expr::Literal(Json::String(text.to_owned().into()), site));
                }
                match Json::parse(text.as_bytes(), ReadLimits { depth: 32 }) {
                    Ok(value) => Ok(Expr::Literal(value.into_owned(), site)),
                    Err(_) => {
                        self.fault(
                            ErrorCode::TemplateSyntax,
                            site,
                            "expected a literal as JSON writes it, found another spelling",
                            "numbers look like 12, -0.5 or 1E9; text stands in quotes; objects name a member once",
                        );
                        Ok(placeholder(site))
                    }
                }
            }
            Parameter::Subexpression(subexpression) => self.subexpression(subexpression, cursor, whole),
            _ => Err(Halt::Misaligned(cursor.at)),
        }
    }

    fn subexpression(
        &mut self,
        subexpression: &Subexpression,
        cursor: &mut Cursor<'_>,
        whole: Whole,
    ) -> Result<Expr, Halt> {
        let handlebars::template::TemplateElement::Expression(inner) = subexpression.as_element() else {
            return Err(Halt::Misaligned(cursor.at));
        };
        cursor.take("(")?;
        let expr = self.named_expression(&inner.name, &inner.params, &inner.hash, cursor, whole)?;
        cursor.take(")")?;
        Ok(expr)
    }

    fn path(&mut self, written: &str, cursor: &mut Cursor<'_>, whole: Whole) -> Result<Expr, Halt> {
        cursor.skip_space();
        let site = cursor.site();
        cursor.take(written)?;
        Ok(match self.resolve(written, site, whole) {
            Some(path) => Expr::Path(path),
            None => placeholder(site),
        })
    }

    /// Finds out what a path starts from; reports it where nothing is there.
    fn resolve(&mut self, written: &str, site: Site, whole: Whole) -> Option<Path> {
        let steps = Steps::of(written);
        let mut keys: Vec<Key> = steps.items.iter().map(|item| Key::new(item)).collect();
        let shown = steps.items.join(".");
        if steps.is_data {
            let fact = match shown.as_str() {
                "first" => LoopFact::First,
                "index" => LoopFact::Index,
                "key" => LoopFact::Key,
                "last" => LoopFact::Last,
                _ => {
                    self.fault(
                        ErrorCode::TemplateHelper,
                        site,
                        "expected @index, @key, @first, @last or @root, found another name after `@`",
                        "data of the session is named without @, such as Extra.name",
                    );
                    return None;
                }
            };
            let Some(frame) = self.loop_above(steps.ups) else {
                self.fault(
                    ErrorCode::TemplateHelper,
                    site,
                    format!("expected `@{shown}` inside {{{{#each}}}}, found it outside"),
                    "move it into the loop",
                );
                return None;
            };
            return Some(Path { base: Base::Loop(frame, fact), keys: Vec::new(), shown: format!("@{shown}"), site });
        }
        let base = if steps.is_from_root {
            Base::Root
        } else if let Some(local) = steps.items.first().filter(|_| !steps.is_explicit).and_then(|name| self.local(name))
        {
            let shown = keys.remove(0).name;
            return Some(Path { base: Base::Local(local), keys, shown, site });
        } else {
            match self.context_above(steps.ups) {
                Some(base) => base,
                None => {
                    self.fault(
                        ErrorCode::TemplateHelper,
                        site,
                        "expected at most as many `../` as there are {{#each}} and {{#with}} around, found more",
                        "@root. starts at the top of the session: @root.Subject",
                    );
                    return None;
                }
            }
        };
        if base == Base::Root {
            match steps.items.first() {
                None if whole == Whole::Refused => {
                    self.fault(
                        ErrorCode::TemplateWrongType,
                        site,
                        "expected a value, found the whole session",
                        "name one of its members: Subject, Extra, Header, MatchContext or Profile",
                    );
                    return None;
                }
                Some(name) if !hints::ROOTS.contains(&name.as_str()) => {
                    self.unknown_root(name, site);
                    return None;
                }
                Some(_) if let Some((message, help)) = hints::impossible(&steps.items) => {
                    self.fault(ErrorCode::TemplateHelper, site, message, help);
                    return None;
                }
                _ => {}
            }
        }
        Some(Path { base, keys, shown, site })
    }

    fn unknown_root(&mut self, name: &str, site: Site) {
        let help = hints::unknown_root(name);
        self.fault(
            ErrorCode::TemplateHelper,
            site,
            format!("expected Subject, Extra, Header, MatchContext or Profile, found `{name}`"),
            help,
        );
    }
}

/// The only argument of a call as the help can write it.
fn shown_argument(arguments: &[Expr]) -> &str {
    match arguments {
        [Expr::Path(path)] if path.base == Base::Root => &path.shown,
        _ => "Extra.name",
    }
}

/// Stands for an expression that was reported.
fn placeholder(site: Site) -> Expr {
    Expr::Literal(Json::Null, site)
}

/// The parts of a path as it is written.
struct Steps {
    is_from_root: bool,
    is_data: bool,
    /// `this.` stands before it, so it is no local name.
    is_explicit: bool,
    ups: usize,
    items: Vec<String>,
}

impl Steps {
    fn of(written: &str) -> Self {
        let mut steps = Self { is_from_root: false, is_data: false, is_explicit: false, ups: 0, items: Vec::new() };
        let mut rest = written;
        for prefix in ["this.", "this/", "./"] {
            if let Some(after) = rest.strip_prefix(prefix) {
                steps.is_explicit = true;
                rest = after;
                break;
            }
        }
        if rest == "@root" {
            steps.is_from_root = true;
            return steps;
        }
        if let Some(after) = rest.strip_prefix("@root.").or_else(|| rest.strip_prefix("@root/")) {
            steps.is_from_root = true;
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('@') {
            steps.is_data = true;
            rest = after;
        }
        while let Some(after) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("...")) {
            steps.ups += 1;
            steps.is_explicit = true;
            rest = after;
        }
        if rest == "this"
            && !steps.is_from_root
            && !steps.is_data
            && (!written.starts_with("this.") && !written.starts_with("this/"))
        {
            steps.is_explicit = true;
            return steps;
        }
        while !rest.is_empty() {
            let (item, after) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
                Some(parts) => parts,
                None => rest.split_at(rest.find(['.', '/']).unwrap_or(rest.len())),
            };
            steps.items.push(item.to_owned());
            rest = after.strip_prefix(['.', '/']).unwrap_or(after);
            if rest.len() == after.len() && !after.is_empty() && item.is_empty() {
                break;
            }
        }
        steps
    }
}
