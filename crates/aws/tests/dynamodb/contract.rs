//! The tables' promises, on two independent emulators: one is Amazon's own, the other is what the emulated
//! deployment runs on.

macro_rules! hold_on {
    ($emulator:ident) => {
        mod $emulator {
            use aws::dynamodb::Tables;

            fn with_tables(promise: &impl AsyncFn(&Tables)) {
                let emulator = aws::harness::Emulator::$emulator();
                let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
                runtime.block_on(async { promise(&crate::tables::fresh(emulator).await.0).await });
            }

            domain::contract!(channels, with_tables);
            domain::contract!(tasks, with_tables);
            domain::contract!(gaps, with_tables);
            domain::contract!(episodes, with_tables);
            domain::contract!(control, with_tables);
        }
    };
}

hold_on!(dynamodb_local);
hold_on!(ministack);
