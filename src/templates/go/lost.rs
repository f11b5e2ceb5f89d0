//! Finds the member that a session lacks when a template fails, so that the error can name it and its neighbors.

use super::ast::{Command, Operand, Pipeline, Term};
use super::context::Problem;
use super::value::Value;
use crate::templates::error::value_at;
use crate::templates::{LostMember, LostUsage, RenderInput};

/// A variable of a template.
pub(super) struct Variable<'e> {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) source: Source<'e>,
}

/// Where the dot or the value of a variable comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'e> {
    /// This pipeline, or an element of its value.
    Pipeline {
        pipeline: &'e Pipeline,
        /// How many blocks and variables there were when it was evaluated.
        blocks: usize,
        variables: usize,
        round: Option<Round>,
    },
    /// It is the session.
    Session,
    /// A function or an assignment made it.
    Unknown,
}

/// An iteration of `range`.
#[derive(Clone, Copy)]
pub(super) enum Round {
    Index(usize),
    /// The entry of a map. Its key is a value of the session.
    Key,
}

/// The value that the fields of an expression are taken from.
#[derive(Clone, Copy)]
pub(super) enum Base<'e> {
    Dot,
    Variable(&'e str),
    /// Another value, such as the result of a function.
    Value,
}

/// The variables and the blocks around an expression.
pub(super) struct Scope<'s, 'e> {
    pub(super) input: &'s RenderInput<'s>,
    /// Where the dot comes from, outside and in each block.
    pub(super) blocks: &'s [Source<'e>],
    pub(super) variables: &'s [Variable<'e>],
}

impl<'e> Scope<'_, 'e> {
    /// Adds to `problem` that the value of `base` lacks one of `names`, of which the template reads `field`.
    pub(super) fn lacks_owner(&self, mut problem: Problem, base: Base<'e>, names: &[String], field: &str) -> Problem {
        let lost = self.lost(base, names, LostUsage::GoOwner(field.to_owned()));
        if let Some(lost) = &lost {
            problem.message = format!(
                "expected a value with the field {field}, found nil: {}{} is missing or null",
                lost.prefix,
                names.join(".")
            );
        }
        problem.lost = lost.map(Box::new);
        problem
    }

    /// Adds to `problem` the member of the session that `pipeline` needs and that is missing.
    pub(super) fn lacks_value(&self, mut problem: Problem, pipeline: &'e Pipeline, usage: LostUsage) -> Problem {
        if problem.lost.is_none() {
            let mut operands = pipeline.commands.iter().flat_map(operands_of);
            problem.lost = operands.find_map(|operand| {
                let (base, names) = names_of(operand)?;
                let lost = self.lost(base, names, usage.clone())?;
                lost.parents.is_some().then(|| Box::new(lost))
            });
        }
        problem
    }

    /// Returns the member that is missing, if the session lacks one of `names`. If it is not known where `base` is in the session,
    /// it is the last one.
    fn lost(&self, base: Base<'e>, names: &[String], usage: LostUsage) -> Option<LostMember> {
        let prefix = match base {
            Base::Dot => ".".to_owned(),
            Base::Variable("$") => "$.".to_owned(),
            Base::Variable(name) => format!("{name}."),
            Base::Value => return None,
        };
        let last = names.len().checked_sub(1)?;
        let parents = self.base_path(base, self.blocks.len() + self.variables.len());
        let mut lost = LostMember { prefix, names: names.to_vec(), missing_at: last, parents, usage };
        if let Some(parents) = &lost.parents {
            let path = [parents.as_slice(), names].concat();
            if path.first().is_none_or(|part| part != "Extra") {
                return None;
            }
            let is_missing = |end: &usize| value_at(self.input.extra, &path[1..*end]).is_none();
            match (parents.len().max(1)..=path.len()).find(is_missing) {
                Some(end) => lost.missing_at = end.checked_sub(parents.len() + 1)?,
                // It is null, so no other name is meant.
                None => lost.parents = None,
            }
        }
        Some(lost)
    }

    /// Returns the path of `base` from the top of the session. Each of the `steps` goes to an outer block or an earlier variable.
    fn base_path(&self, base: Base<'_>, steps: usize) -> Option<Vec<String>> {
        let source = match base {
            Base::Dot => *self.blocks.last()?,
            Base::Variable(name) => self.variables.iter().rev().find(|variable| variable.name == name)?.source,
            Base::Value => return None,
        };
        let (pipeline, blocks, variables, round) = match source {
            Source::Pipeline { pipeline, blocks, variables, round } => (pipeline, blocks, variables, round),
            Source::Session => return Some(Vec::new()),
            Source::Unknown => return None,
        };
        let [Command { first, arguments, .. }] = pipeline.commands.as_slice() else { return None };
        let (base, names) = names_of(first).filter(|_| arguments.is_empty())?;
        let outer = Self { blocks: self.blocks.get(..blocks)?, variables: self.variables.get(..variables)?, ..*self };
        let mut path = outer.base_path(base, steps.checked_sub(1)?)?;
        path.extend_from_slice(names);
        match round {
            Some(Round::Index(index)) => path.push(index.to_string()),
            Some(Round::Key) => return None,
            None => {}
        }
        Some(path)
    }
}

fn operands_of(command: &Command) -> impl Iterator<Item = &Operand> {
    std::iter::once(&command.first).chain(&command.arguments)
}

/// Returns the fields that `operand` reads, and of what.
fn names_of(operand: &Operand) -> Option<(Base<'_>, &[String])> {
    match &operand.term {
        Term::Dot => Some((Base::Dot, &[])),
        Term::Field(names) => Some((Base::Dot, names)),
        Term::Variable(name, names) => Some((Base::Variable(name), names)),
        _ => None,
    }
}
