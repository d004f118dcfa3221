//! What the gateway's own configuration shall be, for `millrace gateway setup`; the names are those of the functions
//! on AWS.

use super::read_password;
use anyhow::{Context, bail};
use domain::setup::{Wanted, WantedClock, utc_offset};
use jiff::tz::Offset;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::Error;
use std::path::PathBuf;

/// What can be said by flag, environment and file alike. What is not said is left as it is.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct WantedOptions {
    /// The gateway's name.
    #[arg(long, env = "MILLRACE_GATEWAY_NAME", value_name = "NAME")]
    gateway_name: Option<String>,
    /// The gateway's time zone, in hours east of UTC, such as `8` or `-3.5`.
    #[arg(long, env = "MILLRACE_GATEWAY_TIMEZONE", value_name = "HOURS", value_parser = utc_offset, allow_negative_numbers = true)]
    #[serde(deserialize_with = "toml_hours")]
    gateway_timezone: Option<Offset>,
    /// Whether a time server sets the gateway's clock; else setup does, when it is off. Needs a time zone [default:
    /// true].
    #[arg(long, env = "MILLRACE_GATEWAY_NTP", value_name = "BOOL")]
    gateway_ntp: Option<bool>,
    /// The public address of the gateway, IPv4 or a name: all ports are mapped to it under their own numbers.
    #[arg(long, env = "MILLRACE_GATEWAY_ADDRESS", value_name = "ADDRESS")]
    gateway_address: Option<String>,
    /// A file with the password of a gateway fresh from its image, where it is not in
    /// MILLRACE_GATEWAY_INITIAL_PASSWORD; it is replaced with the gateway's password.
    #[arg(long, env = "MILLRACE_GATEWAY_INITIAL_PASSWORD_FILE", value_name = "FILE")]
    gateway_initial_password_file: Option<PathBuf>,
}

/// The environment variable with the password of a gateway fresh from its image.
const INITIAL_PASSWORD_ENV: &str = "MILLRACE_GATEWAY_INITIAL_PASSWORD";

impl WantedOptions {
    /// These options, and the others where these are silent.
    pub(crate) fn or(self, below: Self) -> Self {
        Self {
            gateway_name: self.gateway_name.or(below.gateway_name),
            gateway_timezone: self.gateway_timezone.or(below.gateway_timezone),
            gateway_ntp: self.gateway_ntp.or(below.gateway_ntp),
            gateway_address: self.gateway_address.or(below.gateway_address),
            gateway_initial_password_file: self
                .gateway_initial_password_file
                .or(below.gateway_initial_password_file),
        }
    }

    /// What the configuration shall be.
    ///
    /// # Errors
    /// When the options contradict each other or say nothing.
    pub(crate) fn wanted(&self) -> anyhow::Result<Wanted> {
        let clock = match (self.gateway_timezone, self.gateway_ntp) {
            (Some(utc_offset), ntp) => Some(WantedClock {
                utc_offset,
                ntp: ntp.unwrap_or(true),
            }),
            (None, Some(_)) => bail!("gateway-ntp needs gateway-timezone: the gateway takes both together"),
            (None, None) => None,
        };
        if let Some(address) = &self.gateway_address {
            url::Host::parse(address).with_context(|| format!("gateway-address `{address}`"))?;
        }
        Ok(Wanted {
            name: self.gateway_name.clone(),
            clock,
            external_address: self.gateway_address.clone(),
        })
    }

    /// The password of a gateway fresh from its image, if there is one to try.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(crate) fn initial_password(&self) -> anyhow::Result<Option<SecretString>> {
        read_password(
            INITIAL_PASSWORD_ENV,
            self.gateway_initial_password_file.as_deref(),
        )
    }
}

/// Hours as a number or as text.
fn toml_hours<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Offset>, D::Error> {
    let hours = match toml::Value::deserialize(value)? {
        toml::Value::String(text) => text,
        number => number.to_string(),
    };
    utc_offset(&hours).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(file: &str) -> anyhow::Result<Wanted> {
        toml::from_str::<WantedOptions>(file)?.wanted()
    }

    #[test]
    fn what_is_not_said_is_not_wanted() {
        assert_eq!(wanted("").unwrap(), Wanted::default());
    }

    #[test]
    fn a_time_zone_is_hours_as_number_or_text_and_kept_by_a_time_server_unless_said_otherwise() {
        for (file, seconds, ntp) in [
            ("gateway-timezone = 8", 28_800, true),
            ("gateway-timezone = -3.5\ngateway-ntp = false", -12_600, false),
            ("gateway-timezone = '5.75'", 20_700, true),
        ] {
            let clock = wanted(file).unwrap().clock.unwrap();
            assert_eq!((clock.utc_offset.seconds(), clock.ntp), (seconds, ntp), "{file}");
        }
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for file in [
            "gateway-ntp = true",
            "gateway-timezone = 'Berlin'",
            "gateway-timezone = [1]",
            "gateway-address = 'http://203.0.113.7'",
        ] {
            assert!(wanted(file).is_err(), "{file}");
        }
    }
}
