//! From a Go template to the Handlebars template that a person would have written, with a remark for everything that
//! was changed, that is a trap in the original, or that has no counterpart.
//!
//! Whether both forms say the same is not decided here: the importer runs both over sessions and compares.

mod form;
mod registered;

use super::GoTemplate;
use super::ast::{Branch, Command, Node, Operand, Pipeline, Term};
use super::outline::Outline;
use crate::templates::{ClaimTemplate, CompileOptions, Missing, Syntax, TemplateText};
use form::{Form, Reason, argument, at_value, call, canonical, in_string, path, quoted};
use registered::without_registered;

/// What the conversion of a template came to.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The Handlebars template; `None` where something has no counterpart.
    pub handlebars: Option<String>,
    /// What is to be said of the template, in its order.
    pub remarks: Vec<Remark>,
}

/// One thing to be said of a Go template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The line of the template, from 1.
    pub line: usize,
    /// What kind of thing it is.
    pub kind: RemarkKind,
    /// It, in a sentence.
    pub message: String,
}

/// What kind of thing a remark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemarkKind {
    /// A construct that is written otherwise now.
    Changed,
    /// Something in the original that does not do what it seems to do.
    Trap,
    /// Something that has no counterpart, and why.
    Unconvertible,
}

impl Conversion {
    /// The Handlebars form, compiled for a profile with `missing: as_null` under the name `name`. Where it is refused, there
    /// is none, and a remark says why.
    pub fn compile(&mut self, name: &str) -> Option<ClaimTemplate> {
        let text = self.handlebars.clone()?;
        let text = TemplateText { name: name.to_owned(), text };
        let options = CompileOptions { missing: Missing::AsNull, audience_configured: false };
        ClaimTemplate::compile(Syntax::Handlebars, &text, &[], options)
            .map_err(|error| {
                let message = format!("its form in Handlebars is refused: {error}");
                self.remarks.push(Remark { line: 1, kind: RemarkKind::Unconvertible, message });
                self.handlebars = None;
            })
            .ok()
    }
}

type Converted<T> = Result<T, (usize, Reason)>;

/// Fields of a URL that travel with the session.
const URL_FIELDS: [&str; 8] = ["Scheme", "Opaque", "Host", "Path", "RawPath", "RawQuery", "Fragment", "RawFragment"];

/// As many blocks as Handlebars lets stand inside each other.
const MOST_VARIABLES: usize = 48;

/// As many parentheses as Handlebars lets stand inside each other.
const MOST_COMMANDS: usize = 24;

struct Converter<'g> {
    template: &'g GoTemplate,
    out: String,
    outline: Outline,
    remarks: Vec<Remark>,
    /// Whether the dot is something else than the session.
    is_inside: bool,
    /// How many variables are declared where it stands, each of which becomes a block around what follows.
    variables: usize,
}

impl GoTemplate {
    /// The template in Handlebars, for a profile with `missing: as_null`.
    pub fn to_handlebars(&self) -> Conversion {
        let mut converter = Converter {
            template: self,
            out: String::new(),
            outline: Outline::default(),
            remarks: Vec::new(),
            is_inside: false,
            variables: 0,
        };
        let converted = match self.tree.defined.is_empty() {
            true => converter.nodes(&self.tree.root),
            false => Err((0, "`define` and `block` have no counterpart in one file; a partial is one".to_owned())),
        };
        if let Err((at, reason)) = &converted {
            converter.remark(*at, RemarkKind::Unconvertible, reason.clone());
        }
        let Converter { out, mut remarks, .. } = converter;
        for claim in self.registered_claims() {
            let message = format!("the template sets `{}`, which Oathkeeper overrides; it is left out", claim.name());
            let at = self.text.find(&format!("\"{}\"", claim.name())).unwrap_or_default();
            let line = self.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            remarks.push(Remark { line, kind: RemarkKind::Trap, message });
        }
        let handlebars = converted.is_ok().then(|| without_registered(&out));
        Conversion { handlebars, remarks }
    }
}

