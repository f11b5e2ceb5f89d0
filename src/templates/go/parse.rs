//! From tokens to a tree, by Go's grammar. Faults in the use of functions are collected; a fault in the grammar ends
//! the reading.

use std::collections::HashMap;

use super::ast::{Branch, Command, Node, Number, Operand, Pipeline, Term, Tree};
use super::funcs;
use super::lex::{self, Kind, Token};
use super::numbers;
use crate::code::ErrorCode;

/// How deep blocks and parentheses may stand inside each other.
const MAX_DEPTH: usize = 100;

/// A fault and where it is.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

type Parsed<T> = Result<T, Fault>;

/// Reads `text`; all faults that can be found.
pub(super) fn parse(text: &str) -> Result<Tree, Vec<Fault>> {
    let tokens = match lex::tokens(text) {
        Ok(tokens) => tokens,
        Err(error) => return Err(vec![syntax(error.at, error.message)]),
    };
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
        defined: HashMap::new(),
        faults: Vec::new(),
    };
    let root = parser.file();
    let Parser { defined, mut faults, .. } = parser;
    match root {
        Ok(root) if faults.is_empty() => Ok(Tree { root, defined }),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

fn syntax(at: usize, message: impl Into<String>) -> Fault {
    Fault { at, code: ErrorCode::TemplateSyntax, message: message.into(), help: None }
}

struct Parser<'a, 't> {
    tokens: &'a [Token<'t>],
    next: usize,
    variables: Vec<String>,
    ranges: usize,
    depth: usize,
    defined: HashMap<String, Vec<Node>>,
    faults: Vec<Fault>,
}

/// What ended a list of nodes.
enum Ending {
    /// `{{end}}`
    End,
    /// `{{else`: its rest is still to be read.
    Else,
}

