//! Which instances there are, how they are, and power over them.

use super::error::Said;
use super::pages::{self, Page};
use super::tags::{self, STACK, TOKEN, filter, tagged};
use super::{Endpoints, Machines, launch};
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{
    self, AttributeBooleanValue, Filter, InstanceNetworkInterface, InstanceStateName, InstanceStatus,
    InstanceStatusSummary, SummaryStatus,
};
use domain::ports::{Instances, NewInstance, PortError, Power};
use domain::{Instance, InstanceId, InstanceState, StatusCheck};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Most instances that DescribeInstanceStatus is asked for by name.
const BATCH_MAX: usize = 100;

/// EC2 knows no such instance: it has been gone for an hour, or is so new that not all of EC2 knows it.
const NO_SUCH_INSTANCE: &str = "InvalidInstanceID.NotFound";

impl Instances for Machines {
    async fn list_instances(&self) -> Result<Vec<Instance>, PortError> {
        let described = self.of_stack(None).await?;
        let statuses = self.statuses(&described).await?;
        let read = |instance| read(self.config.endpoints, instance, &statuses);
        described.iter().map(read).collect()
    }

    async fn launch_instance(&self, new: &NewInstance) -> Result<InstanceId, PortError> {
        launch::launch(self, new).await
    }

    async fn power(&self, instance: &InstanceId, power: Power) -> Result<(), PortError> {
        let doing = match power {
            Power::Reboot => format!("rebooting {instance}"),
            Power::Stop => format!("stopping {instance}"),
            Power::Start => format!("starting {instance}"),
        };
        let Err(said) = self.ask_power(instance, power, &doing).await else {
            return Ok(());
        };
        // It passes for an instance between two states, and never for one that is gone.
        if said.is("IncorrectInstanceState") && self.is_gone(instance).await? {
            return Err(said.refused(&doing));
        }
        Err(said.into())
    }

    async fn terminate_instance(&self, instance: &InstanceId) -> Result<(), PortError> {
        let doing = format!("terminating {instance}");
        let Err(said) = self.ask_to_terminate(instance, &doing).await else {
            return Ok(());
        };
        if said.is(NO_SUCH_INSTANCE) {
            return Ok(());
        }
        if !said.is("OperationNotPermitted") {
            return Err(said.into());
        }
        self.lift_protection(instance).await?;
        Ok(self.ask_to_terminate(instance, &doing).await?)
    }
}

impl Machines {
    /// The stack's instances as EC2 describes them, those that are gone included; with a token only its own.
    pub(super) async fn of_stack(&self, token: Option<&str>) -> Result<Vec<types::Instance>, PortError> {
        let mut filters = vec![tagged(STACK, &self.config.stack)];
        filters.extend(token.map(|token| tagged(TOKEN, token)));
        self.described(filters, "listing instances").await
    }

    /// One instance, whoever's it is; `None` when EC2 knows of no such.
    pub(super) async fn one(&self, id: &InstanceId) -> Result<Option<types::Instance>, PortError> {
        let filters = vec![filter("instance-id", [id.as_str()])];
        let found = self.described(filters, &format!("looking at {id}")).await?;
        Ok(found.into_iter().next())
    }

