//! A gateway's life on emulated EC2, looked after by the function's own process, which is killed all along the way:
//! whenever it has changed something in its memory or on EC2, and before it hears that it has.
//!
//! ```text
//!   function ──wire──▶ MiniStack (memory), moto (EC2)
//!       │  ▲ cut after the n-th change: SIGKILL          ▲
//!       │                                                │ follows
//!       └──▶ 127.77.1.x (door) ──▶ simulated gateway ◀── machine room
//!            127.77.1.200 (the Elastic IP) ──▶ the door of whoever has it
//! ```

mod room;
mod wire;
mod world;

use domain::channel::ChannelRow;
use domain::fakes::rows;
use domain::ports::{ChannelsTable, Images, Put};
use domain::recover::{Asked, Request, Step, request};
use domain::{ChannelKey, ImageId, ImageState, InstanceId, InstanceState};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simulator::scenario::DeviceSpec;
use std::time::Duration;
use world::World;

/// In the image, and not.
const KEPT: &str = "38941127-49B5-44B3-84FC-219747AFF04E";
const LOST: &str = "E1554DB4-3F60-465D-82CF-45D3740A3D92";

#[tokio::test]
async fn a_gateway_is_launched_copied_drilled_and_replaced_whenever_the_function_dies() {
    let mut world = World::start().await;
    let first = launch_the_first(&mut world).await;
    let image = keep_two_images(&mut world, &first).await;
    drill(&mut world, &first).await;
    replace(&mut world, &first, &image).await;
}

/// From nothing: base image, initial password, restart for the port maps, address.
async fn launch_the_first(world: &mut World) -> InstanceId {
    world
        .live_until("a first gateway", async |world: &World| {
            world.settled().await.is_some()
        })
        .await;
    assert_eq!(launches(world, "gateway-").await, 1);
    let first = world.settled().await.unwrap();
    world
        .live_until("a first image", async |world: &World| {
            let images = world.images().await;
            images.iter().any(|image| image.state == ImageState::Usable)
        })
        .await;
    first
}

/// The newest of them, which knows one of two devices.
async fn keep_two_images(world: &mut World, gateway: &InstanceId) -> ImageId {
    world
        .room
        .register(gateway, DeviceSpec::camera(KEPT, "kept"))
        .await;
    let mut newest = None;
    for number in 1..=3 {
        // Images are told apart by the second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let image = world
            .machines
            .create_image(gateway, &format!("by-hand-{number}"))
            .await;
        newest = Some(image.unwrap());
    }
    world.room.follow().await;
    world
        .room
        .register(gateway, DeviceSpec::camera(LOST, "lost"))
        .await;
    world
        .live_until("two images", async |world: &World| {
            world.images().await.len() == 2
        })
        .await;
    let (images, newest) = (world.images().await, newest.unwrap());
    assert!(images.iter().any(|image| image.id == newest), "{images:?}");
    assert_eq!(world.snapshots().await, 2);
    newest
}

/// The event comes twice, and is one drill; what follows is the ordinary schedule.
async fn drill(world: &mut World, gateway: &InstanceId) {
    let before = world.address().await;
    world.deaths.clear();
    for changes in [1, 2] {
        world.invoke(json!({"drill": true}), changes).await;
    }
    world
        .live_until("a drill", async |world: &World| {
            let over = world.memory().await.last.is_some_and(|last| last.drill);
            let mut instances = world.instances().await.into_iter();
            over && instances.all(|it| it.id == *gateway || it.state == InstanceState::Gone)
        })
        .await;
    let last = world.memory().await.last.unwrap();
    assert!(last.success, "{last:?}");
    assert!(last.rto_seconds.is_some() && last.rpo_seconds.is_some());
    assert_eq!(world.address().await, before);
    assert_eq!(world.settled().await.as_ref(), Some(gateway));
    assert_eq!(launches(world, "drill-").await, 1);
}

/// Every step is one at which the function died, and nothing was done twice or too soon.
async fn replace(world: &mut World, old: &InstanceId, image: &ImageId) {
    want(world, KEPT).await;
    want(world, LOST).await;
    let now = Timestamp::now();
    let asked = Request {
        at: now,
        since: now - SignedDuration::from_mins(5),
        reason: "a test asks for it".into(),
        drill: false,
    };
    let asked = request(&world.cloud.tables, &asked).await;
    assert_eq!(asked.unwrap(), Asked::Waits);
    world.deaths.clear();
    world
        .live_until("a replacement", async |world: &World| {
            let replaced = world.settled().await.is_some_and(|id| id != *old);
            replaced && world.state(old).await == Some(InstanceState::Gone)
        })
        .await;
    let every = [
        Step::Launch,
        Step::Boot,
        Step::Prove,
        Step::MoveAddress,
        Step::Verify,
    ];
    let every = every
        .into_iter()
        .chain([Step::Announce, Step::RetireOld, Step::Compare]);
    for step in every {
        assert!(
            world.deaths.contains_key(&step),
            "never died at {step:?}: {:?}",
            world.deaths
        );
    }
    let new = world.settled().await.unwrap();
    assert_eq!(launches(world, "gateway-").await, 2);
    let described = world
        .client
        .describe_instances()
        .instance_ids(new.as_str())
        .send()
        .await;
    let described = described.unwrap();
    let described = &described.reservations()[0].instances()[0];
    assert_eq!(described.image_id(), Some(image.as_str()));

    let last = world.memory().await.last.unwrap();
    assert!(last.success && !last.drill, "{last:?}");
    assert!(last.rto_seconds.unwrap() >= 300, "{last:?}");
    assert!(last.rpo_seconds.is_some());
    assert_eq!(last.lost_devices, Some(vec![format!("{LOST} (lost)")]));
}

/// How many instances were ever launched for this.
async fn launches(world: &World, purpose: &str) -> usize {
    let tokens = world.instances().await.into_iter().filter_map(|it| it.token);
    tokens.filter(|token| token.starts_with(purpose)).count()
}

async fn want(world: &World, device: &str) {
    let row = ChannelRow {
        device_name: if device == LOST { "lost" } else { "kept" }.into(),
        ..rows::channel(ChannelKey::new(device, "1"), Timestamp::now())
    };
    let put = world.cloud.tables.put_channel(&row, None).await;
    assert_eq!(put.unwrap(), Put::Written);
}
