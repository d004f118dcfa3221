//! The tables in DynamoDB: on two emulators of it, and against servers that misbehave.

mod contract;
mod faults;
mod rows;
mod scripted;
mod tables;
