use crate::ports::PortError;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A small seeded generator (xorshift64*); for tests, not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound` (which is at least 1).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % bound.max(1)
    }

    /// True `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How reliable the ports are at the moment. Clones share it.
#[derive(Debug, Clone)]
pub struct Weather(Arc<Mutex<Sky>>);

#[derive(Debug)]
struct Sky {
    random: Random,
    trouble_percent: u64,
    calls: u64,
    holds: bool,
    held: Vec<Waker>,
}

impl Weather {
    /// Calm weather.
    pub fn calm() -> Self {
        Self::seeded(0)
    }

    /// Calm weather whose later troubles follow from the seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Sky {
            random: Random::new(seed),
            trouble_percent: 0,
            calls: 0,
            holds: false,
            held: Vec::new(),
        })))
    }

    /// From now on so many of a hundred calls fail: half of these before the deed, half after it.
    pub fn set_trouble(&self, percent: u64) {
        self.sky().trouble_percent = percent;
    }

    /// From now on no call begins to do anything, let alone answers; `false` lets them all go on.
    pub fn hold(&self, holds: bool) {
        let mut sky = self.sky();
        sky.holds = holds;
        sky.held.drain(..).for_each(Waker::wake);
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.sky().calls
    }

    /// Whether an unlikely thing, such as a lagging list, happens now.
    pub(super) fn mishap(&self) -> bool {
        let mut sky = self.sky();
        let percent = sky.trouble_percent;
        sky.random.percent(percent)
    }

    /// A number below `bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.sky().random.below(bound)
    }

    /// Performs `act` as a call over a network would: it yields before and after, may be throttled, and its
    /// answer may be lost.
    pub(super) async fn call<R>(&self, doing: &str, act: impl FnOnce() -> R) -> Result<R, PortError> {
        self.sky().calls += 1;
        yield_once().await;
        poll_fn(|context| self.let_go(context)).await;
        if !self.mishap() {
            let answer = act();
            yield_once().await;
            return Ok(answer);
        }
        if self.below(2) == 0 {
            return Err(PortError::throttled(doing, "the weather"));
        }
        act();
        Err(PortError::unknown(doing, "the weather"))
    }

    fn let_go(&self, context: &Context<'_>) -> Poll<()> {
        let mut sky = self.sky();
        if !sky.holds {
            return Poll::Ready(());
        }
        sky.held.push(context.waker().clone());
        Poll::Pending
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn yield_once() {
    struct Yield(bool);
    impl Future for Yield {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if self.0 {
                return Poll::Ready(());
            }
            self.0 = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    Yield(false).await;
}
