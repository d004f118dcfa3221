//! After how long a recorder that does not report is called silent.
//!
//! It follows from how often recorders report, which is an option of `millrace run`. Commands that look at the tables
//! have no such option: `run` writes down what it goes by.

use domain::control;
use domain::ports::{ControlTable, PortError, Put};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The control item with it.
const ITEM: &str = "silence";

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Silence {
    silent_after: SignedDuration,
}

/// Writes down what holds from now on.
///
/// # Errors
/// The table's.
pub(crate) async fn write(table: &impl ControlTable, silent_after: SignedDuration) -> Result<(), PortError> {
    let (before, version) = control::read_or_default::<_, Option<Silence>>(table, ITEM).await?;
    let silence = Some(Silence { silent_after });
    if before == silence {
        return Ok(());
    }
    match control::write(table, ITEM, &silence, version).await? {
        Put::Written => Ok(()),
        Put::Stale => Err(control::contended(ITEM)),
    }
}

/// What was written down; `otherwise` where nothing was, as before the first `millrace run`, or nothing that can be read.
///
/// # Errors
/// The table's.
pub(crate) async fn read(
    table: &impl ControlTable,
    otherwise: SignedDuration,
) -> Result<SignedDuration, PortError> {
    let (silence, _) = control::read_or_default::<_, Option<Silence>>(table, ITEM).await?;
    Ok(silence.map_or(otherwise, |silence| silence.silent_after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::fakes::{FakeTables, Weather};

    #[tokio::test]
    async fn viewers_go_by_what_run_wrote_last() {
        let table = FakeTables::new(Weather::calm());
        let (own, told) = (SignedDuration::from_secs(30), SignedDuration::from_mins(6));
        assert_eq!(read(&table, own).await.unwrap(), own);
        for silent_after in [own, told, told] {
            write(&table, silent_after).await.unwrap();
            assert_eq!(read(&table, SignedDuration::ZERO).await.unwrap(), silent_after);
        }
        let put = table.put_control(ITEM, &serde_json::json!("soon"), Some(2)).await;
        assert_eq!(put.unwrap(), Put::Written);
        assert_eq!(read(&table, own).await.unwrap(), own);
    }
}
