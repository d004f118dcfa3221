//! Moving the address while others move it too.

use crate::service::{FakeEc2, instance, instances};
use aws::ec2::AddressName;
use domain::ports::{Held, Moved, PortError, PublicAddress};

fn address(holder: &str, stay: &str) -> String {
    format!(
        "<addressesSet><item><publicIp>192.0.2.10</publicIp><allocationId>eipalloc-1</allocationId>{holder}{}\
         </item></addressesSet>",
        match stay {
            "" => String::new(),
            stay => format!("<associationId>{stay}</associationId>"),
        }
    )
}

fn at_old() -> String {
    address("<instanceId>i-old</instanceId>", "eipassoc-1")
}

fn held(instance: &str, stay: &str) -> Held {
    Held {
        instance: instance.into(),
        stay: stay.into(),
    }
}

/// A service where the address is with the old instance, and the new one is in this state.
fn service(new: &str) -> FakeEc2 {
    let ec2 = FakeEc2::default();
    ec2.answer("DescribeAddresses", &at_old());
    ec2.answer("DescribeInstances", &instances(&[instance("i-new", new, "")]));
    ec2
}

async fn move_it(ec2: &FakeEc2) -> Result<Moved, PortError> {
    let seen = held("i-old", "eipassoc-1");
    ec2.machines().move_address(&"i-new".into(), Some(&seen)).await
}

#[tokio::test]
async fn a_move_ends_the_stay_that_was_seen_and_takes_nothing_from_anybody() {
    let ec2 = service("running");
    assert_eq!(move_it(&ec2).await.unwrap(), Moved::Moved);
    assert_eq!(
        ec2.requests("DisassociateAddress")[0]["AssociationId"],
        "eipassoc-1"
    );
    let given = &ec2.requests("AssociateAddress")[0];
    assert_eq!(given["AllowReassociation"], "false");
    assert_eq!(given["AllocationId"], "eipalloc-1");
    assert_eq!(given["InstanceId"], "i-new");
}

#[tokio::test]
async fn a_later_stay_at_the_same_instance_is_not_ended() {
    let ec2 = service("running");
    let seen = held("i-old", "eipassoc-0");
    let moved = ec2.machines().move_address(&"i-new".into(), Some(&seen)).await;
    assert_eq!(moved.unwrap(), Moved::Stale);
    assert!(ec2.requests("DisassociateAddress").is_empty());
}

#[tokio::test]
async fn who_moves_it_in_between_is_never_undone() {
    let ec2 = service("running");
    ec2.fail("DisassociateAddress", 400, "InvalidAssociationID.NotFound");
    assert_eq!(move_it(&ec2).await.unwrap(), Moved::Stale);
    assert!(ec2.requests("AssociateAddress").is_empty());

    let ec2 = service("running");
    ec2.fail("AssociateAddress", 400, "Resource.AlreadyAssociated");
    assert_eq!(move_it(&ec2).await.unwrap(), Moved::Stale);
}

#[tokio::test]
async fn it_is_not_taken_for_an_instance_that_cannot_have_it() {
    for (state, later) in [("pending", true), ("shutting-down", false), ("terminated", false)] {
        let ec2 = service(state);
        let moved = move_it(&ec2).await;
        assert_eq!(
            matches!(moved, Err(PortError::Throttled { .. })),
            later,
            "{moved:?}"
        );
        assert_eq!(
            matches!(moved, Err(PortError::Refused { .. })),
            !later,
            "{moved:?}"
        );
        assert!(ec2.requests("DisassociateAddress").is_empty());
    }
}

#[tokio::test]
async fn once_it_is_taken_no_error_claims_that_nothing_happened() {
    for (status, code) in [(503, "RequestLimitExceeded"), (400, "InvalidInstanceID.NotFound")] {
        let ec2 = service("running");
        ec2.fail("AssociateAddress", status, code);
        let moved = move_it(&ec2).await;
        assert!(matches!(moved, Err(PortError::Unknown { .. })), "{moved:?}");
    }
    let ec2 = service("running");
    ec2.lose("DisassociateAddress");
    let moved = move_it(&ec2).await;
    assert!(matches!(moved, Err(PortError::Unknown { .. })), "{moved:?}");
    assert_eq!(ec2.requests("DisassociateAddress").len(), 1);
}

#[tokio::test]
async fn whatever_has_it_is_named() {
    for (holder, stay, expected) in [
        ("", "", None),
        ("<instanceId/>", "", None),
        ("<instanceId>i-1</instanceId>", "s", Some(held("i-1", "s"))),
        (
            "<networkInterfaceId>eni-1</networkInterfaceId>",
            "s",
            Some(held("eni-1", "s")),
        ),
    ] {
        let ec2 = FakeEc2::default();
        ec2.answer("DescribeAddresses", &address(holder, stay));
        let look = ec2.machines().find_address().await.unwrap();
        assert_eq!(look.held, expected);
        assert_eq!(look.endpoint, "https://192.0.2.10");
    }
}

#[tokio::test]
async fn an_address_that_is_not_ours_needs_a_person() {
    let ec2 = FakeEc2::default();
    ec2.fail("DescribeAddresses", 400, "InvalidAllocationID.NotFound");
    let found = ec2.machines().find_address().await;
    assert!(matches!(found, Err(PortError::Refused { .. })), "{found:?}");
    let found = FakeEc2::default().machines().find_address().await;
    assert!(matches!(found, Err(PortError::Unknown { .. })), "{found:?}");
}

#[test]
fn an_address_has_two_names_and_no_others() {
    for name in ["eipalloc-0123456789abcdef0", "192.0.2.10"] {
        assert_eq!(name.parse::<AddressName>().unwrap().to_string(), name);
    }
    for name in ["", "192.0.2", "2001:db8::1", "gateway.example"] {
        assert!(name.parse::<AddressName>().is_err(), "{name}");
    }
}
