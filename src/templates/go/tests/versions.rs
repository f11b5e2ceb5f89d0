//! Semantic versions and constraints on them.

use super::{refused, texts, values};
use crate::code::ErrorCode;

#[test]
fn constraints_admit_what_the_library_admits() {
    for (constraint, version, admitted) in [
        ("^1.2", "1.9.9", true),
        ("^1.2", "2.0.0", false),
        ("^0.2.3", "0.2.9", true),
        ("^0.2.3", "0.3.0", false),
        ("^0.0.3", "0.0.4", false),
        ("^0.0", "0.0.9", true),
        ("^0", "0.9.0", true),
        ("^*", "1.0.0", false),
        ("~1.2.3", "1.2.9", true),
        ("~1.2.3", "1.3.0", false),
        ("~1", "1.9.0", true),
        ("~0.0.0", "3.1.0", true),
        ("~>1.2", "1.2.7", true),
        ("*", "7.1.2", true),
        ("1.x", "1.4.0", true),
        ("1.2.x", "1.3.0", false),
        ("1.2", "1.2.9", true),
        ("=1.2.3", "1.2.3+meta", true),
        ("!=1.2", "1.2.5", false),
        ("!=1.2.3", "1.2.3-a", false),
        ("!=1.2.3-b", "1.2.3-a", true),
        ("!=1.1.1-a <9.0.0", "8.0.0-b", true),
        (">=1.0.0-0, <2.0.0", "1.5.0-rc.1", true),
        (">=1.0.0-0 <2 || <3", "2.5.0-rc.1", false),
        ("!=1.2.3", "2.0.0-rc.1", false),
        ("1 - 2 <2.5", "2.1.0", true),
        ("!=1.x", "2.0.0-a", false),
        (">11", "11.1.0", false),
        (">11", "12.0.0", true),
        (">11.1", "11.1.9", false),
        ("<=11.1", "11.1.9", true),
        ("<=11", "11.9.0", true),
        ("<11.1", "11.1.0", false),
        (">=1.2.3-b", "1.2.3-c", true),
        (">=1.2.3-b", "1.2.3-a", false),
        (">=1.2.3", "1.3.0-a", false),
        (">=1.0.0-0", "1.3.0-a", true),
        ("^1.2.0-0", "1.3.0-rc.1", true),
        (">1.0 <2.0", "1.5.0", true),
        (">1.0, <2.0 || 3.x", "3.1.0", true),
        ("1.2 - 1.4.5", "1.4.5", true),
        ("1.2 - 1.4.5", "1.4.6", false),
        ("1 - 2 || 5 - 6", "6.9.0", true),
        ("> 1.2", "1.3.0", true),
        ("v1.2.3", "v1.2.3", true),
        ("=>1", "01.02.3", true),
        (">=1.0.0-alpha.9", "1.0.0-alpha.10", true),
    ] {
        let expression = format!("{{{{ semverCompare `{constraint}` `{version}` }}}}");
        values(&[(&expression, if admitted { "true" } else { "false" })]);
    }
}

#[test]
fn constraints_that_cannot_be_read_are_refused() {
    for constraint in
        ["", "||", "1.2,", ",1.2", ">1.0<2.0", ">=1 1 - 2", "^1 - 2", "1.2.3.4", "=!1", "1,,2", "a", "1x", "1.0-01"]
    {
        let template = format!("{{\"v\": {{{{ semverCompare `{constraint}` `1.2.3` }}}}}}");
        refused(&[(&template, ErrorCode::TemplateWrongType)]);
    }
}

#[test]
fn versions_are_read_loosely() {
    texts(&[
        ("{{ semver `v1.2` }} {{ (semver `v1.2`).Original }}", "1.2.0 v1.2"),
        ("{{ (semver `1.2.3-a.1+b`).Prerelease }} {{ (semver `1.2.3-a.1+b`).Metadata }}", "a.1 b"),
        ("{{ (semver `1.2.3`).Compare (semver `1.2.3-a`) }}", "1"),
        ("{{ semver `01.2` }}", "1.2.0"),
        ("{{ (semver `v1.2.3-a`).IncPatch }} {{ (semver `1.2.3`).IncPatch }}", "1.2.3 1.2.4"),
        (
            "{{ (semver `1.2.3`).SetPrerelease `rc.1` }} {{ ((semver `1.2.3`).SetMetadata `b`).Metadata }}",
            "1.2.3-rc.1 b",
        ),
        ("{{ typeOf (semver `1.2.3`).IncPatch }} {{ kindOf (semver `1.2.3`).IncPatch }}", "semver.Version struct"),
        ("{{ (semver `1.0.0`).LessThanEqual (semver `1.0.0`) }}", "true"),
        ("{{ (semver `1.0.0`).GreaterThanEqual (semver `1.0.1`) }}", "false"),
        ("{{ eq (semver `1.2.3`).IncPatch (semver `1.2.3`).IncPatch }}", "true"),
        ("{{ eq (semver `1.2.3`) (semver `1.2.3`) }}{{ deepEqual (semver `1.2.3`) (semver `1.2.3`) }}", "falsetrue"),
        ("{{ (semver `1.2.3`).MarshalText | toString }}", "1.2.3"),
        ("{{ (semver `1.2.3`).IncMinor }} {{ (semver `1.2.3`).IncMajor }}", "1.3.0 2.0.0"),
    ]);
    refused(&[
        ("{\"v\": \"{{ semver `1.2.3.4` }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ semver ` 1.2` }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ semver `1.2.3-01` }}\"}", ErrorCode::TemplateWrongType),
        // Methods of the pointer are not there for a new version.
        ("{\"v\": \"{{ (semver `1.2.3`).IncPatch.Original }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ (semver `1.2.3`).LessThan (semver `1.2.3`).IncPatch }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ (semver `1.2.3`).SetPrerelease `a..b` }}\"}", ErrorCode::TemplateWrongType),
    ]);
}
