//! The Elastic IP: where it is, and moving it.
//!
//! EC2 can move an address in one call, from wherever it is. Then a person who has just moved it would be undone, so
//! it takes two: it is taken from the very stay that was seen (an association id is never used twice), and given only
//! if nobody has it. Between the two it is nowhere for a moment.

use super::Machines;
use super::error::Said;
use super::instances::state;
use crate::client::one_try;
use aws_sdk_ec2::config;
use aws_sdk_ec2::types::Address;
use domain::ports::{AddressLook, Held, Moved, PortError, PublicAddress};
use domain::{InstanceId, InstanceState};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Which Elastic IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressName {
    /// By the id of its allocation, such as `eipalloc-0123456789abcdef0`.
    Allocation(String),
    /// By the address itself.
    Ip(Ipv4Addr),
}

/// The text that names no Elastic IP.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither the allocation of an Elastic IP (`eipalloc-…`) nor an IPv4 address")]
pub struct NotAnAddressName(String);

impl FromStr for AddressName {
    type Err = NotAnAddressName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("eipalloc-") {
            return Ok(Self::Allocation(text.to_owned()));
        }
        let address = text.parse().map(Self::Ip);
        address.map_err(|_| NotAnAddressName(text.to_owned()))
    }
}

impl fmt::Display for AddressName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocation(id) => f.pad(id),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl PublicAddress for Machines {
    async fn find_address(&self) -> Result<AddressLook, PortError> {
        let address = self.address("finding the address").await?;
        let Some(ip) = &address.public_ip else {
            return Err(PortError::unknown("finding the address", "the answer has none"));
        };
        Ok(AddressLook {
            address: ip.clone(),
            endpoint: self.config.endpoints.at(ip),
            held: held(&address),
        })
    }

    async fn move_address(&self, to: &InstanceId, from: Option<&Held>) -> Result<Moved, PortError> {
        let doing = format!("moving the address to {to}");
        let address = self.address(&doing).await?;
        if held(&address).as_ref() != from {
            return Ok(Moved::Stale);
        }
        let Some(allocation) = &address.allocation_id else {
            return Err(PortError::unknown(doing, "the answer has no allocation"));
        };
        // Before it is taken from who has it.
        self.can_have_address(to, &doing).await?;
        let Some(from) = from else {
            return self.give(allocation, to, &doing).await.map_err(PortError::from);
        };
        if !self.take(from, &doing).await? {
            return Ok(Moved::Stale);
        }
        // Whatever is said now, half of it was done.
        let given = self.give(allocation, to, &doing).await;
        given.map_err(|said| said.unknown(&doing))
    }
}

impl Machines {
    async fn address(&self, doing: &str) -> Result<Address, PortError> {
        let name = &self.recovery(doing)?.address;
        let request = match name {
            AddressName::Allocation(id) => self.client.describe_addresses().allocation_ids(id),
            AddressName::Ip(address) => self.client.describe_addresses().public_ips(address.to_string()),
        };
        let answer = request.send().await.map_err(|error| Said::new(error, doing))?;
        let found = answer.addresses.unwrap_or_default().into_iter().next();
        found.ok_or_else(|| PortError::unknown(doing, format!("the answer does not have {name}")))
    }

    async fn can_have_address(&self, to: &InstanceId, doing: &str) -> Result<(), PortError> {
        let instance = self.one(to).await?;
        match instance.as_ref().map(state) {
            Some(Some(InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped)) => Ok(()),
            Some(Some(InstanceState::Starting) | None) => {
                Err(PortError::throttled(doing, "the instance is not up yet"))
            }
            Some(Some(InstanceState::Gone)) | None => Err(PortError::refused(doing, "the instance is gone")),
        }
    }

    /// Ends one stay, and no other; `false` when it was over. A second try would take its own success for that.
    async fn take(&self, from: &Held, doing: &str) -> Result<bool, PortError> {
        let asked = self.client.disassociate_address().association_id(&from.stay);
        let asked = asked.customize().config_override(once()).send().await;
        match asked.map_err(|error| Said::new(error, doing)) {
            Ok(_) => Ok(true),
            Err(said) if said.is("InvalidAssociationID.NotFound") => Ok(false),
            Err(said) => Err(said.into()),
        }
    }

    async fn give(&self, allocation: &str, to: &InstanceId, doing: &str) -> Result<Moved, Said> {
        let asked = self
            .client
            .associate_address()
            .allocation_id(allocation)
            .instance_id(to.as_str())
            .allow_reassociation(false);
        let asked = asked.customize().config_override(once()).send().await;
        match asked.map_err(|error| Said::new(error, doing)) {
            Ok(_) => Ok(Moved::Moved),
            Err(said) if said.is("Resource.AlreadyAssociated") => Ok(Moved::Stale),
            Err(said) => Err(said),
        }
    }
}

fn once() -> config::Builder {
    config::Builder::new().retry_config(one_try())
}

/// Who has it: an instance, or whatever else a person has given it to, by the name of its network interface.
fn held(address: &Address) -> Option<Held> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let stay = given(&address.association_id)?;
    let holder = given(&address.instance_id).or_else(|| given(&address.network_interface_id));
    Some(Held {
        instance: InstanceId::new(holder.unwrap_or_default()),
        stay,
    })
}
