//! Finds `{{ if }}` around the value that it tests. It leaves out `false` and `0`, which is seldom meant.

use super::ast::{Branch, Command, Node, Operand, Pipeline, Term, Tree};

/// Functions whose result can be false, 0 or empty if their argument is.
const PASSING: [&str; 12] = [
    "float64",
    "int",
    "int64",
    "mustToJson",
    "print",
    "printf",
    "println",
    "quote",
    "squote",
    "toJson",
    "toRawJson",
    "toString",
];

/// A test that leaves values out.
#[derive(Debug)]
pub(super) struct Dropped {
    /// The byte in the template.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// Returns the tests in `tree` that leave values out.
pub(super) fn of(tree: &Tree) -> Vec<Dropped> {
    let mut walk = Walk { found: Vec::new(), dots: 0 };
    walk.nodes(&tree.root, Dot(0));
    for nodes in tree.defined.values() {
        let dot = walk.next_dot();
        walk.nodes(nodes, dot);
    }
    walk.found.sort_by_key(|dropped| dropped.at);
    walk.found
}

struct Walk {
    found: Vec<Dropped>,
    dots: usize,
}

/// What the dot is: 0 is the session, and each block that changes it has another number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Dot(usize);

/// A value as a template names it.
#[derive(PartialEq, Eq)]
struct Named<'e> {
    base: Base<'e>,
    names: &'e [String],
}

#[derive(PartialEq, Eq)]
enum Base<'e> {
    Dot(Dot),
    Variable(&'e str),
}

impl Walk {
    fn next_dot(&mut self) -> Dot {
        self.dots += 1;
        Dot(self.dots)
    }

    fn nodes(&mut self, nodes: &[Node], dot: Dot) {
        for node in nodes {
            match node {
                Node::If(branch) => {
                    self.check(branch, dot);
                    self.nodes(&branch.body, dot);
                    self.nodes(branch.otherwise.as_deref().unwrap_or_default(), dot);
                }
                Node::With(branch) | Node::Range(branch) => {
                    let inner = self.next_dot();
                    self.nodes(&branch.body, inner);
                    self.nodes(branch.otherwise.as_deref().unwrap_or_default(), dot);
                }
                Node::Action(_) | Node::Break | Node::Continue | Node::Template { .. } | Node::Text(..) => {}
            }
        }
    }

    fn check(&mut self, branch: &Branch, dot: Dot) {
        let pipeline = &branch.pipeline;
        let [Command { first, arguments, .. }] = pipeline.commands.as_slice() else { return };
        let Some(tested) = named(first, dot).filter(|_| arguments.is_empty() && pipeline.variables.is_empty()) else {
            return;
        };
        let Some((last, owners)) = tested.names.split_last() else { return };
        let otherwise = branch.otherwise.as_deref().unwrap_or_default();
        if !writes(&branch.body, &tested, Some(dot), true) || writes(otherwise, &tested, Some(dot), false) {
            return;
        }
        let (owner, path) = match &first.term {
            Term::Variable(name, _) => (joined(name, owners), joined(name, tested.names)),
            _ if owners.is_empty() => (".".to_owned(), joined("", tested.names)),
            _ => (joined("", owners), joined("", tested.names)),
        };
        self.found.push(Dropped {
            at: first.at,
            message: format!("`{{{{ if {path} }}}}` leaves out the value of `{path}` if it is false, 0 or empty"),
            help: format!("write {{{{ if hasKey {owner} \"{last}\" }}}} to keep such values"),
        });
    }
}

/// Returns `true` if `nodes` write the value of `path`. If `is_strict`, blocks whose test depends on the value do not count:
/// they choose which values are written.
fn writes(nodes: &[Node], path: &Named<'_>, dot: Option<Dot>, is_strict: bool) -> bool {
    let inside = |branch: &Branch, dot_of_body| {
        writes(&branch.body, path, dot_of_body, is_strict)
            || writes(branch.otherwise.as_deref().unwrap_or_default(), path, dot, is_strict)
    };
    nodes.iter().any(|node| match node {
        Node::Action(pipeline) => pipeline.variables.is_empty() && is_passed_on(pipeline, path, dot),
        Node::If(branch) => !(is_strict && mentions(&branch.pipeline, path, dot)) && inside(branch, dot),
        Node::With(branch) | Node::Range(branch) => {
            !(is_strict && mentions(&branch.pipeline, path, dot)) && inside(branch, None)
        }
        Node::Break | Node::Continue | Node::Template { .. } | Node::Text(..) => false,
    })
}

/// Returns `true` if the value of `path` goes through `pipeline` without a function that changes what it is.
fn is_passed_on(pipeline: &Pipeline, path: &Named<'_>, dot: Option<Dot>) -> bool {
    let is_passing = |command: &Command| match &command.first.term {
        Term::Function(function) => PASSING.contains(&function.name),
        _ => false,
    };
    let mut commands = pipeline.commands.iter();
    let Some(first) = commands.next() else { return false };
    let starts = match &first.first.term {
        Term::Function(_) => is_passing(first) && first.arguments.iter().any(|argument| is_it(argument, path, dot)),
        _ => first.arguments.is_empty() && is_it(&first.first, path, dot),
    };
    starts && commands.all(is_passing)
}

fn is_it(operand: &Operand, path: &Named<'_>, dot: Option<Dot>) -> bool {
    match &operand.term {
        Term::Pipeline(pipeline) => is_passed_on(pipeline, path, dot),
        _ => is_same(operand, path, dot),
    }
}

fn is_same(operand: &Operand, path: &Named<'_>, dot: Option<Dot>) -> bool {
    // In a block of its own, the dot is another value.
    named(operand, dot.unwrap_or(Dot(usize::MAX))).is_some_and(|named| named == *path)
}

fn mentions(pipeline: &Pipeline, path: &Named<'_>, dot: Option<Dot>) -> bool {
    let operands = |command: &Command| {
        std::iter::once(&command.first).chain(&command.arguments).any(|operand| match &operand.term {
            Term::Pipeline(inner) => mentions(inner, path, dot),
            _ => is_same(operand, path, dot),
        })
    };
    pipeline.commands.iter().any(operands)
}

fn named(operand: &Operand, dot: Dot) -> Option<Named<'_>> {
    match &operand.term {
        Term::Field(names) => Some(Named { base: Base::Dot(dot), names }),
        // In a defined template, `$` is not the session, but there no dot has the number of the session either.
        Term::Variable(name, names) if name == "$" => Some(Named { base: Base::Dot(Dot(0)), names }),
        Term::Variable(name, names) => Some(Named { base: Base::Variable(name), names }),
        _ => None,
    }
}

fn joined(base: &str, names: &[String]) -> String {
    names.iter().fold(base.to_owned(), |path, name| format!("{path}.{name}"))
}
