//! What a host of gateways promises: [`Instances`], [`Images`] and [`PublicAddress`] together. Each function takes a
//! host without instances and images, whose address is nowhere.

use crate::ports::{
    AddressLook, Held, Images, Instances, Moved, NewInstance, PortError, Power, PublicAddress, Source,
};
use crate::{InstanceId, InstanceState};

async fn launch(host: &impl Instances, token: &str) -> InstanceId {
    let new = NewInstance {
        token: token.into(),
        source: Source::Base,
        like: None,
        isolated: false,
    };
    host.launch_instance(&new).await.expect("the host answers")
}

async fn state(host: &impl Instances, id: &InstanceId) -> Option<InstanceState> {
    let instances = host.list_instances().await.expect("the host answers");
    let instance = instances.into_iter().find(|instance| instance.id == *id);
    instance.map(|instance| instance.state)
}

async fn look(host: &impl PublicAddress) -> AddressLook {
    host.find_address().await.expect("the host answers")
}

async fn move_to(host: &impl PublicAddress, to: &InstanceId, from: Option<&Held>) -> Moved {
    host.move_address(to, from).await.expect("the host answers")
}

/// And the list shows the token, by which the launch is recognised.
pub async fn a_token_names_one_instance(host: &impl Instances) {
    let first = launch(host, "a").await;
    assert_eq!(launch(host, "a").await, first);
    let other = launch(host, "b").await;
    assert_ne!(other, first);
    let mut listed = host.list_instances().await.expect("the host answers");
    listed.sort_by(|a, b| a.token.cmp(&b.token));
    let tokens: Vec<_> = listed.into_iter().map(|it| (it.id, it.token)).collect();
    assert_eq!(tokens, [(first, Some("a".into())), (other, Some("b".into()))]);
}

/// Its token still names it, ending it again is no error, and nothing brings it back.
pub async fn an_instance_that_is_gone_stays_gone(host: &impl Instances) {
    let id = launch(host, "a").await;
    for _ in 0..2 {
        let ended = host.terminate_instance(&id).await;
        ended.expect("ending what is gone is no error");
    }
    assert!(matches!(state(host, &id).await, None | Some(InstanceState::Gone)));
    let started = host.power(&id, Power::Start).await;
    assert!(matches!(started, Err(PortError::Refused { .. })), "{started:?}");
    assert_eq!(launch(host, "a").await, id);
}

/// Nor is stopping one that is on its way down.
pub async fn stopping_twice_is_no_error(host: &impl Instances) {
    let id = launch(host, "a").await;
    for _ in 0..2 {
        host.power(&id, Power::Stop).await.expect("stopping is no error");
    }
    let state = state(host, &id).await;
    assert!(matches!(
        state,
        Some(InstanceState::Stopping | InstanceState::Stopped)
    ));
}

/// As two invocations of one interval ask for it.
pub async fn an_image_token_names_one_image<H: Instances + Images>(host: &H) {
    let id = launch(host, "a").await;
    let first = host.create_image(&id, "one").await.expect("the host answers");
    let again = host.create_image(&id, "one").await.expect("the host answers");
    let other = host.create_image(&id, "two").await.expect("the host answers");
    assert_eq!(first, again);
    assert_ne!(first, other);
    let images = host.list_images().await.expect("the host answers");
    assert_eq!(images.len(), 2);
}

/// And it is no longer listed.
pub async fn an_image_deleted_twice_is_no_error<H: Instances + Images>(host: &H) {
    let id = launch(host, "a").await;
    let image = host.create_image(&id, "one").await.expect("the host answers");
    for _ in 0..2 {
        host.delete_image(&image).await.expect("deleting is no error");
    }
    let images = host.list_images().await.expect("the host answers");
    assert!(images.iter().all(|listed| listed.id != image));
}

/// Two who want it cannot both have it.
pub async fn the_address_moves_only_from_where_it_was_seen<H: Instances + PublicAddress>(host: &H) {
    let (one, two) = (launch(host, "a").await, launch(host, "b").await);
    assert_eq!(look(host).await.held, None);
    assert_eq!(move_to(host, &one, None).await, Moved::Moved);
    assert_eq!(move_to(host, &two, None).await, Moved::Stale);
    let seen = look(host).await.held;
    assert_eq!(seen.as_ref().map(|held| &held.instance), Some(&one));
    assert_eq!(move_to(host, &two, seen.as_ref()).await, Moved::Moved);
    assert_eq!(move_to(host, &one, seen.as_ref()).await, Moved::Stale);
    assert_eq!(look(host).await.holder(), Some(&two));
}

/// So that an old look is told from a new one, even at the same instance.
pub async fn every_stay_of_the_address_has_its_own_name<H: Instances + PublicAddress>(host: &H) {
    let (one, two) = (launch(host, "a").await, launch(host, "b").await);
    let mut stays = Vec::new();
    for to in [&one, &two, &one] {
        let seen = look(host).await.held;
        assert_eq!(move_to(host, to, seen.as_ref()).await, Moved::Moved);
        stays.extend(look(host).await.held.map(|held| held.stay));
    }
    stays.sort();
    stays.dedup();
    assert_eq!(stays.len(), 3);
}

/// And can be had from there.
pub async fn the_address_of_an_instance_that_is_gone_is_nowhere<H: Instances + PublicAddress>(host: &H) {
    let (one, two) = (launch(host, "a").await, launch(host, "b").await);
    assert_eq!(move_to(host, &one, None).await, Moved::Moved);
    host.terminate_instance(&one).await.expect("the host answers");
    assert_eq!(look(host).await.held, None);
    assert_eq!(move_to(host, &two, None).await, Moved::Moved);
}
