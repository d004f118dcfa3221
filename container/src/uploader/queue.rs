//! What waits for the archive, in order: oldest first, bounded in bytes. No I/O, no clock.

use domain::ObjectKey;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The place in the queue: when the recording starts, then its key.
pub(crate) type Place = (Timestamp, ObjectKey);

/// Something that waits.
pub(crate) trait Waits: Clone {
    /// Its place; equal places are the same thing.
    fn place(&self) -> Place;
    /// What it occupies, in bytes.
    fn size_bytes(&self) -> u64;
}

/// The queue. Items stay in it while they are being uploaded.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    entries: BTreeMap<Place, Entry<T>>,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    in_flight: bool,
    /// Not to be tried before this, on the monotonic clock.
    due: Duration,
    /// How many others the archive had taken when it refused this one first.
    refused_at: Option<u64>,
}

impl<T: Waits> Queue<T> {
    /// An empty queue for so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Adds an item, due at once, and takes out what no longer fits, oldest first. What is being uploaded right
    /// now stays: it is about to leave anyway.
    pub(crate) fn push(&mut self, item: T) -> Vec<T> {
        self.bytes += item.size_bytes();
        let entry = Entry {
            item,
            in_flight: false,
            due: Duration::ZERO,
            refused_at: None,
        };
        if let Some(same) = self.entries.insert(entry.item.place(), entry) {
            self.bytes -= same.item.size_bytes();
        }
        let mut overflow = Vec::new();
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.drop_oldest()
        {
            overflow.push(oldest);
        }
        overflow
    }

    /// Takes the oldest item out that is not being uploaded.
    pub(crate) fn drop_oldest(&mut self) -> Option<T> {
        let place = self
            .entries
            .iter()
            .find(|(_, entry)| !entry.in_flight)
            .map(|(place, _)| place.clone())?;
        self.done(&place)
    }

    /// The oldest item that is due, from now on in flight.
    pub(crate) fn next_due(&mut self, now: Duration) -> Option<T> {
        let entry = self
            .entries
            .values_mut()
            .find(|entry| !entry.in_flight && entry.due <= now)?;
        entry.in_flight = true;
        Some(entry.item.clone())
    }

    /// When an item will be due that is not being uploaded; `None` while there is none.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        self.entries
            .values()
            .filter(|entry| !entry.in_flight)
            .map(|entry| entry.due)
            .min()
    }

    /// Every item is due at once.
    pub(crate) fn all_due(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.due = Duration::ZERO);
    }

    /// The upload failed: the item waits on, at least until `due`.
    pub(crate) fn failed(&mut self, place: &Place, due: Duration) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.in_flight = false;
            entry.due = due;
        }
    }

    /// How many others the archive had taken when it refused this item first: `taken` if that is now.
    pub(crate) fn first_refused(&mut self, place: &Place, taken: u64) -> u64 {
        self.entries
            .get_mut(place)
            .map_or(taken, |entry| *entry.refused_at.get_or_insert(taken))
    }

    /// The item needs no place any more.
    pub(crate) fn done(&mut self, place: &Place) -> Option<T> {
        let entry = self.entries.remove(place)?;
        self.bytes -= entry.item.size_bytes();
        Some(entry.item)
    }

    /// How many items wait, in flight or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A fifth is free: the shortage is over, not just interrupted.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < self.bytes_max / 5 * 4
    }

    /// What they occupy, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Segment {
        start: i64,
        bytes: u64,
    }

    impl Waits for Segment {
        fn place(&self) -> Place {
            let start = Timestamp::from_second(self.start).unwrap();
            (start, ObjectKey(start.to_string()))
        }

        fn size_bytes(&self) -> u64 {
            self.bytes
        }
    }

    fn segment(start: i64, bytes: u64) -> Segment {
        Segment { start, bytes }
    }

    #[test]
    fn the_oldest_goes_first_and_a_failed_one_does_not_hold_the_others() {
        let mut queue = Queue::new(1_000);
        for start in [3, 1, 2] {
            assert_eq!(queue.push(segment(start, 10)), vec![]);
        }
        let oldest = queue.next_due(Duration::ZERO).unwrap();
        assert_eq!(oldest.start, 1);
        queue.failed(&oldest.place(), Duration::from_secs(9));
        assert_eq!(queue.next_due(Duration::ZERO).unwrap().start, 2);
        assert_eq!(queue.next_due(Duration::from_secs(9)).unwrap().start, 1);
        assert_eq!(queue.due_at(), Some(Duration::ZERO), "the third is due");
    }

    #[test]
    fn what_is_being_uploaded_is_never_dropped() {
        let mut queue = Queue::new(20);
        queue.push(segment(1, 10));
        queue.next_due(Duration::ZERO).unwrap();
        queue.push(segment(2, 10));
        assert_eq!(queue.push(segment(3, 10)), vec![segment(2, 10)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted_and_the_bound_holds(
            sizes in prop::collection::vec(1_u64..50, 1..60), bytes_max in 50_u64..300
        ) {
            let mut queue = Queue::new(bytes_max);
            let mut dropped = Vec::new();
            for (start, bytes) in sizes.iter().enumerate() {
                dropped.extend(queue.push(segment(i64::try_from(start).unwrap(), *bytes)));
                prop_assert!(queue.bytes() <= bytes_max);
            }
            let mut kept = Vec::new();
            while let Some(item) = queue.next_due(Duration::ZERO) {
                queue.done(&item.place());
                kept.push(item);
            }
            prop_assert_eq!(dropped.len() + kept.len(), sizes.len());
            prop_assert!(dropped.iter().chain(&kept).is_sorted_by_key(|segment| segment.start), "the oldest go");
            prop_assert_eq!((queue.len(), queue.bytes()), (0, 0));
        }
    }
}
