//! A stack in an emulator.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::StackStatus;
use std::time::Duration;

/// Looks for the stack's completion, 0.1 s apart.
const TRIES: u32 = 300;

/// Creates a stack of this template and waits until it is complete.
pub async fn create_stack(sdk: &SdkConfig, name: &str, template: &str) {
    let client = Client::new(sdk);
    let create = client.create_stack().stack_name(name).template_body(template);
    create.send().await.expect("the emulator takes a stack");
    for _ in 0..TRIES {
        let answer = client.describe_stacks().stack_name(name).send().await;
        let stacks = answer.expect("the emulator describes a stack").stacks;
        let status = stacks
            .unwrap_or_default()
            .into_iter()
            .find_map(|stack| stack.stack_status);
        match status {
            Some(StackStatus::CreateComplete) => return,
            Some(StackStatus::CreateInProgress) | None => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Some(failed) => panic!("the stack {name} is {failed}"),
        }
    }
    panic!("the stack {name} was never complete");
}