impl Converter<'_> {
    fn remark(&mut self, at: usize, kind: RemarkKind, message: String) {
        let before = self.template.text.get(..at).unwrap_or_default();
        let remark = Remark { line: before.matches('\n').count() + 1, kind, message };
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// The action around byte `at`, as it is written.
    fn source(&self, at: usize) -> &str {
        let text = &self.template.text;
        let start = text.get(..at).and_then(|before| before.rfind("{{")).unwrap_or(at);
        let end = text.get(at..).and_then(|after| after.find("}}")).map_or(text.len(), |end| at + end + 2);
        text.get(start..end).unwrap_or_default()
    }

    fn nodes(&mut self, nodes: &[Node]) -> Converted<()> {
        for (index, node) in nodes.iter().enumerate() {
            if let Node::Action(pipeline) = node
                && let [name] = pipeline.variables.as_slice()
            {
                if pipeline.is_assignment {
                    return Err((pipeline.at, "a variable that changes has no counterpart".to_owned()));
                }
                if self.variables >= MOST_VARIABLES {
                    return Err((
                        pipeline.at,
                        format!("more than {MOST_VARIABLES} variables at once have no counterpart"),
                    ));
                }
                let value = self.argument(pipeline)?;
                self.tag(&format!("{{{{#let {}={value}}}}}", variable(name)));
                self.variables += 1;
                self.nodes(&nodes[index + 1..])?;
                self.variables -= 1;
                self.out.push_str("{{/let}}");
                return Ok(());
            }
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Converted<()> {
        match node {
            Node::Text(at, text) => {
                if text.contains("{{") || text.ends_with('\\') {
                    return Err((*at, "two braces, or a backslash before an expression, in the text".to_owned()));
                }
                self.outline.read(text);
                self.out.push_str(text);
            }
            Node::Action(pipeline) => {
                let form = self.pipeline(pipeline)?;
                self.traps(pipeline.at, &form);
                let written = match self.outline.is_in_string() {
                    true => in_string(&form),
                    false => at_value(&form),
                };
                let written = written.map_err(|reason| (pipeline.at, reason))?;
                let message = format!("`{}` is `{written}` now", self.source(pipeline.at));
                self.remark(pipeline.at, RemarkKind::Changed, message);
                self.tag(&written);
                if !self.outline.is_in_string() {
                    self.outline.value();
                }
            }
            Node::If(branch) => self.condition(branch, "if")?,
            Node::With(branch) => {
                if !branch.pipeline.variables.is_empty() {
                    return Err((branch.pipeline.at, "`with` and a variable".to_owned()));
                }
                let value = self.argument(&branch.pipeline)?;
                self.tag(&format!("{{{{#with {value}}}}}"));
                self.inside(&branch.body)?;
                self.otherwise(branch)?;
                self.out.push_str("{{/with}}");
            }
            Node::Range(branch) => self.range(branch)?,
            Node::Template { at, .. } => return Err((*at, "`template` has no counterpart in one file".to_owned())),
            Node::Break | Node::Continue => {
                return Err((0, "`break` and `continue` have no counterpart".to_owned()));
            }
        }
        Ok(())
    }

    /// Says what does not do in the original what it seems to do.
    fn traps(&mut self, at: usize, form: &Form) {
        let source = self.source(at).to_owned();
        let mut trap = |message: &str| self.remark(at, RemarkKind::Trap, format!("`{source}`: {message}"));
        if source.contains("quote") {
            trap(
                "`quote` writes control characters as JSON does not know them, and nothing for a missing value: Oathkeeper \
                  makes no token then; here it is a string",
            );
        }
        // The subject is always there, and always text.
        let is_subject = |form: &Form| matches!(form, Form::Path(path) if path.ends_with("Subject"));
        let is_subject = is_subject(form) || matches!(form, Form::Print(inner) if is_subject(inner));
        let is_bare = matches!(form, Form::Path(_) | Form::Call(_));
        if is_bare && !is_subject {
            trap("a missing or null value becomes the text `<no value>`; here it is empty, or null without quotes");
        }
        if !matches!(form, Form::Path(_) | Form::Call(_) | Form::Print(_) | Form::Default(..) | Form::Format(_)) {
            return;
        }
        if self.outline.is_in_string() {
            let mut trap = |message: &str| self.remark(at, RemarkKind::Trap, format!("`{source}`: {message}"));
            trap("a value with a quote ends the string and can add claims of its own; here it stays inside");
            if is_subject {
                return;
            }
            trap("a number from 1e+06 on, or below 1e-04, is written like `1.7e+09`; here it keeps its digits");
        } else {
            let mut trap = |message: &str| self.remark(at, RemarkKind::Trap, format!("`{source}`: {message}"));
            trap("text stands without quotes and is no JSON; here it is a string, and every value has its type");
        }
    }

    /// Puts a tag behind the text, and a blank where three braces would come together.
    fn tag(&mut self, tag: &str) {
        if self.out.ends_with('{') && tag.starts_with('{') {
            self.out.push(' ');
        }
        self.out.push_str(tag);
    }

    fn condition(&mut self, branch: &Branch, word: &str) -> Converted<()> {
        if !branch.pipeline.variables.is_empty() {
            return Err((branch.pipeline.at, "`if` and a variable".to_owned()));
        }
        let condition = self.argument(&branch.pipeline)?;
        self.tag(&match word {
            "if" => format!("{{{{#if {condition}}}}}"),
            word => format!("{{{{{word} {condition}}}}}"),
        });
        let before = self.outline.clone();
        self.nodes(&branch.body)?;
        match branch.otherwise.as_deref() {
            None => {}
            Some([Node::If(inner)]) => {
                self.outline = before;
                return self.condition(inner, "else if");
            }
            Some(nodes) => {
                self.outline = before;
                self.out.push_str("{{else}}");
                self.nodes(nodes)?;
            }
        }
        self.out.push_str("{{/if}}");
        Ok(())
    }

    fn inside(&mut self, nodes: &[Node]) -> Converted<()> {
        let outer = std::mem::replace(&mut self.is_inside, true);
        let before = self.outline.clone();
        let result = self.nodes(nodes);
        self.outline = before;
        self.is_inside = outer;
        result
    }

    fn otherwise(&mut self, branch: &Branch) -> Converted<()> {
        if let Some(nodes) = &branch.otherwise {
            self.out.push_str("{{else}}");
            self.nodes(nodes)?;
        }
        Ok(())
    }

    fn range(&mut self, branch: &Branch) -> Converted<()> {
        let pipeline = &branch.pipeline;
        if pipeline.is_assignment {
            return Err((pipeline.at, "a variable that changes has no counterpart".to_owned()));
        }
        let list = self.argument(pipeline)?;
        let names: Vec<_> = pipeline.variables.iter().map(|name| variable(name)).collect();
        self.tag(&match names.as_slice() {
            [] => format!("{{{{#each {list}}}}}"),
            [item] => format!("{{{{#each {list} as |{item}|}}}}"),
            [index, item, ..] => format!("{{{{#each {list} as |{item} {index}|}}}}"),
        });
        // Commas between elements are placed by the writer.
        let body = match branch.body.as_slice() {
            [Node::If(first), rest @ ..] if is_separator(first) && !self.outline.is_in_string() => rest,
            [Node::Text(_, blank), Node::If(first), rest @ ..]
                if blank.trim().is_empty() && is_separator(first) && !self.outline.is_in_string() =>
            {
                rest
            }
            all => all,
        };
        self.inside(body)?;
        self.otherwise(branch)?;
        self.out.push_str("{{/each}}");
        Ok(())
    }

    /// A pipeline as an argument of a helper or a block.
    fn argument(&mut self, pipeline: &Pipeline) -> Converted<String> {
        let form = self.pipeline(pipeline)?;
        argument(&form).map_err(|reason| (pipeline.at, reason))
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Converted<Form> {
        if pipeline.commands.len() > MOST_COMMANDS {
            return Err((pipeline.at, format!("more than {MOST_COMMANDS} functions in a row have no counterpart")));
        }
        let mut last: Option<Form> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last)?);
        }
        last.ok_or_else(|| (pipeline.at, "an empty expression".to_owned()))
    }

    fn command(&self, command: &Command, piped: Option<Form>) -> Converted<Form> {
        if let Term::Function(function) = &command.first.term {
            let mut arguments =
                command.arguments.iter().map(|argument| self.operand(argument)).collect::<Converted<Vec<_>>>()?;
            arguments.extend(piped);
            return call(function.name, arguments).map_err(|reason| (command.at, reason));
        }
        if let Term::Field(names) = &command.first.term
            && let ["MatchContext", "Header", "Get"] = names.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
            && !self.is_inside
            && let [Operand { term: Term::String(name), .. }] = command.arguments.as_slice()
        {
            let name = canonical(&String::from_utf8_lossy(name));
            return path(["MatchContext", "Header", &name, "0"].map(str::to_owned).to_vec())
                .map(|path| Form::Print(Box::new(Form::Path(path))))
                .map_err(|reason| (command.at, reason));
        }
        if !command.arguments.is_empty() || piped.is_some() {
            return Err((command.at, "a method of Go's own has no counterpart".to_owned()));
        }
        self.operand(&command.first)
    }

    fn operand(&self, operand: &Operand) -> Converted<Form> {
        let failed = |reason: &str| Err((operand.at, reason.to_owned()));
        let path = |names: Vec<String>| path(names).map(Form::Path).map_err(|reason| (operand.at, reason));
        match &operand.term {
            Term::Bool(value) => Ok(Form::Literal(value.to_string())),
            Term::Nil => Ok(Form::Literal("null".to_owned())),
            Term::Number(number) => match (number.int, number.float) {
                (Some(int), _) if !number.is_float => Ok(Form::Literal(int.to_string())),
                (_, Some(float)) if float.is_finite() => Ok(Form::Literal(float.to_string())),
                _ => failed("a number that JSON cannot hold"),
            },
            Term::String(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Form::Literal(quoted(text))),
                Err(_) => failed("text that is not UTF-8"),
            },
            Term::Dot if self.is_inside => Ok(Form::Path("this".to_owned())),
            Term::Dot => failed("the whole session has no counterpart; name its parts"),
            Term::Field(names) if self.is_inside => path([vec!["this".to_owned()], names.clone()].concat()),
            Term::Field(names) => match session_path(names) {
                Ok(()) => path(names.clone()),
                Err(reason) => failed(reason),
            },
            Term::Variable(name, names) if name == "$" => match session_path(names) {
                Ok(()) => path([vec!["@root".to_owned()], names.clone()].concat()),
                Err(reason) => failed(reason),
            },
            Term::Variable(name, names) => path([vec![variable(name).to_owned()], names.clone()].concat()),
            Term::Pipeline(inner) => self.pipeline(inner),
            Term::Chain(inner, names) => match self.operand(inner)? {
                Form::Path(before) => path(names.clone()).map(|form| match form {
                    Form::Path(after) => Form::Path(format!("{before}.{after}")),
                    other => other,
                }),
                _ => failed("a member of what a function gives"),
            },
            Term::Function(function) => call(function.name, Vec::new()).map_err(|reason| (operand.at, reason)),
        }
    }
}

