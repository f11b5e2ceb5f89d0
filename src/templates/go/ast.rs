//! What a Go template says, as a tree.

/// A template and the ones it defines.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Vec<Node>,
    pub(super) defined: std::collections::HashMap<String, Vec<Node>>,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Node {
    /// Literal text and where it starts.
    Text(usize, String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        at: usize,
        name: String,
        argument: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// A condition or a sequence, and what to do with it.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Option<Vec<Node>>,
}

/// Commands, each handing its value to the next.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) at: usize,
    /// `=` instead of `:=`.
    pub(super) is_assignment: bool,
    pub(super) variables: Vec<String>,
    pub(super) commands: Vec<Command>,
}

impl Pipeline {
    /// Returns `true` if no session can change its value.
    pub(super) fn is_constant(&self) -> bool {
        let words =
            |command: &Command| std::iter::once(&command.first).chain(&command.arguments).all(Operand::is_constant);
        self.commands.iter().all(words)
    }
}

impl Operand {
    fn is_constant(&self) -> bool {
        match &self.term {
            Term::Bool(_) | Term::Function(_) | Term::Nil | Term::Number(_) | Term::String(_) => true,
            Term::Chain(operand, _) => operand.is_constant(),
            Term::Pipeline(inner) => inner.is_constant(),
            Term::Dot | Term::Field(_) | Term::Variable(..) => false,
        }
    }
}

/// A value, or a call with arguments. Never empty.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// One word of a command.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
}

/// What a word is.
#[derive(Debug)]
pub(super) enum Term {
    Bool(bool),
    /// An operand that is not itself a field or a variable, and the fields after it.
    Chain(Box<Operand>, Vec<String>),
    Dot,
    Field(Vec<String>),
    Function(&'static super::funcs::Function),
    Nil,
    Number(Number),
    Pipeline(Box<Pipeline>),
    String(Vec<u8>),
    /// A variable, and the fields after it.
    Variable(String, Vec<String>),
}

/// A number constant, with every reading that it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Number {
    pub(super) int: Option<i64>,
    pub(super) uint: Option<u64>,
    pub(super) float: Option<f64>,
    pub(super) complex: Option<(f64, f64)>,
    /// What it is where nothing asks for a type.
    pub(super) is_float: bool,
}
