//! What recovery is told by its environment.

use aws::ec2::{AddressName, Endpoints, MachinesConfig, RecoveryConfig, Scheme};
use clap::{ArgAction, Parser, ValueEnum};
use domain::recover::RecoverPolicy;
use domain::setup::{SetupPolicy, Wanted, WantedClock, utc_offset};
use jiff::SignedDuration;
use jiff::tz::Offset;
use lambda::{Keys, LoginOptions, Maybe, Stack, positive_duration};
use std::num::{NonZeroU16, NonZeroUsize};

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) stack: Stack,
    #[command(flatten)]
    pub(crate) login: LoginOptions,
    /// Name of the SSM parameter (a SecureString) that holds the password of a gateway fresh from its base image;
    /// empty: there is none to try
    #[arg(long, env = "MILLRACE_GATEWAY_INITIAL_PASSWORD_PARAMETER", default_value = "")]
    pub(crate) gateway_initial_password_parameter: Maybe<String>,
    /// Id of the launch template that every instance of the gateway is launched from
    #[arg(long, env = "MILLRACE_GATEWAY_LAUNCH_TEMPLATE")]
    gateway_launch_template: String,
    /// The Elastic IP that devices know: its allocation id, or the address itself
    #[arg(long, env = "MILLRACE_GATEWAY_ADDRESS")]
    gateway_address: AddressName,
    /// Id of the security group that isolates a drill
    #[arg(long, env = "MILLRACE_GATEWAY_DRILL_SECURITY_GROUP")]
    gateway_drill_security_group: String,
    /// How the API of a gateway on an instance is reached
    #[arg(long, env = "MILLRACE_GATEWAY_SCHEME", value_enum, default_value_t = GatewayScheme::Https)]
    gateway_scheme: GatewayScheme,
    /// The port of that API; empty: that of the scheme
    #[arg(long, env = "MILLRACE_GATEWAY_PORT", default_value = "")]
    gateway_port: Maybe<NonZeroU16>,
    /// What the gateway shall be named; empty: as it is
    #[arg(long, env = "MILLRACE_GATEWAY_NAME", default_value = "")]
    gateway_name: Maybe<String>,
    /// Its time zone in hours from UTC, such as 8 or 5.5
    #[arg(
        long,
        env = "MILLRACE_GATEWAY_TIMEZONE",
        default_value = "8",
        allow_hyphen_values = true,
        value_parser = utc_offset
    )]
    gateway_timezone: Offset,
    /// Whether a time server keeps its clock; else it is set when it is off
    #[arg(long, env = "MILLRACE_GATEWAY_NTP", default_value_t = true, action = ArgAction::Set)]
    gateway_ntp: bool,
    /// The newest image shall be no older than this, such as `24h`
    #[arg(long, env = "MILLRACE_RPO", default_value = "24h", value_parser = positive_duration)]
    rpo: SignedDuration,
    /// A recovery shall take no longer than this
    #[arg(long, env = "MILLRACE_RTO", default_value = "30m", value_parser = positive_duration)]
    rto: SignedDuration,
    /// Images beyond this number are deleted, oldest first
    #[arg(long, env = "MILLRACE_IMAGES_MAX", default_value = "7")]
    images_max: NonZeroUsize,
    /// So many good images are kept however old they are
    #[arg(long, env = "MILLRACE_IMAGES_MIN", default_value = "2")]
    images_min: NonZeroUsize,
    /// Images older than this are deleted, such as `720h`
    #[arg(long, env = "MILLRACE_IMAGE_AGE_MAX", default_value = "720h", value_parser = positive_duration)]
    image_age_max: SignedDuration,
    /// A replaced instance is kept, stopped, this many hours for inspection
    #[arg(long, env = "MILLRACE_QUARANTINE_HOURS", default_value_t = 72)]
    quarantine_hours: u32,
}

/// How the API of a gateway is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GatewayScheme {
    /// By TLS
    Https,
    /// In the clear
    Http,
}

impl Config {
    /// The stack's machines.
    pub(crate) fn machines(&self) -> MachinesConfig {
        MachinesConfig {
            stack: self.stack.stack.clone(),
            endpoints: Endpoints {
                scheme: match self.gateway_scheme {
                    GatewayScheme::Https => Scheme::Https,
                    GatewayScheme::Http => Scheme::Http,
                },
                port: self.gateway_port.0.map(NonZeroU16::get),
            },
            recovery: Some(RecoveryConfig {
                launch_template: self.gateway_launch_template.clone(),
                drill_security_group: self.gateway_drill_security_group.clone(),
                address: self.gateway_address.clone(),
            }),
        }
    }

    /// How images are kept and the gateway replaced.
    pub(crate) fn policy(&self) -> RecoverPolicy {
        RecoverPolicy {
            rpo: self.rpo,
            rto: self.rto,
            images_max: self.images_max.get(),
            images_min: self.images_min.get(),
            image_age_max: self.image_age_max,
            quarantine: SignedDuration::from_hours(i64::from(self.quarantine_hours)),
            ..RecoverPolicy::default()
        }
    }

    /// How gateways are set up, with these passwords. Devices and players are told the Elastic IP, which the domain
    /// looks up.
    pub(crate) fn setup(&self, keys: &Keys) -> SetupPolicy {
        SetupPolicy {
            wanted: Wanted {
                name: self.gateway_name.0.clone(),
                clock: Some(WantedClock {
                    utc_offset: self.gateway_timezone,
                    ntp: self.gateway_ntp,
                }),
                external_address: None,
            },
            password_version: keys.password_version(),
            initial_password_version: keys.initial_password_version(),
            ..SetupPolicy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &[&str]) -> Result<Config, clap::Error> {
        let needed = [
            "snapshot-recovery",
            "--stack=s",
            "--state=dynamodb:channels=c,tasks=t,gaps=g,control=o",
            "--gateway-password-parameter=/p",
            "--gateway-launch-template=lt-1",
            "--gateway-address=eipalloc-1",
            "--gateway-drill-security-group=sg-1",
        ];
        Config::try_parse_from(needed.iter().chain(more))
    }

    #[test]
    fn what_is_not_said_is_as_the_domain_has_it() {
        assert_eq!(config(&[]).unwrap().policy(), RecoverPolicy::default());
    }

    #[test]
    fn what_is_said_is_the_policy() {
        let config = config(&["--rpo=6h", "--images-max=3", "--quarantine-hours=1"]);
        let policy = config.unwrap().policy();
        assert_eq!(
            (policy.rpo, policy.images_max),
            (SignedDuration::from_hours(6), 3)
        );
        assert_eq!(policy.quarantine, SignedDuration::from_hours(1));
    }

    #[test]
    fn time_zones_are_hours_from_utc() {
        let config = config(&["--gateway-timezone=-3.5"]).unwrap();
        assert_eq!(config.gateway_timezone.seconds(), -12_600);
    }

    #[test]
    fn where_the_api_is_reached_is_said_by_scheme_and_port() {
        let machines = config(&["--gateway-scheme=http", "--gateway-port=8080"])
            .unwrap()
            .machines();
        assert_eq!(machines.endpoints.scheme, Scheme::Http);
        assert_eq!(machines.endpoints.port, Some(8080));
        assert_eq!(
            config(&["--gateway-port="]).unwrap().machines().endpoints.port,
            None
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "--rpo=0s",
            "--images-max=0",
            "--images-min=0",
            "--gateway-address=vpc-1",
            "--gateway-port=0",
            "--gateway-timezone=east",
        ] {
            assert!(config(&[wrong]).is_err(), "{wrong}");
        }
    }
}
