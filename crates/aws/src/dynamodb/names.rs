//! Where the tables are: `dynamodb:channels=NAME,tasks=NAME,gaps=NAME,episodes=NAME,control=NAME`.

use super::told;
use domain::ports::PortError;
use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "dynamodb:";

/// The tables' names (or ARNs). A program that does not need a table need not be told of it; using it all the same
/// is [`PortError::Refused`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableNames {
    /// The known channels.
    pub channels: Option<String>,
    /// The assignments and heartbeats.
    pub tasks: Option<String>,
    /// The gaps.
    pub gaps: Option<String>,
    /// The intervals somebody wants kept.
    pub episodes: Option<String>,
    /// The loops' memory.
    pub control: Option<String>,
}

/// Why a text does not name tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTableNames {
    /// It is about something else.
    #[error("`{0}` does not begin with `dynamodb:`")]
    Scheme(String),
    /// An entry is not `TABLE=NAME`.
    #[error("`{0}` is not TABLE=NAME, TABLE being channels, tasks, gaps, episodes or control")]
    Entry(String),
    /// A table has two names.
    #[error("the table `{0}` is named twice")]
    Twice(String),
}

impl TableNames {
    pub(super) fn channels(&self) -> Result<&str, PortError> {
        told(self.channels.as_deref(), "channels")
    }

    pub(super) fn tasks(&self) -> Result<&str, PortError> {
        told(self.tasks.as_deref(), "tasks")
    }

    pub(super) fn gaps(&self) -> Result<&str, PortError> {
        told(self.gaps.as_deref(), "gaps")
    }

    pub(super) fn episodes(&self) -> Result<&str, PortError> {
        told(self.episodes.as_deref(), "episodes")
    }

    pub(super) fn control(&self) -> Result<&str, PortError> {
        told(self.control.as_deref(), "control")
    }

    fn place(&mut self, table: &str) -> Option<&mut Option<String>> {
        match table {
            "channels" => Some(&mut self.channels),
            "tasks" => Some(&mut self.tasks),
            "gaps" => Some(&mut self.gaps),
            "episodes" => Some(&mut self.episodes),
            "control" => Some(&mut self.control),
            _ => None,
        }
    }
}

impl FromStr for TableNames {
    type Err = NotTableNames;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| NotTableNames::Scheme(text.to_owned()))?;
        let mut names = Self::default();
        for entry in entries.split(',') {
            let not_an_entry = || NotTableNames::Entry(entry.to_owned());
            let (table, name) = entry.split_once('=').ok_or_else(not_an_entry)?;
            let place = names.place(table).ok_or_else(not_an_entry)?;
            if name.is_empty() {
                return Err(not_an_entry());
            }
            if place.replace(name.to_owned()).is_some() {
                return Err(NotTableNames::Twice(table.to_owned()));
            }
        }
        Ok(names)
    }
}

impl fmt::Display for TableNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        let tables = [
            ("channels", &self.channels),
            ("tasks", &self.tasks),
            ("gaps", &self.gaps),
            ("episodes", &self.episodes),
            ("control", &self.control),
        ];
        let named = tables
            .into_iter()
            .filter_map(|(table, name)| Some((table, name.as_ref()?)));
        for (number, (table, name)) in named.enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{table}={name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_are_written() {
        for text in [
            "dynamodb:channels=a-Channels-1X,tasks=b,gaps=c,episodes=e,control=d",
            "dynamodb:tasks=arn:aws:dynamodb:eu-central-1:111122223333:table/tasks",
        ] {
            let names: TableNames = text.parse().unwrap();
            assert_eq!(names.to_string(), text);
        }
        let names: TableNames = "dynamodb:control=d,channels=a".parse().unwrap();
        assert_eq!(names.to_string(), "dynamodb:channels=a,control=d");
        assert_eq!(names.channels.as_deref(), Some("a"));
    }

    #[test]
    fn a_table_that_was_not_named_is_refused_by_its_name() {
        let names: TableNames = "dynamodb:control=d".parse().unwrap();
        let refused = names.tasks().unwrap_err();
        assert!(matches!(refused, PortError::Refused { .. }));
        assert!(refused.chain().contains("`tasks`"), "{}", refused.chain());
        assert_eq!(names.control().unwrap(), "d");
    }

    #[test]
    fn a_misspelt_table_is_never_taken_for_one_that_is_not_needed() {
        let parse = |text: &str| text.parse::<TableNames>().unwrap_err();
        assert_eq!(
            parse("dynamodb:chanels=a"),
            NotTableNames::Entry("chanels=a".into())
        );
        assert_eq!(parse("dynamodb:"), NotTableNames::Entry(String::new()));
        assert_eq!(parse("dynamodb:tasks="), NotTableNames::Entry("tasks=".into()));
        assert_eq!(
            parse("dynamodb:tasks=a,tasks=b"),
            NotTableNames::Twice("tasks".into())
        );
        assert_eq!(
            parse("sqlite:state.db"),
            NotTableNames::Scheme("sqlite:state.db".into())
        );
    }
}
