//! The tables' promises, on two independent emulators: one is Amazon's own, the other is what the emulated
//! deployment runs on.

mod on_dynamodb_local {
    use crate::tables::{dynamodb_local, fresh};
    use aws::dynamodb::Tables;

    fn with_tables(promise: &impl AsyncFn(&Tables)) {
        let endpoint = dynamodb_local();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        runtime.block_on(async { promise(&fresh(endpoint).await.0).await });
    }

    domain::contract!(channels, with_tables);
    domain::contract!(tasks, with_tables);
    domain::contract!(gaps, with_tables);
    domain::contract!(episodes, with_tables);
    domain::contract!(control, with_tables);
}

mod on_ministack {
    use crate::tables::{fresh, ministack};
    use aws::dynamodb::Tables;

    fn with_tables(promise: &impl AsyncFn(&Tables)) {
        let endpoint = ministack();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        runtime.block_on(async { promise(&fresh(endpoint).await.0).await });
    }

    domain::contract!(channels, with_tables);
    domain::contract!(tasks, with_tables);
    domain::contract!(gaps, with_tables);
    domain::contract!(episodes, with_tables);
    domain::contract!(control, with_tables);
}
