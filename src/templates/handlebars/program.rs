//! What a template is compiled to: a list of steps whose JSON structure is fixed, with expressions between them.

use std::sync::Arc;

use super::helpers::{Helper, Pattern};
use crate::json::Json;
use crate::session::Selected;

/// A place in one of the compiled sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) source: u32,
    pub(super) offset: u32,
}

/// One step. Commas and colons are no steps: the writer places them.
#[derive(Debug)]
pub(super) enum Op {
    /// `[` or `{`.
    Open(Bracket),
    /// The end of what was opened last.
    Close,
    /// A whole member name, with its quotes, as the template spells it.
    Name(Box<str>),
    /// A whole number, word or string, as the template spells it.
    Scalar(Box<str>),
    /// A member name made of parts begins.
    NameStart,
    /// A string made of parts begins.
    StringStart,
    /// Text inside such a string or name, already escaped.
    Text(Box<str>),
    /// A member name made of parts ends.
    NameEnd,
    /// A string made of parts ends.
    StringEnd,
    /// An expression where a whole value stands.
    Value {
        expr: Expr,
        /// It is the whole document, so it must be an object.
        is_document: bool,
        /// The place of the session that it is, from where it may be copied.
        copied: Option<Selected>,
    },
    /// An expression inside a string or a member name.
    Part(Expr),
    /// The first branch whose test holds, else the last list.
    If { branches: Vec<Branch>, otherwise: Vec<Op> },
    /// The body for each element, else the other list when there is none.
    Each { over: Expr, local: Option<usize>, index_local: Option<usize>, body: Vec<Op>, otherwise: Option<Vec<Op>> },
    /// The body with another context, else the other list when the value is falsy.
    With { value: Expr, local: Option<usize>, body: Vec<Op>, otherwise: Option<Vec<Op>> },
    /// The body with values under new names.
    Let { values: Vec<Expr>, body: Vec<Op> },
    /// A partial: its own context, if it was given one, and named arguments.
    Partial { context: Option<Expr>, values: Vec<Expr>, body: Vec<Op> },
}

/// One test of an `if` chain and what it guards.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) test: Expr,
    /// `unless`: the body is for a test that does not hold.
    pub(super) negated: bool,
    pub(super) body: Vec<Op>,
}

/// The two things that hold values in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Array,
    Object,
}

/// Something that has a value.
#[derive(Debug)]
pub(super) enum Expr {
    Literal(Json<'static>, Site),
    Path(Path),
    Call(Call),
}

/// A way through the data.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) base: Base,
    pub(super) keys: Vec<Key>,
    /// As an error names it, from its base.
    pub(super) shown: String,
    pub(super) site: Site,
}

/// Where a path starts. Numbers are places on the renderer's stacks, known when the template is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The whole session.
    Root,
    /// The context of a block.
    Context(usize),
    /// A name from `let`, `as |name|` or a partial's arguments.
    Local(usize),
    /// `@index`, `@key`, `@first`, `@last` of a loop.
    Loop(usize, LoopFact),
}

/// What a loop knows about its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopFact {
    First,
    Index,
    Key,
    Last,
}

/// One step of a path: a member name, or the index of an element where it is a number.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

impl Key {
    pub(super) fn new(name: &str) -> Self {
        let is_index = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        Self { name: name.to_owned(), index: is_index.then(|| name.parse().ok()).flatten() }
    }
}

/// A helper with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) helper: &'static Helper,
    pub(super) arguments: Vec<Expr>,
    /// A pattern written in the template, compiled when it is loaded.
    pub(super) pattern: Option<Arc<Pattern>>,
    pub(super) site: Site,
}

impl Expr {
    pub(super) fn site(&self) -> Site {
        match self {
            Expr::Literal(_, site) => *site,
            Expr::Path(path) => path.site,
            Expr::Call(call) => call.site,
        }
    }
}
