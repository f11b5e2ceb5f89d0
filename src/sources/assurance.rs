//! How an issuer of tokens says how a person was authenticated.

use crate::json::{Json, MemberPath};
use crate::session::{Assurance, AssuranceLevel};
use crate::time::Timestamp;

/// Where a token, or an answer about one, says how its person was authenticated. The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssuranceSpec {
    /// The path of the time of the authentication, such as `auth_time`.
    pub authenticated_at: Option<MemberPath>,
    /// The level.
    pub level: Option<LevelSpec>,
}

/// Where the level is, and what its values mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelSpec {
    /// The path of a text or of a list of texts, such as `acr` or `amr`.
    pub path: MemberPath,
    /// The values of the first level.
    pub aal1: Vec<String>,
    /// The values of the second level.
    pub aal2: Vec<String>,
}

impl AssuranceSpec {
    /// Returns what `claims` say. Values that are not configured say nothing.
    pub(super) fn read(&self, claims: &Json<'_>) -> Assurance {
        let time = self.authenticated_at.as_ref().and_then(|path| path.find(claims));
        Assurance {
            level: self.level.as_ref().and_then(|level| level.read(claims)),
            authenticated_at: time.and_then(read_time),
        }
    }
}

impl LevelSpec {
    fn read(&self, claims: &Json<'_>) -> Option<AssuranceLevel> {
        let found = self.path.find(claims)?;
        let values = match found {
            Json::Array(values) => values.as_slice(),
            other => std::slice::from_ref(other),
        };
        let has_one_of = |known: &[String]| {
            values.iter().filter_map(Json::as_str).any(|value| known.iter().any(|name| name == value))
        };
        match (has_one_of(&self.aal2), has_one_of(&self.aal1)) {
            (true, _) => Some(AssuranceLevel::Aal2),
            (false, true) => Some(AssuranceLevel::Aal1),
            (false, false) => None,
        }
    }
}

fn read_time(value: &Json<'_>) -> Option<Timestamp> {
    match value {
        Json::Number(number) => Some(Timestamp::from_numeric_date(number.as_f64())),
        Json::String(text) => Timestamp::parse_rfc3339(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ReadLimits;

    #[test]
    fn only_configured_values_are_a_level() {
        use AssuranceLevel::{Aal1, Aal2};
        let path = |text: &str| MemberPath::parse(text).unwrap();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let spec = |level: &str| AssuranceSpec {
            authenticated_at: Some(path("auth_time")),
            level: Some(LevelSpec { path: path(level), aal1: texts(&["pwd", "1"]), aal2: texts(&["otp", "2"]) }),
        };
        let at = |seconds| Some(Timestamp::from_seconds(seconds));
        for (claims, level_path, level, time) in [
            (r#"{"acr":"2","auth_time":1000}"#, "acr", Some(Aal2), at(1000)),
            (r#"{"acr":"1","auth_time":1000.9}"#, "acr", Some(Aal1), at(1000)),
            (r#"{"acr":"3","auth_time":"1970-01-01T00:00:01Z"}"#, "acr", None, at(1)),
            (r#"{"acr":2,"auth_time":true}"#, "acr", None, None),
            (r#"{"amr":["pwd","otp"]}"#, "amr", Some(Aal2), None),
            (r#"{"amr":["pwd",2]}"#, "amr", Some(Aal1), None),
            (r#"{"amr":[]}"#, "amr", None, None),
            (r#"{"ext":{"acr":"2"}}"#, "ext.acr", Some(Aal2), None),
            ("{}", "acr", None, None),
        ] {
            let value = Json::parse(claims.as_bytes(), ReadLimits::default()).unwrap();
            let found = spec(level_path).read(&value);
            assert_eq!(found, Assurance { level, authenticated_at: time }, "{claims}");
            assert_eq!(AssuranceSpec::default().read(&value), Assurance::default());
        }
    }
}
