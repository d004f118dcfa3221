//! The promises of a host of recorders.

use crate::service::FakeEcs;
use aws::ecs::EcsTasks;

fn with_ecs(promise: &impl AsyncFn(&EcsTasks)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async { promise(&FakeEcs::default().tasks()).await });
}

domain::contract!(host, with_ecs);
