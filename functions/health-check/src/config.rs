//! What the health check is told by its environment.

use clap::{Parser, ValueEnum};
use domain::ladder::{LadderPolicy, Patient, Rung};
use jiff::SignedDuration;
use lambda::{GatewayOptions, Maybe, Stack, positive_duration};
use std::num::NonZeroU32;

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) stack: Stack,
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
    /// The model that must answer at the gateway's address, such as `DS-GWAS0101`; empty: any
    #[arg(long, env = "MILLRACE_GATEWAY_MODEL", default_value = "")]
    gateway_model: Maybe<String>,
    /// Looks in a row that must find the gateway ill before anything is done
    #[arg(long, env = "MILLRACE_SUSPECT_LOOKS", default_value = "3")]
    suspect_looks: NonZeroU32,
    /// The same when EC2 itself says what is wrong with its instance
    #[arg(long, env = "MILLRACE_CONFIRM_LOOKS", default_value = "2")]
    confirm_looks: NonZeroU32,
    /// Looks in a row that must find it well before it counts as well
    #[arg(long, env = "MILLRACE_RECOVER_LOOKS", default_value = "3")]
    recover_looks: NonZeroU32,
    /// What a restart of its software is given to help, such as `4m`
    #[arg(long, env = "MILLRACE_RESTART_COOL_DOWN", default_value = "4m", value_parser = positive_duration)]
    restart_cool_down: SignedDuration,
    /// What a reboot of its instance is given to help
    #[arg(long, env = "MILLRACE_REBOOT_COOL_DOWN", default_value = "8m", value_parser = positive_duration)]
    reboot_cool_down: SignedDuration,
    /// What stopping and starting its instance is given to help
    #[arg(long, env = "MILLRACE_STOP_START_COOL_DOWN", default_value = "15m", value_parser = positive_duration)]
    stop_start_cool_down: SignedDuration,
    /// A gateway that was replaced this recently is not replaced again
    #[arg(long, env = "MILLRACE_REPLACE_COOL_DOWN", default_value = "6h", value_parser = positive_duration)]
    replace_cool_down: SignedDuration,
    /// The strongest repair that is done without a person
    #[arg(long, env = "MILLRACE_REPAIR_UP_TO", value_enum, default_value_t = RepairUpTo::Replace)]
    repair_up_to: RepairUpTo,
}

/// The strongest repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RepairUpTo {
    /// Only telling people
    Nothing,
    /// Restarting the gateway's software over its API
    Restart,
    /// Rebooting its instance
    Reboot,
    /// Stopping its instance and starting it on other hardware
    StopStart,
    /// Replacing its instance
    Replace,
}

impl RepairUpTo {
    fn rung(self) -> Option<Rung> {
        match self {
            Self::Nothing => None,
            Self::Restart => Some(Rung::Restart),
            Self::Reboot => Some(Rung::Reboot),
            Self::StopStart => Some(Rung::StopStart),
            Self::Replace => Some(Rung::Replace),
        }
    }
}

impl Config {
    /// Which gateway is looked after.
    pub(crate) fn patient(&self) -> Patient {
        match &self.gateway.gateway_endpoint.0 {
            Some(endpoint) => Patient::Elsewhere(endpoint.to_string()),
            None => Patient::InOffice,
        }
    }

    /// How it is repaired, with the password of this version.
    pub(crate) fn policy(&self, password_version: u64) -> LadderPolicy {
        LadderPolicy {
            suspect_looks: self.suspect_looks.get(),
            confirm_looks: self.confirm_looks.get(),
            recover_looks: self.recover_looks.get(),
            restart_cool_down: self.restart_cool_down,
            reboot_cool_down: self.reboot_cool_down,
            stop_start_cool_down: self.stop_start_cool_down,
            replace_cool_down: self.replace_cool_down,
            repair_up_to: self.repair_up_to.rung(),
            model: self.gateway_model.0.clone(),
            password_version,
            ..LadderPolicy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &[&str]) -> Result<Config, clap::Error> {
        let needed = [
            "health-check",
            "--stack=s",
            "--state=dynamodb:channels=c,tasks=t,gaps=g,control=o",
            "--gateway-password-parameter=/p",
        ];
        Config::try_parse_from(needed.iter().chain(more))
    }

    #[test]
    fn what_is_not_said_is_as_the_domain_has_it() {
        let policy = config(&[]).unwrap().policy(0);
        assert_eq!(policy, LadderPolicy::default());
        assert_eq!(config(&[]).unwrap().patient(), Patient::InOffice);
    }

    #[test]
    fn what_is_said_is_the_policy() {
        let config = config(&[
            "--repair-up-to=stop-start",
            "--reboot-cool-down=90s",
            "--suspect-looks=5",
            "--gateway-model=DS-GWAS0101",
            "--gateway-endpoint=https://10.1.2.3",
        ]);
        let config = config.unwrap();
        let policy = config.policy(7);
        assert_eq!(policy.repair_up_to, Some(Rung::StopStart));
        assert_eq!(policy.reboot_cool_down, SignedDuration::from_secs(90));
        assert_eq!((policy.suspect_looks, policy.password_version), (5, 7));
        assert_eq!(policy.model.as_deref(), Some("DS-GWAS0101"));
        assert_eq!(config.patient(), Patient::Elsewhere("https://10.1.2.3/".into()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "--restart-cool-down=0s",
            "--reboot-cool-down=-5m",
            "--replace-cool-down=long",
            "--confirm-looks=0",
            "--repair-up-to=everything",
        ] {
            assert!(config(&[wrong]).is_err(), "{wrong}");
        }
    }
}
