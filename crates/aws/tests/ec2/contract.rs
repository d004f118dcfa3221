//! The promises of a host of gateways.

use crate::moto::Stack;
use aws::ec2::Machines;

fn with_moto(promise: &impl AsyncFn(&Machines)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async { promise(&Stack::new().await.machines).await });
}

domain::contract!(machines, with_moto);