    async fn described(&self, filters: Vec<Filter>, doing: &str) -> Result<Vec<types::Instance>, PortError> {
        let request = self.client.describe_instances().set_filters(Some(filters));
        pages::all(doing, |next| {
            let page = request.clone().set_next_token(next).send();
            async move {
                let page = page.await.map_err(|error| Said::new(error, doing))?;
                let reservations = page.reservations.unwrap_or_default().into_iter();
                let items = reservations.flat_map(|it| it.instances.unwrap_or_default());
                Ok(Page {
                    items: items.collect(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    /// The host's checks of those that are not gone.
    async fn statuses(
        &self,
        instances: &[types::Instance],
    ) -> Result<BTreeMap<String, InstanceStatus>, PortError> {
        let doing = "looking at status checks";
        let alive = instances.iter().filter(|it| !has_ended(it));
        let ids: Vec<String> = alive.filter_map(|it| it.instance_id.clone()).collect();
        let mut statuses = BTreeMap::new();
        for batch in ids.chunks(BATCH_MAX) {
            let request = self
                .client
                .describe_instance_status()
                .set_instance_ids(Some(batch.to_vec()))
                .include_all_instances(true);
            let found = pages::all(doing, |next| {
                let page = request.clone().set_next_token(next).send();
                async move {
                    let page = page
                        .await
                        .map_err(|error| not_yet_known(Said::new(error, doing), doing))?;
                    Ok(Page {
                        items: page.instance_statuses.unwrap_or_default(),
                        next: page.next_token,
                    })
                }
            });
            let named = |it: InstanceStatus| Some((it.instance_id.clone()?, it));
            statuses.extend(found.await?.into_iter().filter_map(named));
        }
        Ok(statuses)
    }

    async fn ask_power(&self, instance: &InstanceId, power: Power, doing: &str) -> Result<(), Said> {
        let id = instance.as_str();
        match power {
            Power::Reboot => {
                let asked = self.client.reboot_instances().instance_ids(id).send().await;
                asked.map(drop).map_err(|error| Said::new(error, doing))
            }
            Power::Stop => {
                let asked = self.client.stop_instances().instance_ids(id).send().await;
                asked.map(drop).map_err(|error| Said::new(error, doing))
            }
            Power::Start => {
                let asked = self.client.start_instances().instance_ids(id).send().await;
                asked.map(drop).map_err(|error| Said::new(error, doing))
            }
        }
    }

    async fn is_gone(&self, instance: &InstanceId) -> Result<bool, PortError> {
        let found = self.one(instance).await?;
        Ok(found.as_ref().is_none_or(has_ended))
    }

    async fn ask_to_terminate(&self, instance: &InstanceId, doing: &str) -> Result<(), Said> {
        let id = instance.as_str();
        let asked = self.client.terminate_instances().instance_ids(id).send().await;
        asked.map(drop).map_err(|error| Said::new(error, doing))
    }

    /// A replacement is protected like the one before it, so what is on its way out must be given up.
    async fn lift_protection(&self, instance: &InstanceId) -> Result<(), PortError> {
        let doing = format!("lifting the termination protection of {instance}");
        let lifted = self
            .client
            .modify_instance_attribute()
            .instance_id(instance.as_str())
            .disable_api_termination(AttributeBooleanValue::builder().value(false).build())
            .send()
            .await;
        lifted.map_err(|error| Said::new(error, &doing))?;
        Ok(())
    }
}

/// An instance that was listed and is not found is so new that it is not known everywhere.
fn not_yet_known(said: Said, doing: &str) -> PortError {
    if said.is(NO_SUCH_INSTANCE) {
        return PortError::throttled(doing, PortError::from(said));
    }
    said.into()
}

/// Whether it is terminated, or about to be: neither ever comes back.
pub(super) fn has_ended(instance: &types::Instance) -> bool {
    state(instance) == Some(InstanceState::Gone)
}

/// `None` when EC2 names no state, or one that is not known here.
pub(super) fn state(instance: &types::Instance) -> Option<InstanceState> {
    match instance.state.as_ref()?.name.as_ref()? {
        InstanceStateName::Pending => Some(InstanceState::Starting),
        InstanceStateName::Running => Some(InstanceState::Running),
        InstanceStateName::Stopping => Some(InstanceState::Stopping),
        InstanceStateName::Stopped => Some(InstanceState::Stopped),
        InstanceStateName::ShuttingDown | InstanceStateName::Terminated => Some(InstanceState::Gone),
        _ => None,
    }
}

fn read(
    endpoints: Endpoints,
    instance: &types::Instance,
    statuses: &BTreeMap<String, InstanceStatus>,
) -> Result<Instance, PortError> {
    let lacks = |what: &str| {
        let why = format!("the answer has an instance without {what}");
        PortError::unknown("listing instances", why)
    };
    let id = instance.instance_id().ok_or_else(|| lacks("an id"))?;
    let status = statuses.get(id);
    let private = instance
        .private_ip_address()
        .filter(|address| !address.is_empty());
    Ok(Instance {
        id: InstanceId::new(id),
        state: state(instance).ok_or_else(|| lacks("a known state"))?,
        system: check(status.and_then(InstanceStatus::system_status)),
        software: check(status.and_then(InstanceStatus::instance_status)),
        endpoint: private.map(|address| endpoints.at(address)),
        launched_at: launched_at(instance).ok_or_else(|| lacks("a time of launch"))?,
        token: tags::value(instance.tags(), TOKEN).map(str::to_owned),
    })
}

fn check(summary: Option<&InstanceStatusSummary>) -> StatusCheck {
    match summary.and_then(InstanceStatusSummary::status) {
        Some(SummaryStatus::Ok) => StatusCheck::Passed,
        Some(SummaryStatus::Impaired) => StatusCheck::Failed,
        Some(_) | None => StatusCheck::Pending,
    }
}

/// EC2's own time of launch is that of the last start; the first network interface has been attached since the first.
fn launched_at(instance: &types::Instance) -> Option<Timestamp> {
    let attachment = first_interface(instance).and_then(|interface| interface.attachment());
    let attached = attachment.and_then(|attachment| attachment.attach_time());
    let known = attached.into_iter().chain(instance.launch_time());
    known.filter_map(timestamp).min()
}

/// The one it was launched with, which stays.
pub(super) fn first_interface(instance: &types::Instance) -> Option<&InstanceNetworkInterface> {
    let mut interfaces = instance.network_interfaces().iter();
    interfaces.find(|interface| {
        let attachment = interface.attachment();
        attachment.is_some_and(|attachment| attachment.device_index() == Some(0))
    })
}

pub(super) fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
