//! Registered claims taken out of a template's text.

use crate::claims::RegisteredClaim;
use crate::templates::go::outline::Outline;

/// A Handlebars template without the members of its outermost object that are registered claims, `aud` aside.
pub(super) fn without_registered(template: &str) -> String {
    let mut outline = Outline::default();
    let mut kept = String::with_capacity(template.len());
    // Where the member that is being read began in `kept`, behind its comma.
    let mut member_start = 0;
    let mut is_dropped = false;
    // How far the member has come that is being read: blocks before its name and behind its value are no part of it.
    let (mut has_name, mut has_value) = (false, false);
    let mut blocks = 0usize;
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if let Some(end) = rest.starts_with("{{").then(|| rest.find("}}")).flatten() {
            let (tag, after) = rest.split_at(end + 2);
            let is_between = outline.depth() == 1 && !outline.is_in_string();
            let kind = tag.as_bytes().get(2);
            if kind == Some(&b'#') {
                if blocks == 0 && is_between && is_dropped && has_value {
                    kept.truncate(member_start);
                    // Three braces in a row would be another tag.
                    if kept.ends_with('{') {
                        kept.push(' ');
                    }
                    (is_dropped, has_name, has_value) = (false, false, false);
                }
                blocks += 1;
            }
            kept.push_str(tag);
            rest = after;
            if kind == Some(&b'/') {
                blocks = blocks.saturating_sub(1);
            }
            if blocks == 0 && is_between {
                has_value = has_name;
                if kind == Some(&b'/') && !has_name {
                    member_start = kept.len();
                }
            }
            continue;
        }
        let ends_member = blocks == 0 && !outline.is_in_string() && outline.depth() == 1 && matches!(first, ',' | '}');
        let drops = ends_member && is_dropped;
        if drops {
            kept.truncate(member_start);
            is_dropped = false;
            if first == '}' {
                let end = kept.trim_end().trim_end_matches(',').len();
                kept.truncate(end);
                kept.push(' ');
            }
        }
        let mut buffer = [0; 4];
        let before = outline.names().len();
        outline.read(first.encode_utf8(&mut buffer));
        if blocks == 0
            && let Some(name) = outline.names().get(before)
        {
            has_name = true;
            is_dropped = RegisteredClaim::of(name).is_some_and(|claim| claim != RegisteredClaim::Audience);
        } else if blocks == 0 && has_name && first != ':' && !first.is_whitespace() {
            has_value = true;
        }
        if !drops || first != ',' {
            kept.push(first);
        }
        if (ends_member && first == ',') || (outline.depth() == 1 && first == '{') {
            member_start = kept.len();
            (has_name, has_value) = (false, false);
        }
        rest = &rest[first.len_utf8()..];
    }
    kept
}
