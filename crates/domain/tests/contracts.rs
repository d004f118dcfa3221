//! The fakes keep the ports' promises, so that what a storm proves on them is worth something.

use domain::fakes::{FakeArchive, FakeHost, FakeTables, FakeTasks, Weather};

fn with_fake(promise: &impl AsyncFn(&FakeTables)) {
    futures::executor::block_on(promise(&FakeTables::new(Weather::calm())));
}

domain::contract!(channels, with_fake);
domain::contract!(tasks, with_fake);
domain::contract!(gaps, with_fake);
domain::contract!(episodes, with_fake);
domain::contract!(control, with_fake);

fn with_fake_host(promise: &impl AsyncFn(&FakeTasks)) {
    futures::executor::block_on(promise(&FakeTasks::new(Weather::calm())));
}

domain::contract!(host, with_fake_host);

fn with_archive(promise: &impl AsyncFn(&FakeArchive)) {
    futures::executor::block_on(promise(&FakeArchive::new(Weather::calm())));
}

domain::contract!(archive, with_archive);
domain::contract!(sweep, with_archive);

fn with_fake_machines(promise: &impl AsyncFn(&FakeHost)) {
    futures::executor::block_on(promise(&FakeHost::new(Weather::calm())));
}

domain::contract!(machines, with_fake_machines);
