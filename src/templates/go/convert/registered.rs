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
    let mut blocks = 0usize;
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if let Some(end) = rest.starts_with("{{").then(|| rest.find("}}")).flatten() {
            let (tag, after) = rest.split_at(end + 2);
            blocks = match tag.as_bytes().get(2) {
                Some(b'#') => blocks + 1,
                Some(b'/') => blocks.saturating_sub(1),
                _ => blocks,
            };
            kept.push_str(tag);
            rest = after;
            continue;
        }
        let ends_member = blocks == 0 && !outline.is_in_string() && outline.depth() == 1 && matches!(first, ',' | '}');
        if ends_member && is_dropped {
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
            is_dropped = RegisteredClaim::of(name).is_some_and(|claim| claim != RegisteredClaim::Audience);
        }
        let was_dropped_by_comma = ends_member && first == ',' && kept.len() == member_start;
        if !was_dropped_by_comma {
            kept.push(first);
        }
        if (ends_member && first == ',') || (outline.depth() == 1 && first == '{') {
            member_start = kept.len();
        }
        rest = &rest[first.len_utf8()..];
    }
    kept
}
