//! A new gateway that could not be asked in this round, because the host's list lags, has proven nothing.
#![allow(clippy::unwrap_used)]

use domain::InstanceId;
use domain::ports::{AddressLook, Held};
use domain::recover::{Memory, Observed, Proof, RecoverPolicy, Request, Saga, Step, plan};
use jiff::Timestamp;

fn at_step(step: Step, now: Timestamp) -> Memory {
    let request = Request {
        at: now,
        since: now,
        reason: "it does not answer".into(),
        drill: false,
    };
    let saga = Saga {
        request,
        started_at: now,
        old: Some(InstanceId::new("i-old")),
        attempt: 1,
        image: None,
        image_taken_at: None,
        new: Some(InstanceId::new("i-new")),
        step,
        step_since: now,
        answered_at: None,
        lost_devices: None,
    };
    Memory {
        saga: Some(saga),
        ..Memory::default()
    }
}

#[test]
fn a_gateway_that_could_not_be_asked_gets_no_address() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let address = AddressLook {
        address: "203.0.113.5".into(),
        endpoint: "http://203.0.113.5".into(),
        held: Some(Held {
            instance: InstanceId::new("i-old"),
            stay: "eipassoc-1".into(),
        }),
    };
    let observed = Observed {
        role: None,
        request: None,
        ill: false,
        instances: &[],
        address: &address,
        images: &[],
        proof: Proof::NotAsked,
        drift: Vec::new(),
        lost_devices: None,
    };
    for step in [Step::Prove, Step::MoveAddress] {
        let plan = plan(&RecoverPolicy::default(), &at_step(step, now), &observed, now);
        assert_eq!(plan.memory.saga.map(|saga| saga.step), Some(step));
        assert_eq!(plan.deeds, []);
    }
}