impl<'t> Parser<'_, 't> {
    fn peek(&self) -> Token<'t> {
        let last = Token { kind: Kind::End, at: 0, text: "" };
        self.tokens.get(self.next).or(self.tokens.last()).copied().unwrap_or(last)
    }

    fn take(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn peek_word(&mut self) -> Token<'t> {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    fn take_word(&mut self) -> Token<'t> {
        self.peek_word();
        self.take()
    }

    fn expect(&mut self, kind: Kind, expected: &str) -> Parsed<Token<'t>> {
        let token = self.take_word();
        if token.kind == kind { Ok(token) } else { Err(unexpected(token, expected)) }
    }

    fn enter<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let message = format!("expected at most {MAX_DEPTH} blocks and parentheses inside each other, found more");
            return Err(Fault { at: self.peek().at, code: ErrorCode::TemplateLimit, message, help: None });
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn file(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return Ok(nodes),
                Kind::LeftDelim => {
                    self.take();
                    let word = self.peek_word();
                    match (word.kind, word.text) {
                        (Kind::Keyword, "define") => {
                            self.take();
                            self.definition()?;
                        }
                        (Kind::Keyword, "end" | "else") => {
                            return Err(syntax(word.at, format!("found `{}` without a block before it", word.text)));
                        }
                        _ => nodes.push(self.action()?),
                    }
                }
                _ => nodes.extend(self.text()?),
            }
        }
    }

    fn text(&mut self) -> Parsed<Option<Node>> {
        let token = self.take();
        match token.kind {
            Kind::Text => Ok(Some(Node::Text(token.at, token.text.to_owned()))),
            _ => Err(unexpected(token, "text or an action")),
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        let name = self.template_name("define")?;
        self.expect(Kind::RightDelim, "`}}` after the name of the template")?;
        self.define(name)
    }

    /// Reads the body of a named template, which sees no variables but `$`.
    fn define(&mut self, name: (usize, String)) -> Parsed<()> {
        let (at, name) = name;
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let body = self.enter(|parser| match parser.list()? {
            (nodes, Ending::End) => Ok(nodes),
            (_, Ending::Else) => Err(syntax(at, "found `else` in a template definition")),
        })?;
        self.variables = variables;
        self.ranges = ranges;
        match self.defined.get(&name) {
            Some(earlier) if !is_empty(earlier) => {
                if !is_empty(&body) {
                    return Err(syntax(at, "found a second definition of the same template"));
                }
            }
            _ => {
                self.defined.insert(name, body);
            }
        }
        Ok(())
    }

    fn template_name(&mut self, context: &str) -> Parsed<(usize, String)> {
        let token = self.take_word();
        let bytes = match token.kind {
            Kind::String | Kind::RawString => string_constant(token)?,
            _ => return Err(unexpected(token, &format!("the name of the template in quotes after `{context}`"))),
        };
        Ok((token.at, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Nodes up to `{{end}}` or `{{else`.
    fn list(&mut self) -> Parsed<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return Err(syntax(token.at, "expected `{{end}}`, found the end of the template")),
                Kind::LeftDelim => {
                    self.take();
                    let word = self.peek_word();
                    match (word.kind, word.text) {
                        (Kind::Keyword, "end") => {
                            self.take();
                            self.expect(Kind::RightDelim, "`}}` after `end`")?;
                            return Ok((nodes, Ending::End));
                        }
                        (Kind::Keyword, "else") => {
                            self.take();
                            return Ok((nodes, Ending::Else));
                        }
                        _ => nodes.push(self.action()?),
                    }
                }
                _ => nodes.extend(self.text()?),
            }
        }
    }

    /// What stands after `{{`.
    fn action(&mut self) -> Parsed<Node> {
        let word = self.peek_word();
        if word.kind != Kind::Keyword {
            return Ok(Node::Action(self.pipeline("a command", Kind::RightDelim)?));
        }
        self.take();
        match word.text {
            "if" => Ok(Node::If(self.branch("if")?)),
            "with" => Ok(Node::With(self.branch("with")?)),
            "range" => Ok(Node::Range(self.branch("range")?)),
            "break" | "continue" => {
                self.expect(Kind::RightDelim, "`}}`")?;
                if self.ranges == 0 {
                    return Err(syntax(word.at, format!("found `{}` outside `range`", word.text)));
                }
                Ok(if word.text == "break" { Node::Break } else { Node::Continue })
            }
            "template" => {
                let (at, name) = self.template_name("template")?;
                let argument = if self.peek_word().kind == Kind::RightDelim {
                    self.take();
                    None
                } else {
                    Some(self.pipeline("the template's argument", Kind::RightDelim)?)
                };
                Ok(Node::Template { at, name, argument })
            }
            "block" => {
                let (at, name) = self.template_name("block")?;
                let argument = Some(self.pipeline("the block's argument", Kind::RightDelim)?);
                self.define((at, name.clone()))?;
                Ok(Node::Template { at, name, argument })
            }
            _ => Err(unexpected(word, "a command")),
        }
    }

    /// What stands after `{{if`, `{{with` or `{{range`, to its `{{end}}`.
    fn branch(&mut self, context: &'static str) -> Parsed<Branch> {
        self.enter(|parser| {
            let mark = parser.variables.len();
            let pipeline = parser.pipeline(context, Kind::RightDelim)?;
            let in_range = usize::from(context == "range");
            parser.ranges += in_range;
            let (body, ending) = parser.list()?;
            parser.ranges -= in_range;
            let otherwise = match ending {
                Ending::End => None,
                Ending::Else => Some(parser.otherwise(context)?),
            };
            parser.variables.truncate(mark);
            Ok(Branch { pipeline, body, otherwise })
        })
    }

    fn otherwise(&mut self, context: &'static str) -> Parsed<Vec<Node>> {
        let word = self.peek_word();
        if word.kind == Kind::Keyword && word.text == context && context != "range" {
            self.take();
            let branch = self.branch(context)?;
            return Ok(vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }]);
        }
        self.expect(Kind::RightDelim, "`}}` after `else`")?;
        match self.list()? {
            (nodes, Ending::End) => Ok(nodes),
            (_, Ending::Else) => Err(syntax(word.at, "expected `{{end}}`, found a second `else`")),
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipeline> {
        self.enter(|parser| parser.pipeline_inside(context, end))
    }

    fn pipeline_inside(&mut self, context: &str, end: Kind) -> Parsed<Pipeline> {
        let at = self.peek_word().at;
        let mut pipeline = Pipeline { at, is_assignment: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(&mut pipeline, context)?;
        loop {
            let token = self.peek_word();
            match token.kind {
                kind if kind == end => {
                    self.take();
                    break;
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => pipeline.commands.push(self.command()?),
                _ => return Err(unexpected(token, context)),
            }
        }
        if pipeline.commands.is_empty() {
            return Err(syntax(at, format!("expected a value for {context}, found none")));
        }
        for (index, command) in pipeline.commands.iter().enumerate() {
            self.check_arity(command, usize::from(index > 0));
        }
        for command in &pipeline.commands[1..] {
            if matches!(command.first.term, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::String(_)) {
                return Err(syntax(command.at, "expected a function after `|`, found a value that takes no argument"));
            }
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, pipeline: &mut Pipeline, context: &str) -> Parsed<()> {
        loop {
            let variable = self.peek_word();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            let start = self.next;
            self.take();
            let next = self.peek_word();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.take();
                    pipeline.is_assignment = next.kind == Kind::Assign;
                    pipeline.variables.push(variable.text.to_owned());
                    self.variables.push(variable.text.to_owned());
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.take();
                    pipeline.variables.push(variable.text.to_owned());
                    self.variables.push(variable.text.to_owned());
                    if context != "range" || pipeline.variables.len() > 1 {
                        return Err(syntax(next.at, format!("found too many variables for {context}")));
                    }
                    if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return Err(syntax(next.at, "expected a second variable after the comma"));
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let at = self.peek_word().at;
        let mut operands = Vec::new();
        loop {
            self.peek_word();
            operands.extend(self.operand()?);
            let token = self.peek();
            match token.kind {
                Kind::Space => {
                    self.take();
                }
                Kind::RightDelim | Kind::RightParen => break,
                Kind::Pipe => {
                    self.take();
                    break;
                }
                _ => return Err(unexpected(token, "an operand")),
            }
        }
        if operands.is_empty() {
            return Err(syntax(at, "expected a command, found none"));
        }
        let first = operands.remove(0);
        Ok(Command { at, first, arguments: operands })
    }

    /// Notes calls with too few or too many arguments. `piped` is 1 if the last argument comes from the command before.
    fn check_arity(&mut self, command: &Command, piped: usize) {
        let first = match command.first.term {
            Term::Function(function) => Some((command.first.at, function, command.arguments.len() + piped)),
            _ => None,
        };
        let words = command.arguments.iter().filter_map(|argument| match argument.term {
            Term::Function(function) => Some((argument.at, function, 0)),
            _ => None,
        });
        for (at, function, count) in first.into_iter().chain(words) {
            if let Err(message) = function.check_count(count) {
                self.faults.push(Fault { at, code: ErrorCode::TemplateHelper, message, help: None });
            }
        }
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.take().text[1..].to_owned());
        }
        let Operand { at, term } = operand;
        let term = match term {
            Term::Field(mut names) => {
                names.extend(fields);
                Term::Field(names)
            }
            Term::Variable(name, mut names) => {
                names.extend(fields);
                Term::Variable(name, names)
            }
            Term::Bool(_) | Term::String(_) | Term::Number(_) | Term::Nil | Term::Dot => {
                return Err(syntax(at, "found a field of a constant or of the dot"));
            }
            other => Term::Chain(Box::new(Operand { at, term: other }), fields),
        };
        Ok(Some(Operand { at, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.peek_word();
        let term = match token.kind {
            Kind::Identifier => {
                self.take();
                return Ok(Some(Operand { at: token.at, term: Term::Function(self.function(token)) }));
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.variables.iter().any(|known| known == token.text) {
                    return Err(syntax(token.at, format!("found the undefined variable {}", token.text)));
                }
                Term::Variable(token.text.to_owned(), Vec::new())
            }
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharConstant => Term::Number(char_constant(token)?),
            Kind::Number | Kind::Complex => match numbers::constant(token.text) {
                Some(number) => Term::Number(number),
                None => return Err(syntax(token.at, "found a number that Go does not read or that is too large")),
            },
            Kind::LeftParen => {
                self.take();
                let pipeline = self.pipeline("the parentheses", Kind::RightParen)?;
                return Ok(Some(Operand { at: token.at, term: Term::Pipeline(Box::new(pipeline)) }));
            }
            Kind::String | Kind::RawString => Term::String(string_constant(token)?),
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(Operand { at: token.at, term }))
    }

    /// The function that `token` names; where there is none, a fault and any function in its place.
    fn function(&mut self, token: Token<'t>) -> &'static funcs::Function {
        if let Some(function) = funcs::find(token.text) {
            return function;
        }
        let (code, message, help) = match funcs::refusal(token.text) {
            Some(refusal) => {
                let message = format!("the function `{}` is refused: {}", token.text, refusal.reason);
                (ErrorCode::TemplateRefused, message, Some(refusal.instead.to_owned()))
            }
            None => {
                let message = format!("found the function `{}`, which does not exist", token.text);
                (ErrorCode::TemplateHelper, message, None)
            }
        };
        self.faults.push(Fault { at: token.at, code, message, help });
        &funcs::PLACEHOLDER
    }
}

/// Whether a template says nothing, so that another definition may replace it.
fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text(_, text) if text.trim().is_empty()))
}

fn unexpected(token: Token<'_>, expected: &str) -> Fault {
    let expected = match expected {
        "if" | "with" | "range" => format!("the value of `{expected}`"),
        other => other.to_owned(),
    };
    match token.kind {
        Kind::End => syntax(token.at, format!("expected {expected}, found the end of the template")),
        Kind::RightDelim => syntax(token.at, format!("expected {expected}, found the end of the action")),
        _ => syntax(token.at, format!("expected {expected}, found `{}`", token.text)),
    }
}

fn string_constant(token: Token<'_>) -> Parsed<Vec<u8>> {
    let inside = token.text.get(1..token.text.len() - 1).unwrap_or_default();
    if token.kind == Kind::RawString {
        return Ok(inside.bytes().filter(|byte| *byte != b'\r').collect());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while !rest.is_empty() {
        let (unit, after) = unquoted(rest, '"')
            .ok_or_else(|| syntax(token.at, "found a string with an escape that Go does not know"))?;
        match unit {
            Unit::Byte(byte) => bytes.push(byte),
            Unit::Char(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = after;
    }
    Ok(bytes)
}

fn char_constant(token: Token<'_>) -> Parsed<Number> {
    let inside = token.text.get(1..token.text.len() - 1).unwrap_or_default();
    match unquoted(inside, '\'') {
        Some((unit, "")) => {
            let code = match unit {
                Unit::Byte(byte) => i64::from(byte),
                Unit::Char(character) => i64::from(u32::from(character)),
            };
            Ok(Number {
                int: Some(code),
                uint: u64::try_from(code).ok(),
                float: Some(code as f64),
                ..Number::default()
            })
        }
        _ => Err(syntax(token.at, "expected one character in single quotes")),
    }
}

enum Unit {
    Byte(u8),
    Char(char),
}

/// Reads one character or escape of an interpreted constant.
fn unquoted(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first != '\\' {
        return (first != quote).then_some((Unit::Char(first), characters.as_str()));
    }
    let kind = characters.next()?;
    let rest = characters.as_str();
    let simple = |character| Some((Unit::Char(character), rest));
    match kind {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' => simple('\\'),
        '\'' | '"' if kind == quote => simple(kind),
        'x' | 'u' | 'U' => {
            let length = if kind == 'x' {
                2
            } else if kind == 'u' {
                4
            } else {
                8
            };
            let digits = rest.get(..length).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            let code = u32::from_str_radix(digits, 16).ok()?;
            let unit = match kind {
                'x' => Unit::Byte(u8::try_from(code).ok()?),
                _ => Unit::Char(char::from_u32(code)?),
            };
            Some((unit, &rest[length..]))
        }
        '0'..='7' => {
            let digits = text.get(1..4).filter(|digits| digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)))?;
            let code = u32::from_str_radix(digits, 8).ok()?;
            Some((Unit::Byte(u8::try_from(code).ok()?), &text[4..]))
        }
        _ => None,
    }
}
