//! The ports' promises, kept by SQLite and a folder.

use local::{Folder, Sqlite};

fn run(promise: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(promise);
}

fn with_sqlite(promise: &impl AsyncFn(&Sqlite)) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    run(async {
        let opened = Sqlite::open(&folder.path().join("state.db")).await;
        promise(&opened.expect("a new file opens")).await;
    });
}

fn with_folder(promise: &impl AsyncFn(&Folder)) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    run(async {
        let archive = Folder::at(folder.path());
        archive.make().await.expect("a new archive is made");
        promise(&archive).await;
    });
}

domain::contract!(channels, with_sqlite);
domain::contract!(tasks, with_sqlite);
domain::contract!(gaps, with_sqlite);
domain::contract!(episodes, with_sqlite);
domain::contract!(control, with_sqlite);
domain::contract!(archive, with_folder);
domain::contract!(sweep, with_folder);
