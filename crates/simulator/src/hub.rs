//! Who listens to events: a bounded queue for every subscriber, and the never-ending multipart body at its end.

use crate::shared::Shared;
use axum::body::Bytes;
use futures::Stream;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Events a subscriber may lag behind before it is cut off.
const QUEUE_MAX: usize = 1024;
/// The separator of the parts.
pub(crate) const BOUNDARY: &str = "MIME_boundary";

/// The subscribers by the number of their subscription.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    queues: Mutex<BTreeMap<u64, mpsc::Sender<Message>>>,
}

#[derive(Debug)]
enum Message {
    Part(Value),
    End,
}

/// One subscriber's side of its queue. Dropping it (the connection closed) ends the subscription.
#[derive(Debug)]
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    id: u64,
    queue: mpsc::Receiver<Message>,
    with_lengths: bool,
    heartbeat_every: Duration,
    heartbeat_at: Instant,
    ended: bool,
}

impl Hub {
    /// Tells everybody. Who does not keep up is cut off.
    pub(crate) fn tell(&self, event: &Value) {
        self.with_queues(|queues| {
            queues.retain(|_id, queue| queue.try_send(Message::Part(event.clone())).is_ok());
        });
    }

    /// Lets a subscriber go in peace: its body ends.
    pub(crate) fn end(&self, id: u64) {
        let queue = self.with_queues(|queues| queues.remove(&id));
        if let Some(queue) = queue {
            // A full queue means the subscriber is cut off instead, which ends it as well.
            queue.try_send(Message::End).ok();
        }
    }

    /// Cuts everybody off in the middle.
    pub(crate) fn cut_all(&self) {
        self.with_queues(BTreeMap::clear);
    }

    fn open(&self, id: u64) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let greeting = json!({"SubscribeDeviceMgmtRsp": {"id": id.to_string()}});
        sender
            .try_send(Message::Part(greeting))
            .expect("a new queue has room");
        self.with_queues(|queues| queues.insert(id, sender));
        receiver
    }

    fn with_queues<T>(&self, act: impl FnOnce(&mut BTreeMap<u64, mpsc::Sender<Message>>) -> T) -> T {
        act(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscriber {
    /// Opens the queue of a subscription the world has just granted.
    pub(crate) fn new(shared: &Arc<Shared>, id: u64, with_lengths: bool, heartbeat_every: Duration) -> Self {
        Self {
            shared: Arc::clone(shared),
            id,
            queue: shared.hub().open(id),
            with_lengths,
            heartbeat_every,
            heartbeat_at: Instant::now() + heartbeat_every,
            ended: false,
        }
    }

    /// The body: parts until the subscription ends, an error when it is cut off.
    pub(crate) fn into_body(self) -> impl Stream<Item = std::io::Result<Bytes>> {
        futures::stream::unfold(self, |mut subscriber| async move {
            let chunk = subscriber.next().await?;
            Some((chunk, subscriber))
        })
    }

    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        if self.ended {
            return None;
        }
        loop {
            tokio::select! {
                message = self.queue.recv() => return Some(self.deliver(message)),
                () = tokio::time::sleep_until(self.heartbeat_at) => {
                    self.heartbeat_at += self.heartbeat_every;
                    if let Some(beat) = self.shared.with(|world| world.heartbeat(Timestamp::now())) {
                        return Some(Ok(self.part(&beat)));
                    }
                }
            }
        }
    }

    fn deliver(&mut self, message: Option<Message>) -> std::io::Result<Bytes> {
        match message {
            Some(Message::Part(event)) => Ok(self.part(&event)),
            Some(Message::End) => {
                self.ended = true;
                Ok(format!("--{BOUNDARY}--\r\n").into())
            }
            None => {
                self.ended = true;
                Err(std::io::Error::other("the event stream is cut"))
            }
        }
    }

    fn part(&self, event: &Value) -> Bytes {
        let json = event.to_string();
        let length = if self.with_lengths {
            format!("Content-Length: {}\r\n", json.len())
        } else {
            String::new()
        };
        format!("--{BOUNDARY}\r\nContent-Type: application/json; charset=\"UTF-8\"\r\n{length}\r\n{json}\r\n")
            .into()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared.with(|world| world.subscriptions.remove(&self.id));
        self.shared.hub().end(self.id);
    }
}
