//! Stacks on the emulator of EC2.

use aws::ec2::{AddressName, Endpoints, Machines, Scheme};
use aws::harness::{Emulator, Site, create_site, unused_name};
use aws_config::SdkConfig;
use std::sync::atomic::{AtomicU8, Ordering};

/// A site and the machines on it.
pub(crate) struct Stack {
    pub(crate) site: Site,
    pub(crate) machines: Machines,
    sdk: SdkConfig,
}

impl Stack {
    /// One of its own.
    pub(crate) async fn new() -> Self {
        let sdk = Emulator::moto().sdk_config();
        let endpoints = Endpoints {
            scheme: Scheme::Https,
            port: None,
        };
        let site = create_site(&sdk, &unused_name(), unused_network(), endpoints).await;
        Self {
            machines: Machines::new(&sdk, site.config.clone()),
            site,
            sdk,
        }
    }

    /// The same machines, with the address named by itself.
    pub(crate) fn by_address(&self, address: &str) -> Machines {
        let mut config = self.site.config.clone();
        let recovery = config.recovery.as_mut().expect("a site has it");
        recovery.address = AddressName::Ip(address.parse().expect("it is an address"));
        Machines::new(&self.sdk, config)
    }
}

fn unused_network() -> [u8; 3] {
    static NETWORKS: AtomicU8 = AtomicU8::new(0);
    [10, 9, NETWORKS.fetch_add(1, Ordering::Relaxed)]
}
