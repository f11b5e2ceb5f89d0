//! The members of a Kratos session, by the place where they are. Error messages suggest these names, because they do not
//! depend on the session of a request.

const SESSION: &[&str] = &[
    "active",
    "authenticated_at",
    "authentication_methods",
    "authenticator_assurance_level",
    "devices",
    "expires_at",
    "id",
    "identity",
    "issued_at",
    "tokenized",
];
const IDENTITY: &[&str] = &[
    "created_at",
    "credentials",
    "id",
    "metadata_admin",
    "metadata_public",
    "organization_id",
    "recovery_addresses",
    "schema_id",
    "schema_url",
    "state",
    "state_changed_at",
    "traits",
    "updated_at",
    "verifiable_addresses",
];

/// Returns the names that a Kratos session can have where the last name of `path` is, which starts with `Extra`.
pub fn kratos_names(path: &[String]) -> &'static [&'static str] {
    match path {
        [first, _] if first == "Extra" => SESSION,
        [first, second, _] if first == "Extra" && second == "identity" => IDENTITY,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_the_place() {
        let names = |path: &str| kratos_names(&path.split('.').map(str::to_owned).collect::<Vec<_>>());
        assert!(names("Extra.x").contains(&"identity"));
        assert!(names("Extra.identity.x").contains(&"traits"));
        for none in ["Extra", "Header.x", "Extra.other.x", "Extra.identity.traits.x"] {
            assert!(names(none).is_empty(), "{none}");
        }
    }
}
