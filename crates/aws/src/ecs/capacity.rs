//! Which capacity a task is launched on.
//!
//! A capacity provider strategy splits the tasks of one RunTask call or service ("the total number of tasks launched",
//! API reference of `CapacityProviderStrategyItem`). Here a call starts one task, so a strategy with a base would put
//! every task on the base, and one without leaves each to chance. The choice is therefore made here and handed to ECS
//! as a strategy with a single provider.
//!
//! The share is decided by a hash of the launch token: a launch that is tried again chooses the same, and the next
//! generation of a channel whose Spot task found no capacity may choose otherwise.

use super::LaunchMode;
use sha2::{Digest, Sha256};

/// What one task runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    Fargate,
    FargateSpot,
    Ec2,
}

impl Capacity {
    /// Name of the capacity provider of Fargate Spot, also on the tasks it runs.
    pub(super) const SPOT_PROVIDER: &str = "FARGATE_SPOT";

    pub(super) fn is_on_demand(self) -> bool {
        match self {
            Self::Fargate | Self::Ec2 => true,
            Self::FargateSpot => false,
        }
    }
}

/// The capacity for the launch with this token while so many tasks run On-Demand.
pub(super) fn choose(mode: LaunchMode, token: &str, on_demand: u32) -> Capacity {
    match mode {
        LaunchMode::Ec2 => Capacity::Ec2,
        LaunchMode::Fargate { on_demand_base, .. } if on_demand < on_demand_base => Capacity::Fargate,
        LaunchMode::Fargate { spot_percent, .. } if percentile(token) < spot_percent => Capacity::FargateSpot,
        LaunchMode::Fargate { .. } => Capacity::Fargate,
    }
}

/// The token of a launch that was meant for Spot, tried On-Demand. Its own, because ECS holds other parameters against
/// a token it has seen. The price: should the answer be lost and Spot have room at the next try, a decision has two
/// tasks, of which the one without an assignment ends itself.
pub(super) fn fallback_token(token: &str) -> String {
    let hash = Sha256::digest(format!("on demand {token}"));
    hex::encode(&hash[..16])
}

/// Evenly from 0 to 99.
fn percentile(token: &str) -> u8 {
    let hash = Sha256::digest(token);
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    u8::try_from(number % 100).expect("a remainder of 100 fits into a byte")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fargate(spot_percent: u8, on_demand_base: u32) -> LaunchMode {
        LaunchMode::Fargate {
            spot_percent,
            on_demand_base,
        }
    }

    /// Launches `count` tasks; returns how many run On-Demand and how many on Spot.
    fn launched(mode: LaunchMode, count: u32) -> (u32, u32) {
        let (mut on_demand, mut spot) = (0, 0);
        for i in 0..count {
            match choose(mode, &format!("token {i}"), on_demand) {
                Capacity::Fargate => on_demand += 1,
                Capacity::FargateSpot => spot += 1,
                Capacity::Ec2 => panic!("no instances were asked for"),
            }
        }
        (on_demand, spot)
    }

    #[test]
    fn the_base_is_filled_before_anything_runs_on_spot() {
        assert_eq!(launched(fargate(100, 3), 10), (3, 7));
        assert_eq!(launched(fargate(100, 20), 10), (10, 0));
    }

    #[test]
    fn a_fleet_is_split_by_the_percentage() {
        let (on_demand, spot) = launched(fargate(70, 100), 2_100);
        assert!((1_330..=1_470).contains(&spot), "{spot} of 2,000 on Spot");
        assert_eq!(on_demand + spot, 2_100);
    }

    #[test]
    fn instances_of_ones_own_are_always_used() {
        assert_eq!(choose(LaunchMode::Ec2, "token", 0), Capacity::Ec2);
    }

    proptest! {
        #[test]
        fn none_and_all_are_meant_literally(token in ".*", on_demand: u32) {
            prop_assert_eq!(choose(fargate(0, 0), &token, on_demand), Capacity::Fargate);
            prop_assert_eq!(choose(fargate(100, 0), &token, on_demand), Capacity::FargateSpot);
        }

        #[test]
        fn a_launch_tried_again_chooses_the_same(token in ".*", percent in 0_u8..=100, more in 0_u32..50) {
            let mode = fargate(percent, 5);
            prop_assert_eq!(choose(mode, &token, 5), choose(mode, &token, 5 + more));
        }

        #[test]
        fn the_fallback_has_a_token_of_its_own_that_ecs_accepts(token in "[!-~]{0,64}") {
            let fallback = fallback_token(&token);
            prop_assert_ne!(&fallback, &token);
            prop_assert_eq!(fallback.len(), 32);
            prop_assert!(fallback.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
