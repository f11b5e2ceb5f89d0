//! What a Go template reads of a session, and whether it reads the time.
//!
//! By whole parts: `.Extra.a` reads all of `Extra`. Wherever the session itself is handed on, everything is read.

use super::ast::{Branch, Node, Operand, Pipeline, Term, Tree};
use super::funcs;
use crate::nearest::nearest;
use crate::session::{Part, Selection};

/// What a template reads.
#[derive(Debug)]
pub(super) struct Reads {
    pub(super) selection: Selection,
    pub(super) clock: bool,
    /// Paths that no session has. Go fails where it executes them, so they are no errors of the template as a whole.
    pub(super) impossible: Vec<Impossible>,
}

/// A path that no session has.
#[derive(Debug)]
pub(super) struct Impossible {
    /// The byte in the template.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// Finds out what `tree` reads.
pub(super) fn of(tree: &Tree) -> Reads {
    let reads = Reads { selection: Selection::default(), clock: false, impossible: Vec::new() };
    let mut walk = Walk { reads, is_everything: false, is_in_root: true };
    walk.nodes(&tree.root, true);
    walk.is_in_root = false;
    // There the dot is what the template was called with, which was looked at where it was called; so is `$`, but it
    // does no harm to take it for the session.
    tree.defined.values().for_each(|nodes| walk.nodes(nodes, false));
    if walk.is_everything {
        walk.reads.selection = Selection::everything().clone();
    }
    walk.reads
}

struct Walk {
    reads: Reads,
    is_everything: bool,
    /// Whether `$` is the session.
    is_in_root: bool,
}

/// The members of the session, and of its match context, in Go's structures.
const SESSION: [&str; 4] = ["Subject", "Extra", "Header", "MatchContext"];
const MATCH_CONTEXT: [&str; 4] = ["RegexpCaptureGroups", "URL", "Method", "Header"];

/// Returns what is wrong with a path from the session that no session has.
fn impossible(at: usize, names: &[String]) -> Option<Impossible> {
    let (first, second) = (names.first()?.as_str(), names.get(1).map(String::as_str));
    let suggestion = |name: &str, known: &[&'static str], before: &str, otherwise: &str| match nearest(
        name,
        known.iter().copied(),
    ) {
        Some(near) => format!("did you mean `{before}.{near}`?"),
        None => otherwise.to_owned(),
    };
    let (message, help) = match (first, second) {
        ("Subject", Some(second)) => (
            format!("expected `.Subject` without fields, found `.Subject.{second}`"),
            "the subject is text; a Kratos identity is .Extra.identity.id".to_owned(),
        ),
        ("MatchContext", Some(second)) if !MATCH_CONTEXT.contains(&second) => (
            format!("expected RegexpCaptureGroups, URL, Method or Header below .MatchContext, found `{second}`"),
            suggestion(second, &MATCH_CONTEXT, ".MatchContext", "data of the session is below .Extra"),
        ),
        (first, _) if !SESSION.contains(&first) => (
            format!("expected .Subject, .Extra, .Header or .MatchContext, found `.{first}`"),
            suggestion(first, &SESSION, "", "data of the session is below .Extra"),
        ),
        _ => return None,
    };
    Some(Impossible { at, message, help })
}

impl Walk {
    /// `session_is_dot`: whether the dot is the session here.
    fn nodes(&mut self, nodes: &[Node], session_is_dot: bool) {
        for node in nodes {
            match node {
                Node::Text(..) | Node::Break | Node::Continue => {}
                Node::Action(pipeline) => self.pipeline(pipeline, session_is_dot),
                Node::If(branch) => self.branch(branch, session_is_dot, session_is_dot),
                Node::With(branch) | Node::Range(branch) => self.branch(branch, session_is_dot, false),
                Node::Template { argument, .. } => {
                    argument.iter().for_each(|pipeline| self.pipeline(pipeline, session_is_dot));
                }
            }
        }
    }

    fn branch(&mut self, branch: &Branch, session_is_dot: bool, session_is_dot_in_body: bool) {
        self.pipeline(&branch.pipeline, session_is_dot);
        self.nodes(&branch.body, session_is_dot_in_body);
        self.nodes(branch.otherwise.as_deref().unwrap_or_default(), session_is_dot);
    }

    fn pipeline(&mut self, pipeline: &Pipeline, session_is_dot: bool) {
        for command in &pipeline.commands {
            self.operand(&command.first, session_is_dot);
            command.arguments.iter().for_each(|operand| self.operand(operand, session_is_dot));
        }
    }

    fn operand(&mut self, operand: &Operand, session_is_dot: bool) {
        match &operand.term {
            Term::Bool(_) | Term::Nil | Term::Number(_) | Term::String(_) => {}
            Term::Chain(operand, _) => self.operand(operand, session_is_dot),
            Term::Dot if session_is_dot => self.is_everything = true,
            Term::Field(names) if session_is_dot => self.path(operand.at, names),
            Term::Dot | Term::Field(_) => {}
            Term::Function(function) => self.reads.clock |= funcs::reads_clock(function),
            Term::Pipeline(pipeline) => self.pipeline(pipeline, session_is_dot),
            Term::Variable(name, names) if name == "$" && self.is_in_root => self.path(operand.at, names),
            Term::Variable(name, names) if name == "$" => self.member(names.first()),
            // It holds what a pipeline gave, which was looked at there.
            Term::Variable(..) => {}
        }
    }

    fn path(&mut self, at: usize, names: &[String]) {
        self.reads.impossible.extend(impossible(at, names));
        self.member(names.first());
    }

    fn member(&mut self, name: Option<&String>) {
        let part = match name.map(String::as_str) {
            Some("Subject") => return,
            Some("Extra") => Part::Extra,
            Some("Header") => Part::Header,
            Some("MatchContext") => Part::MatchContext,
            _ => {
                self.is_everything = true;
                return;
            }
        };
        self.reads.selection.read(part.selected());
    }
}
