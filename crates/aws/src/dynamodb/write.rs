//! Conditional writes.

use super::item::{Key, Pair};
use crate::client::one_try;
use crate::error::failed;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{self, http::HttpResponse};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ports::{PortError, Put};
use std::collections::HashMap;
use std::error::Error;

/// What must hold of the stored row.
pub(super) enum If {
    /// There is none.
    Absent,
    /// It has all of these.
    Has(Vec<Pair>),
}

/// New values of some attributes of a row; the others stay.
#[derive(Default)]
pub(super) struct Update {
    pub(super) set: Vec<Pair>,
    pub(super) remove: Vec<&'static str>,
}

impl Update {
    /// Sets the attribute, or removes it.
    pub(super) fn set_or_remove(&mut self, name: &'static str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.set.push((name, value)),
            None => self.remove.push(name),
        }
    }

    /// Writes the row if `condition` holds. It is tried once: the second try of a write that was applied, and whose
    /// answer was lost, would find its own work and call it stale.
    pub(super) async fn write(
        self,
        client: &Client,
        table: &str,
        key: Key,
        condition: If,
        doing: &str,
    ) -> Result<Put, PortError> {
        let mut words = Words::default();
        let update = self.expression(&mut words);
        let condition = condition.expression(&key, &mut words);
        let call = client
            .update_item()
            .table_name(table)
            .set_key(Some(key.into_item()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(words.names))
            .set_expression_attribute_values(Some(words.values));
        let once = config::Builder::new().retry_config(one_try());
        put_of(call.customize().config_override(once).send().await, doing)
    }

    fn expression(self, words: &mut Words) -> String {
        let set: Vec<_> = self.set.into_iter().map(|pair| words.equation(pair)).collect();
        let remove: Vec<_> = self.remove.into_iter().map(|name| words.name(name)).collect();
        let set = format!("SET {}", set.join(", "));
        if remove.is_empty() {
            return set;
        }
        format!("{set} REMOVE {}", remove.join(", "))
    }
}

impl If {
    fn expression(self, key: &Key, words: &mut Words) -> String {
        match self {
            Self::Absent => format!("attribute_not_exists({})", words.name(key.hash.0)),
            Self::Has(pairs) => {
                let terms: Vec<_> = pairs.into_iter().map(|pair| words.equation(pair)).collect();
                terms.join(" AND ")
            }
        }
    }
}

/// Deletes the row if it has `expected`. One that is gone already is [`Put::Written`], also at a second try.
pub(super) async fn delete(
    client: &Client,
    table: &str,
    key: Key,
    expected: Pair,
    doing: &str,
) -> Result<Put, PortError> {
    let mut words = Words::default();
    let gone = If::Absent.expression(&key, &mut words);
    let condition = format!("{gone} OR {}", words.equation(expected));
    let call = client
        .delete_item()
        .table_name(table)
        .set_key(Some(key.into_item()))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(words.names))
        .set_expression_attribute_values(Some(words.values));
    put_of(call.send().await, doing)
}

fn put_of<R, E>(answer: Result<R, SdkError<E, HttpResponse>>, doing: &str) -> Result<Put, PortError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match answer {
        Ok(_) => Ok(Put::Written),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(Put::Stale),
        Err(error) => Err(failed(error, doing)),
    }
}

/// What stands for names and values in expressions, many names being reserved words.
#[derive(Default)]
struct Words {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Words {
    fn name(&mut self, name: &str) -> String {
        let word = format!("#n{}", self.names.len());
        self.names.insert(word.clone(), name.to_owned());
        word
    }

    fn equation(&mut self, (name, value): Pair) -> String {
        let word = format!(":v{}", self.values.len());
        let equation = format!("{} = {word}", self.name(name));
        self.values.insert(word, value);
        equation
    }
}
