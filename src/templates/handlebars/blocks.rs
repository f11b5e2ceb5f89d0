//! Compiles blocks and partials: what each way through them does to the JSON position, and which names are known
//! inside.

use handlebars::template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::compile::{Compiler, Context, DEPTH, Halt, Walk};
use super::dropped::is_dropped;
use super::expressions::Whole;
use super::hints::ROOTS;
use super::position::Position;
use super::program::{Base, Branch, Expr, Op, Path, Site};
use super::scan::{Tag, TagKind};
use crate::code::ErrorCode;
use crate::json::Json;

impl Compiler<'_> {
    /// A block whose opening tag (or `{{else if …}}`) is `tag`, up to and with its closing tag.
    pub(super) fn block(
        &mut self,
        tree: &HelperTemplate,
        tag: &Tag,
        walk: &mut Walk<'_>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Halt> {
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
        let value = if values.is_empty() { Expr::Literal(Json::Null, site) } else { values.swap_remove(0) };

        let entry = self.position.clone();
        let bound = self.locals.len();
        if matches!(name, "each" | "with") {
            let is_session = matches!(&value, Expr::Path(Path { base: Base::Root, keys, .. }) if keys.is_empty());
            self.contexts.push(Context { is_session, is_loop: name == "each" });
            for name in parameters.iter().take(allowed) {
                self.bind(name.clone(), site);
            }
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
                if let (Expr::Path(tested), "if") = (&value, name)
                    && is_dropped(tested, &body, &otherwise)
                {
                    let path = &tested.shown;
                    self.warn(
                        site,
                        format!("`{{{{#if {path}}}}}` leaves out the value of `{path}` if it is false, 0 or empty"),
                        format!("write {{{{#if (has {path})}}}} to keep such values, or {{{{default {path} …}}}}"),
                    );
                }
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

    /// Makes a local name known.
    fn bind(&mut self, name: String, site: Site) {
        if ROOTS.contains(&name.as_str()) || name == "this" {
            let message = format!("expected a new name, found `{name}`, which has a meaning already");
            self.fault(ErrorCode::TemplateHelper, site, message, "choose another name");
        }
        self.locals.push(name);
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
            if !after.is_same_place(entry) && !after.is_unreachable {
                let message = format!(
                    "expected the body of this {{{{#each}}}} ({}) to end where it begins, {}, found it to end {}",
                    self.line(site),
                    entry.describe(),
                    after.describe()
                );
                let help = if entry.describe() == after.describe() {
                    "close inside the body what is opened inside it"
                } else {
                    "let the body be whole elements or members, and write the brackets around the block: [{{#each \
                     …}}…{{/each}}]"
                };
                self.fault(code, site, message, help);
            } else if let Some(twice) = after.names_since(entry) {
                let message =
                    format!("expected each member name once in an object, found `{twice}` once for each element");
                let help = "write { … } around the members, or a name made by the element: \"{{@key}}\"";
                self.fault(ErrorCode::TemplateDuplicateMember, site, message, help);
            }
            if let Some(else_site) = else_site.filter(|_| !other.is_same_place(entry) && !other.is_unreachable) {
                let message = format!(
                    "expected the {{{{else}}}} ({}) of this {{{{#each}}}} ({}) to end where the block begins, {}, \
                     found it to end {}",
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
        if after.is_unreachable != other.is_unreachable {
            self.position = if after.is_unreachable { other.clone() } else { after.clone() };
            self.position.cross_edge();
            return;
        }
        self.position = after.clone();
        if after.is_same_place(other) || after.is_unreachable {
            self.position.join(other);
            return;
        }
        match else_site {
            Some(else_site) => {
                let message = format!(
                    "expected both branches of {{{{#{name}}}}} to end in the same place of the JSON, found the one \
                     of {} {} and the one of {} {}",
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
                    "expected the block of {} to end where it begins, {}, found it to end {}; without {{{{else}}}} \
                     nothing is written when it is left out",
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
        for name in parameters {
            self.bind(name, site);
        }
        for (name, site, value) in named {
            self.bind(name, site);
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

    pub(super) fn partial(
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
        for (name, site, value) in named {
            self.bind(name, site);
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

fn block_parameters(parameters: Option<&BlockParam>) -> Vec<String> {
    let names: Vec<&Parameter> = match parameters {
        Some(BlockParam::Single(name)) => vec![name],
        Some(BlockParam::Pair((value, index))) => vec![value, index],
        _ => Vec::new(),
    };
    names.into_iter().filter_map(|name| name.as_name().map(str::to_owned)).collect()
}
