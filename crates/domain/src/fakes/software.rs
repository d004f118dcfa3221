use crate::device::{Device, DeviceStatus, OfflineHint};
use crate::ports::{Credential, LogIn, PortError};
use crate::setup::{Applied, Change, Clock, Configuration, Identity, PortMap};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// How long a restart of the software takes.
const RESTART: SignedDuration = SignedDuration::from_secs(15);

/// Wrong passwords until the account locks, and for how long; as the gateways seen do.
const TRIES: u32 = 5;
const LOCK: SignedDuration = SignedDuration::from_mins(30);

/// A gateway's software and its disk: what an image copies.
#[derive(Debug, Clone, PartialEq)]
pub struct Software {
    /// Which password it has.
    pub password: Password,
    /// The devices it knows.
    pub devices: Vec<Device>,
    /// How it is configured.
    pub configuration: Configuration,
    /// How far its clock is off.
    pub clock_off: SignedDuration,
    /// The port maps are in force.
    pub in_force: bool,
    /// Its API does not answer until a reboot.
    pub hung: bool,
    /// It sees no device until a restart.
    pub deaf: bool,
    /// The account is locked until then.
    pub locked_until: Option<Timestamp>,
    /// How often the account was locked.
    pub lockouts: u32,
    /// How often it was restarted by its API.
    pub restarts: u32,
    pub(super) up_at: Timestamp,
    wrong_tries: u32,
}

/// Which password a gateway has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// That of the base image.
    Initial,
    /// The wanted one.
    Wanted,
    /// One that we do not know.
    Other,
}

impl Software {
    /// A gateway fresh from its base image.
    pub fn fresh() -> Self {
        let unmapped = PortMap {
            enabled: false,
            addresses: Vec::new(),
            straight: true,
        };
        Self {
            password: Password::Initial,
            devices: Vec::new(),
            configuration: Configuration {
                name: "Embedded Net".into(),
                clock: Clock {
                    instant: Timestamp::UNIX_EPOCH,
                    utc_offset: Offset::constant(8),
                    ntp: false,
                },
                platform_ports: unmapped.clone(),
                device_ports: unmapped,
                alarm_forwarding: Some(true),
            },
            clock_off: SignedDuration::ZERO,
            in_force: true,
            hung: false,
            deaf: false,
            locked_until: None,
            lockouts: 0,
            restarts: 0,
            up_at: Timestamp::UNIX_EPOCH,
            wrong_tries: 0,
        }
    }

    /// Whether its API answers.
    pub fn answers(&self, now: Timestamp) -> bool {
        !self.hung && now >= self.up_at
    }

    /// Starts anew, as after a boot.
    pub(super) fn boot(&mut self, now: Timestamp) {
        self.hung = false;
        self.deaf = false;
        self.in_force = true;
        self.up_at = now.saturating_add(RESTART).unwrap_or(now);
    }

    pub(super) fn log_in(&mut self, with: Credential, now: Timestamp) -> LogIn {
        if let Some(until) = self.locked_until.filter(|until| *until > now) {
            return LogIn::Locked {
                locked_for: Some(until.duration_since(now)),
            };
        }
        if self.is_right(with) {
            self.wrong_tries = 0;
            return LogIn::Accepted(Identity {
                name: self.configuration.name.clone(),
                model: "DS-GWAS0101".into(),
                firmware_version: "V1.8.0".into(),
            });
        }
        self.wrong_tries += 1;
        if self.wrong_tries < TRIES {
            return LogIn::Rejected {
                tries_left: Some(TRIES - self.wrong_tries),
            };
        }
        self.wrong_tries = 0;
        self.lockouts += 1;
        self.locked_until = now.saturating_add(LOCK).ok();
        LogIn::Locked {
            locked_for: Some(LOCK),
        }
    }

    /// The device list.
    pub(super) fn list_devices(&self, with: Credential) -> Result<Vec<Device>, PortError> {
        self.admit("listing devices", with)?;
        let mut devices = self.devices.clone();
        if self.deaf {
            for device in &mut devices {
                device.status = DeviceStatus::Offline(OfflineHint::Network);
            }
        }
        Ok(devices)
    }

    pub(super) fn configuration(&self, with: Credential, now: Timestamp) -> Result<Configuration, PortError> {
        self.admit("reading the configuration", with)?;
        let mut configuration = self.configuration.clone();
        configuration.clock.instant = now.saturating_add(self.clock_off).unwrap_or(now);
        Ok(configuration)
    }

    pub(super) fn adopt_password(&mut self) -> Result<(), PortError> {
        if self.password == Password::Other {
            return Err(PortError::refused(
                "changing the password",
                "the password is wrong",
            ));
        }
        self.password = Password::Wanted;
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        change: &Change,
        with: Credential,
        now: Timestamp,
    ) -> Result<Applied, PortError> {
        self.admit("changing the configuration", with)?;
        let straight = |addresses: Vec<String>| PortMap {
            enabled: true,
            addresses,
            straight: true,
        };
        match change {
            Change::Name(name) => self.configuration.name.clone_from(name),
            Change::Clock(clock) => {
                self.clock_off = clock.instant.duration_since(now);
                self.configuration.clock = *clock;
            }
            Change::PlatformPorts { address } => {
                self.configuration.platform_ports = straight(vec![address.clone()]);
                self.in_force = false;
                return Ok(Applied::AfterRestart);
            }
            Change::DevicePorts => {
                self.configuration.device_ports = straight(Vec::new());
                self.in_force = false;
                return Ok(Applied::AfterRestart);
            }
        }
        Ok(Applied::Now)
    }

    pub(super) fn restart(&mut self, with: Credential, now: Timestamp) -> Result<(), PortError> {
        self.admit("restarting the software", with)?;
        self.restarts += 1;
        self.boot(now);
        Ok(())
    }

    fn admit(&self, doing: &str, with: Credential) -> Result<(), PortError> {
        if self.is_right(with) {
            return Ok(());
        }
        Err(PortError::refused(doing, "the password is wrong"))
    }

    fn is_right(&self, with: Credential) -> bool {
        match with {
            Credential::Wanted => self.password == Password::Wanted,
            Credential::Initial => self.password == Password::Initial,
        }
    }
}
