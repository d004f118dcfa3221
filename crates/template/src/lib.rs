//! `template.yaml` as data, for the tests that hold it and the code together.
//!
//! CloudFormation's short forms are YAML tags (`!Ref X`, `!GetAtt X.Arn`). They are read into the long forms, which
//! are plain JSON (`{"Ref": "X"}`, `{"Fn::GetAtt": "X.Arn"}`), so that a test can walk the whole template as one
//! [`Value`].

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The workspace's template, as it is deployed.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Why a template cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is not YAML.
    #[error("parsing the template")]
    Syntax(#[from] saphyr::ScanError),
    /// It is YAML that no template has, such as a mapping with numbers as keys.
    #[error("the template has {0}")]
    Shape(&'static str),
}

/// A template in long form.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Value);

impl Template {
    /// The workspace's own template.
    ///
    /// # Errors
    /// [`TemplateError`] when it is not one YAML document.
    pub fn of_this_workspace() -> Result<Self, TemplateError> {
        Self::parse(TEMPLATE)
    }

    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] when it is not one YAML document.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        match Yaml::load_from_str(text)?.as_slice() {
            [document] => Ok(Self(long_form(document)?)),
            _ => Err(TemplateError::Shape("not exactly one document")),
        }
    }

    /// What a path such as `/Resources/Tasks/Properties` leads to; [`Value::Null`] where it ends early.
    pub fn at(&self, path: &str) -> &Value {
        self.0.pointer(path).unwrap_or(&Value::Null)
    }

    /// The entries of a section such as `Parameters`, by name.
    pub fn section(&self, name: &str) -> BTreeMap<&str, &Value> {
        let entries = self.0.get(name).and_then(Value::as_object).into_iter().flatten();
        entries.map(|(name, entry)| (name.as_str(), entry)).collect()
    }

    /// The resources of one type, by logical id.
    pub fn resources_of(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let mut resources = self.section("Resources");
        resources.retain(|_, resource| resource["Type"] == kind);
        resources
    }

    /// All names that something refers to: by `Ref`, `Fn::GetAtt` (up to the dot), `Fn::Sub` (up to the dot),
    /// `Condition` or `Fn::If`.
    pub fn references(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect_references(&self.0, &mut names);
        names
    }
}

/// The text of a `Fn::Sub`, in its short or long form, with the texts of its own variables in their places; of an
/// `Fn::If` within, what holds when the condition does. What CloudFormation knows by itself stays `${…}`.
pub fn substitution(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(function) => match (function.get("Fn::Sub"), function.get("Fn::If")) {
            (Some(Value::Array(parts)), _) => with_variables(parts),
            (Some(text), _) => substitution(text),
            (None, Some(choice)) => substitution(choice.get(1)?),
            (None, None) => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn with_variables(parts: &[Value]) -> Option<String> {
    let [text, variables] = parts else {
        return None;
    };
    let mut text = text.as_str()?.to_owned();
    for (name, value) in variables.as_object()? {
        // What has no text, such as an attribute of a resource, stays.
        if let Some(value) = substitution(value) {
            text = text.replace(&format!("${{{name}}}"), &value);
        }
    }
    Some(text)
}

/// Calls `visit` with every object within `value`, itself included.
pub fn visit_objects<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(entries) => {
            visit(entries);
            for entry in entries.values() {
                visit_objects(entry, visit);
            }
        }
        Value::Array(items) => {
            for item in items {
                visit_objects(item, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn long_form(node: &Yaml<'_>) -> Result<Value, TemplateError> {
    match node {
        Yaml::Value(scalar) => Ok(scalar_value(scalar)),
        Yaml::Sequence(items) => items.iter().map(long_form).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = key
                    .as_str()
                    .ok_or(TemplateError::Shape("a key that is no text"))?;
                Ok((key.to_owned(), long_form(value)?))
            })
            .collect(),
        Yaml::Tagged(tag, node) => {
            let function = match tag.suffix.as_str() {
                "Ref" | "Condition" => tag.suffix.clone(),
                name => format!("Fn::{name}"),
            };
            Ok(Value::Object(Map::from_iter([(function, long_form(node)?)])))
        }
        // A tagged scalar is kept as it is written, because the parser does not know what the tag makes of it.
        Yaml::Representation(text, _, None) => Ok(Value::String(text.to_string())),
        Yaml::Representation(..) => Err(TemplateError::Shape("a tag that was not understood")),
        Yaml::Alias(_) => Err(TemplateError::Shape(
            "an alias, which CloudFormation does not know",
        )),
        Yaml::BadValue => Err(TemplateError::Shape("a value that contradicts its tag")),
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::FloatingPoint(value) => Value::from(value.into_inner()),
        Scalar::String(value) => Value::String(value.to_string()),
    }
}

fn collect_references(value: &Value, names: &mut BTreeSet<String>) {
    visit_objects(value, &mut |entries| {
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("Ref" | "Condition", Value::String(name)) => {
                    names.insert(name.clone());
                }
                ("Fn::GetAtt", Value::String(path)) => names.extend(first_part(path)),
                ("Fn::GetAtt" | "Fn::If", Value::Array(parts)) => {
                    names.extend(parts.first().and_then(Value::as_str).and_then(first_part));
                }
                ("Fn::Sub", Value::String(text)) => names.extend(substituted(text)),
                ("Fn::Sub", Value::Array(parts)) => {
                    let text = parts.first().and_then(Value::as_str).unwrap_or_default();
                    names.extend(substituted(text));
                }
                ("DependsOn", Value::String(name)) => {
                    names.insert(name.clone());
                }
                _ => {}
            }
        }
    });
}

fn first_part(path: &str) -> Option<String> {
    path.split('.').next().map(str::to_owned)
}

/// The names in `${…}`.
fn substituted(text: &str) -> impl Iterator<Item = String> {
    let pieces = text.split("${").skip(1);
    pieces.filter_map(|piece| piece.split_once('}').and_then(|(path, _)| first_part(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_forms_read_as_long_forms() {
        let text = "Resources:\n  A:\n    Properties:\n      Arn: !GetAtt B.Arn\n      Zones: !If [One, !Ref C, !Sub \"${D.E}-x\"]\n      N: 3\n";
        let template = Template::parse(text).unwrap();
        assert_eq!(
            *template.at("/Resources/A/Properties"),
            json!({
                "Arn": {"Fn::GetAtt": "B.Arn"},
                "Zones": {"Fn::If": ["One", {"Ref": "C"}, {"Fn::Sub": "${D.E}-x"}]},
                "N": 3,
            })
        );
        let references: Vec<String> = template.references().into_iter().collect();
        assert_eq!(references, ["B", "C", "D", "One"]);
    }

    #[test]
    fn a_substitution_has_the_texts_of_its_variables() {
        let text =
            "A: !Sub [\"${X}, ${Y}, ${Z.Arn}\", {X: !If [C, !Sub \"${One}\", \"\"], Y: !GetAtt B.Arn}]\n";
        let template = Template::parse(text).unwrap();
        let whole = substitution(template.at("/A"));
        assert_eq!(whole.as_deref(), Some("${One}, ${Y}, ${Z.Arn}"));
        assert!(template.references().contains("Z"));
        assert_eq!(substitution(&json!({"Ref": "B"})), None);
    }

    #[test]
    fn what_cloudformation_would_refuse_is_refused() {
        assert!(matches!(
            Template::parse("a: &x 1\nb: *x\n---\nc: 2\n"),
            Err(TemplateError::Shape(_))
        ));
        assert!(matches!(Template::parse("a: [\n"), Err(TemplateError::Syntax(_))));
    }
}
