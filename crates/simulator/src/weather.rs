//! The API faults in force and what they do to a call. Faults only meet calls that logged in, so that "the
//! next three calls" never counts a digest challenge.

use crate::operation::{ApiFault, ListFault};
use crate::reply::Refusal;
use anyhow::ensure;
use serde::Serialize;
use std::time::Duration;

/// Faults in force at once.
const FAULTS_MAX: usize = 64;
/// The largest body a fault may make.
const BODY_BYTES_MAX: u64 = 1 << 30;
/// The longest a fault may delay an answer: an hour.
const SLOW_MS_MAX: u64 = 3_600_000;

/// The faults in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    faults: Vec<Active>,
}

/// A fault in force.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Active {
    fault: ApiFault,
    path: Option<String>,
    calls_left: Option<u32>,
}

/// What the faults do to one call.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Damage {
    /// How much later the answer comes.
    pub(crate) delay: Duration,
    /// What happens instead of the call.
    pub(crate) instead: Option<Instead>,
    /// How the list is wrong.
    pub(crate) list: Option<ListFault>,
    /// What happens to the answer.
    pub(crate) spoilt: Option<Spoilt>,
}

/// What happens instead of carrying a call out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Instead {
    /// A bare HTTP status, as of a proxy.
    Status(u16),
    /// A refusal.
    Refusal(Refusal),
    /// Silence.
    Hang,
}

/// What happens to the answer of a call that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// Random bytes.
    Garbage,
    /// Half of it.
    Truncated,
    /// Padded to so many bytes.
    Padded(u64),
    /// The connection is cut.
    Reset,
}

impl Weather {
    /// Adds a fault.
    pub(crate) fn add(
        &mut self,
        fault: ApiFault,
        path: Option<String>,
        calls: Option<u32>,
    ) -> anyhow::Result<()> {
        ensure!(
            self.faults.len() < FAULTS_MAX,
            "{FAULTS_MAX} API faults are in force already"
        );
        ensure!(calls != Some(0), "a fault for 0 calls does nothing");
        check_ranges(&fault)?;
        self.faults.push(Active {
            fault,
            path,
            calls_left: calls,
        });
        Ok(())
    }

    /// Ends all faults.
    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// The faults in force.
    pub(crate) fn faults(&self) -> &[Active] {
        &self.faults
    }

    /// The damage to a call to `path`; counts the faults that do some. Of two faults that exclude each other
    /// the older one counts.
    pub(crate) fn strike(&mut self, path: &str, is_device_list: bool) -> Damage {
        let mut damage = Damage::default();
        for active in &mut self.faults {
            let meant = active
                .path
                .as_ref()
                .is_none_or(|part| path.contains(part.as_str()));
            let possible = is_device_list || !matches!(active.fault, ApiFault::List { .. });
            if !meant || !possible || !damage.take(&active.fault) {
                continue;
            }
            active.calls_left = active.calls_left.map(|calls| calls - 1);
        }
        self.faults.retain(|active| active.calls_left != Some(0));
        damage
    }
}

impl Damage {
    /// Adds a fault; false when an older one leaves no room for it.
    fn take(&mut self, fault: &ApiFault) -> bool {
        let instead = match fault {
            ApiFault::Slow { ms } => {
                self.delay += Duration::from_millis(*ms);
                return true;
            }
            ApiFault::Garbage => return fill(&mut self.spoilt, Spoilt::Garbage),
            ApiFault::TruncatedJson => return fill(&mut self.spoilt, Spoilt::Truncated),
            ApiFault::HugeBody { bytes } => return fill(&mut self.spoilt, Spoilt::Padded(*bytes)),
            ApiFault::Reset => return fill(&mut self.spoilt, Spoilt::Reset),
            ApiFault::List { shape } => return fill(&mut self.list, *shape),
            ApiFault::Status { code } => Instead::Status(*code),
            ApiFault::Refuse {
                status_code,
                sub_status,
            } => Instead::Refusal(Refusal::in_ok(*status_code, sub_status)),
            ApiFault::DeviceBusy => Instead::Refusal(Refusal::device_busy()),
            ApiFault::InvalidContent => Instead::Refusal(Refusal::invalid_content()),
            ApiFault::Hang => Instead::Hang,
        };
        fill(&mut self.instead, instead)
    }
}

fn fill<T>(slot: &mut Option<T>, value: T) -> bool {
    let free = slot.is_none();
    slot.get_or_insert(value);
    free
}

fn check_ranges(fault: &ApiFault) -> anyhow::Result<()> {
    match fault {
        ApiFault::Slow { ms } => ensure!(*ms <= SLOW_MS_MAX, "slower than an hour"),
        ApiFault::Status { code } => {
            ensure!((400..=599).contains(code), "an HTTP status must be 400 to 599");
        }
        ApiFault::Refuse { status_code, .. } => {
            ensure!((2..=7).contains(status_code), "a statusCode must be 2 to 7");
        }
        ApiFault::HugeBody { bytes } => ensure!(*bytes <= BODY_BYTES_MAX, "a body of more than 1 GiB"),
        ApiFault::DeviceBusy
        | ApiFault::InvalidContent
        | ApiFault::Garbage
        | ApiFault::TruncatedJson
        | ApiFault::Hang
        | ApiFault::Reset
        | ApiFault::List { .. } => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_two_calls_meets_exactly_two() {
        let mut weather = Weather::default();
        weather.add(ApiFault::Garbage, None, Some(2)).unwrap();
        let spoilt: Vec<_> = (0..3).map(|_| weather.strike("/ISAPI/x", false).spoilt).collect();
        assert_eq!(spoilt, [Some(Spoilt::Garbage), Some(Spoilt::Garbage), None]);
    }

    #[test]
    fn a_list_fault_is_not_used_up_by_other_calls() {
        let mut weather = Weather::default();
        let shape = ListFault::EmptyWithTotal;
        weather.add(ApiFault::List { shape }, None, Some(1)).unwrap();
        assert_eq!(weather.strike("/ISAPI/System/time", false), Damage::default());
        assert_eq!(weather.strike("/list", true).list, Some(shape));
        assert_eq!(weather.strike("/list", true).list, None);
    }

    #[test]
    fn a_fault_of_one_path_spares_the_others() {
        let mut weather = Weather::default();
        weather
            .add(ApiFault::Hang, Some("time".to_owned()), None)
            .unwrap();
        assert_eq!(weather.strike("/ISAPI/System/deviceInfo", false).instead, None);
        assert_eq!(
            weather.strike("/ISAPI/System/time", false).instead,
            Some(Instead::Hang)
        );
    }

    #[test]
    fn a_fault_that_could_do_nothing_is_refused() {
        let mut weather = Weather::default();
        assert!(weather.add(ApiFault::Hang, None, Some(0)).is_err());
        assert!(weather.add(ApiFault::Status { code: 200 }, None, None).is_err());
    }
}
