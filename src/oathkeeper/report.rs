//! The report of an import: in Markdown, as JSON, as a summary, and the change that Oathkeeper needs.

use std::path::Path;

use serde_json::{Value, json};

use super::imported::Imported;
use super::proof::LENIENT;
use crate::escape;
use crate::templates::Syntax;
use crate::templates::go::RemarkKind;

/// The default address of the API listener.
const API: &str = "http://127.0.0.1:4477";

/// Returns `REPORT.md`.
pub(super) fn markdown(warnings: &[String], imported: &[Imported], file: &Path) -> String {
    let mut out = format!("# Import of {}\n", file.display());
    for warning in warnings {
        out.push_str(&format!("\n- {warning}\n"));
    }
    for one in imported {
        out.push_str(&format!("\n## Profile {}\n\n", one.profile.name()));
        out.push_str(&format!("From {}.\n", one.profile.origin()));
        out.push_str(match one.syntax {
            Syntax::Handlebars => "The template was converted to Handlebars: `claims.hbs`.\n",
            Syntax::Go => "The template stays a Go template, `claims.gotmpl`, for the reasons below.\n",
        });
        for (kind, heading) in [
            (RemarkKind::Unconvertible, "Not convertible"),
            (RemarkKind::Trap, "Pitfalls in the original"),
            (RemarkKind::Changed, "Changed"),
        ] {
            let remarks: Vec<_> = one.remarks.iter().filter(|remark| remark.kind == kind).collect();
            if remarks.is_empty() || kind == RemarkKind::Changed && one.syntax == Syntax::Go {
                continue;
            }
            out.push_str(&format!("\n### {heading}\n\n"));
            for remark in remarks {
                out.push_str(&format!("- line {}: {}\n", remark.line, remark.message));
            }
        }
        let proof = &one.proof;
        out.push_str("\n### Both forms compared\n\n");
        match one.syntax {
            Syntax::Go => out.push_str("The template was not converted, so there is only one form.\n"),
            Syntax::Handlebars => out.push_str(&format!(
                "{} sessions: {} get the same claims from both forms, {} are rejected by both, {} differ.\n",
                proof.tried,
                proof.same,
                proof.refused,
                proof.differing()
            )),
        }
        for difference in &proof.differences {
            let more = match difference.count {
                1 => String::new(),
                count => format!(" ({} sessions of this kind)", count),
            };
            out.push_str(&format!("- {}{more}: {}\n", difference.session, difference.what.replace('\n', " ")));
        }
        if proof.differences.iter().any(|difference| difference.what == LENIENT) {
            out.push_str(
                "\nIf Oathkeeper makes no token and the import makes one, the session lacks a value that the template reads. If \
                 a token without that value would be wrong, write `{{required Extra.…}}` in the template, or set \
                 `missing: error` in the profile.\n",
            );
        }
        if proof.case.is_some() {
            out.push_str("\nA session with equal claims from both forms is recorded beside the template.\n");
        }
    }
    out.push_str(&format!("\n## The change in Oathkeeper\n\n{}", oathkeeper_change(imported)));
    out.push_str("\n## Access rules\n\n| Access rule | Path of its hydrator |\n| --- | --- |\n");
    for one in imported {
        for rule in &one.profile.rules {
            out.push_str(&format!("| {} | `/hydrate/{}` |\n", rule.replace('|', "\\|"), one.profile.name()));
        }
    }
    out
}

/// Returns the report for programs.
pub(super) fn json(warnings: &[String], imported: &[Imported]) -> String {
    let profiles: Vec<Value> = imported
        .iter()
        .map(|one| {
            let remarks = |kind: RemarkKind| -> Vec<Value> {
                one.remarks
                    .iter()
                    .filter(|remark| remark.kind == kind)
                    .map(|remark| json!({"line": remark.line, "message": remark.message}))
                    .collect()
            };
            let differences: Vec<Value> = one
                .proof
                .differences
                .iter()
                .map(|difference| {
                    json!({"session": difference.session, "what": difference.what, "sessions": difference.count})
                })
                .collect();
            json!({
                "name": one.profile.name().as_str(),
                "global": one.profile.is_global,
                "rules": one.profile.rules,
                "template": one.template_file(),
                "changed": remarks(RemarkKind::Changed),
                "traps": remarks(RemarkKind::Trap),
                "not_convertible": remarks(RemarkKind::Unconvertible),
                "compared": {"sessions": one.proof.tried, "same": one.proof.same, "refused": one.proof.refused,
                    "different": one.proof.differing()},
                "differences": differences,
            })
        })
        .collect();
    json!({"profiles": profiles, "warnings": warnings, "oathkeeper": oathkeeper_change(imported)}).to_string()
}

/// Returns a few lines for the terminal; `out` is the imported directory.
pub(super) fn summary(imported: &[Imported], out: &Path) -> String {
    let mut lines = vec![format!(
        "{}: {} profile(s); read REPORT.md there",
        escape::line(&out.display().to_string()),
        imported.len()
    )];
    for one in imported {
        let count = |kind| one.remarks.iter().filter(|remark| remark.kind == kind).count();
        let proof = &one.proof;
        lines.push(format!(
            "  {}: {}, {} pitfall(s) in the original, {} expression(s) not convertible; of {} sessions {} same, {} \
             rejected by both, {} different",
            one.profile.name(),
            one.template_file(),
            count(RemarkKind::Trap),
            count(RemarkKind::Unconvertible),
            proof.tried,
            proof.same,
            proof.refused,
            proof.differing()
        ));
    }
    lines.push(format!(
        "next: claimsmith check --config {0}/claimsmith.yaml and serve it. To compare its claims with Oathkeeper's own \
         tokens first, set `shadow: true` in each profile and add the hydrator after id_token in each rule \
         (docs/migrate-from-oathkeeper.md, Compare). Then change Oathkeeper:",
        out.display()
    ));
    lines.join("\n")
}

/// Returns the `hydrator` mutators that replace `id_token`, in the global configuration and in each rule.
pub(super) fn oathkeeper_change(imported: &[Imported]) -> String {
    let mut out = String::from("```yaml\n");
    let url = |name: &str| format!("{API}/hydrate/{name}");
    if let Some(first) = imported.first() {
        out.push_str("# in the configuration, beside mutators.id_token\nmutators:\n  hydrator:\n");
        out.push_str(&format!(
            "    enabled: true\n    config: {{ api: {{ url: {} }} }}\n",
            url(first.profile.name().as_str())
        ));
    }
    for one in imported {
        let name = one.profile.name().as_str();
        out.push_str(&format!("# {}, instead of handler: id_token\n", one.profile.origin()));
        out.push_str(&format!("- handler: hydrator\n  config: {{ api: {{ url: {} }} }}\n", url(name)));
    }
    out.push_str("```\n");
    out
}
