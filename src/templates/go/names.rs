//! What a Go template names: the members that its own text sets, and the paths of the session.

use super::GoTemplate;
use super::ast::{Node, Pipeline, Term};
use super::outline::Outline;
use crate::claims::RegisteredClaim;

impl GoTemplate {
    /// The registered claims, but `aud`, that the template's own text sets.
    pub fn registered_claims(&self) -> Vec<RegisteredClaim> {
        let mut outline = Outline::default();
        read_outline(&self.tree.root, &mut outline);
        let mut claims: Vec<_> = outline
            .names()
            .iter()
            .filter_map(|name| RegisteredClaim::of(name))
            .filter(|claim| *claim != RegisteredClaim::Audience)
            .collect();
        claims.dedup();
        claims
    }

    /// The paths of the session that the template names, without the dot before them.
    pub fn session_paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        each_pipeline(&self.tree.root, &mut |pipeline| collect_paths(pipeline, &mut paths));
        paths.sort();
        paths.dedup();
        paths
    }
}

fn read_outline(nodes: &[Node], outline: &mut Outline) {
    for node in nodes {
        match node {
            Node::Text(_, text) => outline.read(text),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                let before = outline.clone();
                read_outline(&branch.body, outline);
                if let Some(otherwise) = &branch.otherwise {
                    let mut other = before;
                    read_outline(otherwise, &mut other);
                    outline.add_names(&other);
                }
            }
            Node::Action(_) | Node::Template { .. } | Node::Break | Node::Continue => {}
        }
    }
}

fn each_pipeline<'g>(nodes: &'g [Node], visit: &mut dyn FnMut(&'g Pipeline)) {
    for node in nodes {
        match node {
            Node::Action(pipeline) => visit(pipeline),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                visit(&branch.pipeline);
                each_pipeline(&branch.body, visit);
                each_pipeline(branch.otherwise.as_deref().unwrap_or_default(), visit);
            }
            Node::Template { argument, .. } => argument.iter().for_each(&mut *visit),
            Node::Text(..) | Node::Break | Node::Continue => {}
        }
    }
}

fn collect_paths(pipeline: &Pipeline, paths: &mut Vec<Vec<String>>) {
    for command in &pipeline.commands {
        let keys = command.arguments.iter().skip(1).map_while(|key| match &key.term {
            Term::String(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        });
        let is_index = matches!(&command.first.term, Term::Function(function) if function.name == "index");
        for (index, operand) in std::iter::once(&command.first).chain(&command.arguments).enumerate() {
            match &operand.term {
                Term::Field(names) => {
                    let mut path = names.clone();
                    if is_index && index == 1 {
                        path.extend(keys.clone());
                    }
                    paths.push(path);
                }
                Term::Pipeline(inner) => collect_paths(inner, paths),
                Term::Chain(inner, _) => {
                    if let Term::Pipeline(inner) = &inner.term {
                        collect_paths(inner, paths);
                    }
                }
                _ => {}
            }
        }
    }
}