/// Whether a block writes nothing but the comma between elements.
fn is_separator(branch: &Branch) -> bool {
    branch.otherwise.is_none() && matches!(branch.body.as_slice(), [Node::Text(_, text)] if text.trim() == ",")
}

fn variable(name: &str) -> &str {
    name.trim_start_matches('$')
}

fn session_path(names: &[String]) -> Result<(), &'static str> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["Subject"] | ["Extra" | "Header", ..] | ["MatchContext", "Method" | "RegexpCaptureGroups"] => Ok(()),
        ["MatchContext", "Header", name] if !["Get", "Values"].contains(name) => Ok(()),
        ["MatchContext", "Header"] => Ok(()),
        ["MatchContext", "URL", field] if URL_FIELDS.contains(field) => Ok(()),
        ["MatchContext", "URL", ..] => Err("a method of the URL has no counterpart; its plain fields have"),
        _ => Err("a field that the session does not have: Oathkeeper refuses every request"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(go: &str, expected: &str) {
        let conversion = GoTemplate::parse("t", go).unwrap().to_handlebars();
        assert_eq!(conversion.handlebars.as_deref(), Some(expected), "{:#?}", conversion.remarks);
    }

    #[test]
    fn paths_are_written_as_a_person_would() {
        becomes(r#"{"a": "{{ print .Extra.a }}"}"#, r#"{"a": "{{Extra.a}}"}"#);
        becomes(r#"{"session": {{ .Extra | toJson }}}"#, r#"{"session": {{Extra}}}"#);
        becomes(r#"{"s": {{ print .Extra.id | toJson }} }"#, r#"{"s": "{{Extra.id}}" }"#);
        becomes(r#"{"n": {{ print .Extra.n }}}"#, r#"{"n": {{Extra.n}}}"#);
        becomes(r#"{"r": "{{ index .Extra "a/b" }}"}"#, r#"{"r": "{{Extra.[a/b]}}"}"#);
        becomes(
            r#"{"g": "x:{{ printIndex .MatchContext.RegexpCaptureGroups 1 }}"}"#,
            r#"{"g": "x:{{MatchContext.RegexpCaptureGroups.1}}"}"#,
        );
        becomes(r#"{"h": "{{ .MatchContext.Header.Get "x-foo" }}"}"#, r#"{"h": "{{MatchContext.Header.[X-Foo].0}}"}"#);
        becomes("{{ .Extra | toJson }}", "{{Extra}}");
    }

    #[test]
    fn blocks_and_functions_are_written_as_a_person_would() {
        becomes(
            r#"{"a": 1{{ if .Extra.b }}, "b": "{{ .Extra.b }}"{{ else if .Extra.c }}, "c": 1{{ end }}}"#,
            r#"{"a": 1{{#if Extra.b}}, "b": "{{Extra.b}}"{{else if Extra.c}}, "c": 1{{/if}}}"#,
        );
        becomes(
            r#"{"r": [{{ range $i, $r := .Extra.roles }}{{ if $i }}, {{ end }}{{ toJson $r }}{{ end }}]}"#,
            r#"{"r": [{{#each Extra.roles as |r i|}}{{r}}{{/each}}]}"#,
        );
        becomes(
            r#"{{ $t := .Extra.traits }}{"m": "{{ $t.mail | lower }}"}"#,
            r#"{{#let t=Extra.traits}}{"m": "{{lower t.mail}}"}{{/let}}"#,
        );
        becomes(
            r#"{"n": "{{ default "x" .Extra.n }}", "j": "{{ .Extra.l | join "," }}"}"#,
            r#"{"n": "{{#if Extra.n}}{{Extra.n}}{{else}}x{{/if}}", "j": "{{join Extra.l ","}}"}"#,
        );
        becomes(
            r#"{"a": {{ dict "k" .Extra.a "l" (list 1 .Subject) | toJson }}, "f": "{{ printf "%s/%v" .Subject .Extra.b }}"}"#,
            r#"{"a": { "k": {{Extra.a}}, "l": [1, {{Subject}}] }, "f": "{{Subject}}/{{Extra.b}}"}"#,
        );
        becomes(
            r#"{"w": {{ with .Extra.a }}{"x": {{ .b | toJson }}}{{ else }}null{{ end }}}"#,
            r#"{"w": {{#with Extra.a}}{"x": {{this.b}}}{{else}}null{{/with}}}"#,
        );
    }

    #[test]
    fn registered_claims_are_left_out_with_their_commas() {
        becomes(r#"{"sub": "{{ print .Subject }}", "a": "x,}{\"", "exp": 1}"#, r#"{ "a": "x,}{\"" }"#);
        becomes(r#"{"sub": "{{ .Subject }}"}"#, "{ }");
        becomes(r#"{"a": {"sub": 1}, "aud": ["x"], "iss": [1, {"b": 2}]}"#, r#"{"a": {"sub": 1}, "aud": ["x"] }"#);
    }

    #[test]
    fn blocks_beside_a_registered_claim_stay() {
        becomes(
            r#"{"a": 1, {{ if .Extra.b }}"b": 2,{{ end }} "sub": "{{ .Subject }}"}"#,
            r#"{"a": 1, {{#if Extra.b}}"b": 2,{{/if}} }"#,
        );
        becomes(
            r#"{"sub": "{{ .Subject }}"{{ if .Extra.b }}, "b": 2{{ end }}, "c": 3}"#,
            r#"{ {{#if Extra.b}}, "b": 2{{/if}}, "c": 3}"#,
        );
        becomes(
            r#"{"iat": {{ if .Extra.b }}1{{ else }}2{{ end }}{{ if .Extra.c }}, "c": 3{{ end }}}"#,
            r#"{ {{#if Extra.c}}, "c": 3{{/if}}}"#,
        );
    }

    #[test]
    fn what_has_no_counterpart_is_named_with_its_line() {
        for (go, reason) in [
            ("{\"a\":\n \"{{ .MatchContext.URL.String }}\"}", "a method of the URL"),
            ("{\"a\":\n {{ now | date \"2006\" | toJson }}}", "has no counterpart"),
            ("{\"a\":\n {{ .Nope | toJson }}}", "a field that the session does not have"),
            ("{\"a\":\n \"{{ .Extra | toJson }}\"}", "JSON inside quotes"),
        ] {
            let conversion = GoTemplate::parse("t", go).unwrap().to_handlebars();
            assert_eq!(conversion.handlebars, None, "{go}");
            let last = conversion.remarks.iter().find(|remark| remark.kind == RemarkKind::Unconvertible).unwrap();
            assert!(last.line == 2 && last.message.contains(reason), "{last:?}");
        }
    }

    #[test]
    fn templates_without_end_are_no_stack_without_end() {
        let variables = "{{ $a := 1 }}".repeat(10_000) + "{}";
        let functions = format!("{{\"a\": {{{{ .Extra.a {}}}}}}}", "| lower ".repeat(10_000));
        for (text, reason) in [(variables, "more than 48 variables"), (functions, "more than 24 functions")] {
            let conversion = GoTemplate::parse("t", &text).unwrap().to_handlebars();
            assert!(conversion.handlebars.is_none());
            assert!(conversion.remarks.iter().any(|remark| remark.message.contains(reason)), "{reason}");
        }
    }

    #[test]
    fn traps_are_named() {
        let conversion = GoTemplate::parse("t", "{\n\"sub\": \"{{ .Extra.a }}\"}").unwrap().to_handlebars();
        let traps: Vec<_> = conversion.remarks.iter().filter(|remark| remark.kind == RemarkKind::Trap).collect();
        for part in ["<no value>", "1.7e+09", "ends the string", "sets `sub`"] {
            assert!(traps.iter().any(|trap| trap.message.contains(part)), "{part}: {traps:#?}");
        }
        assert_eq!(traps[0].line, 2);
    }
}
