use crate::deployment::Architecture;
use crate::dollars::Dollars;
use domain::{RestoreTier, StorageClass};
use jiff::civil;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Hours of a month, as AWS counts them on its pages.
pub(crate) const MONTH_HOURS: f64 = 730.0;

/// The tables that are built in, by Region.
const BUILT_IN: [(&str, &str); 1] = [("us-east-1", include_str!("../prices/us-east-1.toml"))];

/// The Regions whose prices are built in.
pub fn regions() -> Vec<&'static str> {
    BUILT_IN.map(|(region, _)| region).to_vec()
}

/// The built-in table of a Region, as it is written.
///
/// # Errors
/// [`NoPrice::Region`] when there is none.
pub fn built_in(region: &str) -> Result<&'static str, NoPrice> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == region);
    let (_, table) = found.ok_or_else(|| NoPrice::Region {
        region: region.to_owned(),
        known: regions().join(", "),
    })?;
    Ok(table)
}

/// Why something has no price.
#[derive(Debug, thiserror::Error)]
pub enum NoPrice {
    /// There is no table of the Region.
    #[error(
        "there are no prices of {region}; built in are those of {known}, others are read from a file (`--prices`) of the \
         form that `millrace prices` shows"
    )]
    Region {
        /// Which.
        region: String,
        /// Those there are.
        known: String,
    },
    /// The table is not one.
    #[error("reading the prices")]
    Table(#[from] toml::de::Error),
    /// The table does not have it.
    #[error("the prices of {region} have no {what}; they have {known}")]
    Item {
        /// Of which table.
        region: String,
        /// What is missing.
        what: String,
        /// What there is of the kind.
        known: String,
    },
}

/// The prices of one Region on one day.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prices {
    /// Of which Region.
    pub region: String,
    /// The day they were looked up.
    pub as_of: civil::Date,
    /// Where.
    pub sources: Vec<String>,
    pub(crate) fargate: Fargate,
    pub(crate) network: NetworkPrices,
    pub(crate) table: TablePrices,
    pub(crate) functions: FunctionPrices,
    pub(crate) monitoring: MonitoringPrices,
    pub(crate) disk: DiskPrices,
    machine_hour: BTreeMap<String, MachinePrices>,
    storage: BTreeMap<StorageClass, ClassPrices>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Fargate {
    arm64: ComputePrices,
    #[serde(rename = "x86_64")]
    x86_64: ComputePrices,
    /// The share of the price that Spot saves.
    pub(crate) spot_discount: f64,
}

impl Fargate {
    /// A month of one task.
    pub(crate) fn task_month(&self, architecture: Architecture, vcpus: f64, gb: f64) -> Dollars {
        let prices = match architecture {
            Architecture::Arm64 => self.arm64,
            Architecture::X86_64 => self.x86_64,
        };
        (prices.vcpu_hour * vcpus + prices.gb_hour * gb) * MONTH_HOURS
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ComputePrices {
    vcpu_hour: Dollars,
    gb_hour: Dollars,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NetworkPrices {
    public_address_hour: Dollars,
    endpoint_hour: Dollars,
}

impl NetworkPrices {
    pub(crate) fn address_month(&self) -> Dollars {
        self.public_address_hour * MONTH_HOURS
    }

    pub(crate) fn endpoint_month(&self) -> Dollars {
        self.endpoint_hour * MONTH_HOURS
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TablePrices {
    /// A million write units.
    pub(crate) write_million: Dollars,
    /// A million read units.
    pub(crate) read_million: Dollars,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FunctionPrices {
    arm64_gb_second: Dollars,
    #[serde(rename = "x86_64-gb-second")]
    x86_64_gb_second: Dollars,
    pub(crate) call_million: Dollars,
}

impl FunctionPrices {
    pub(crate) fn gb_second(&self, architecture: Architecture) -> Dollars {
        match architecture {
            Architecture::Arm64 => self.arm64_gb_second,
            Architecture::X86_64 => self.x86_64_gb_second,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct MonitoringPrices {
    pub(crate) metric: Dollars,
    pub(crate) alarm: Dollars,
    pub(crate) dashboard: Dollars,
    pub(crate) log_gb: Dollars,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct DiskPrices {
    pub(crate) volume_gb: Dollars,
    pub(crate) snapshot_gb: Dollars,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct MachinePrices {
    pub(crate) linux: Dollars,
    pub(crate) windows: Dollars,
}

/// What a storage class costs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClassPrices {
    /// A GB for a month.
    pub gb: Dollars,
    /// A thousand objects put into it, or moved to it.
    pub put_thousand: Dollars,
    /// A GB read from it, beside what every transfer costs.
    #[serde(default)]
    pub read_gb: Dollars,
    /// For how many days an object is billed at least.
    #[serde(default)]
    pub days_min: u32,
    /// What an object is larger by, at this class's price.
    #[serde(default)]
    pub index_bytes: u32,
    /// What an object is larger by, at the standard class's price.
    #[serde(default)]
    pub index_standard_bytes: u32,
    /// What a restore costs by how fast it is, slowest last; empty when objects are read at once.
    #[serde(default)]
    pub restore: BTreeMap<RestoreTier, RestorePrices>,
}

/// What a restore costs, and how long it takes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestorePrices {
    /// A GB restored.
    pub gb: Dollars,
    /// A thousand objects asked for.
    pub request_thousand: Dollars,
    /// From how many hours to how many it takes as a rule.
    pub hours: [f64; 2],
}

impl Prices {
    /// The built-in prices of a Region.
    ///
    /// # Errors
    /// [`NoPrice::Region`] when there are none.
    pub fn of(region: &str) -> Result<Self, NoPrice> {
        Self::parse(built_in(region)?)
    }

    /// Reads a table of the form of the built-in ones.
    ///
    /// # Errors
    /// [`NoPrice::Table`] when it is none.
    pub fn parse(table: &str) -> Result<Self, NoPrice> {
        Ok(toml::from_str(table)?)
    }

    /// What a class costs.
    ///
    /// # Errors
    /// [`NoPrice::Item`] when the table does not say.
    pub fn class(&self, class: StorageClass) -> Result<&ClassPrices, NoPrice> {
        self.storage.get(&class).ok_or_else(|| NoPrice::Item {
            region: self.region.clone(),
            what: format!("storage class {class}"),
            known: list(self.storage.keys()),
        })
    }

    /// What a type of machine costs an hour.
    pub(crate) fn machine(&self, kind: &str) -> Result<&MachinePrices, NoPrice> {
        self.machine_hour.get(kind).ok_or_else(|| NoPrice::Item {
            region: self.region.clone(),
            what: format!("machine {kind}"),
            known: list(self.machine_hour.keys()),
        })
    }
}

fn list<T: std::fmt::Display>(known: impl Iterator<Item = T>) -> String {
    known
        .map(|known| known.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
