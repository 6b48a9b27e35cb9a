//! The chain as one codes it by hand: one loop, one sorted array of pending events, one slab.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use crate::chain::{
    ARRIVAL_MEAN_NANOS, HOP_NANOS, SERVICE_MEAN_NANOS, STATIONS, WORKERS, histogram,
};
use crate::random::Random;

#[derive(Clone, Copy)]
enum Event {
    Arrival,
    Reach { station: u8, request: u32 },
    Complete { station: u8, request: u32 },
}

/// 24 bytes with its event.
#[derive(Clone, Copy)]
struct Pending {
    time: u64,
    order: u64,
    event: Event,
}

impl Pending {
    fn key(&self) -> u128 {
        u128::from(self.time) << 64 | u128::from(self.order)
    }
}

#[derive(Default)]
struct Station {
    busy: u32,
    waiting: VecDeque<u32>,
}

pub struct Reference {
    random: Random,
    /// Greatest first.
    pending: Vec<Pending>,
    scheduled: u64,
    stations: [Station; STATIONS],
    started: Vec<u64>,
    free: Vec<u32>,
    pub sojourns: Histogram<u64>,
    end: u64,
}

impl Reference {
    pub fn new() -> Self {
        let mut reference = Reference {
            random: Random::new(),
            pending: Vec::new(),
            scheduled: 0,
            stations: Default::default(),
            started: Vec::new(),
            free: Vec::new(),
            sojourns: histogram(),
            end: 0,
        };
        let first = reference.random.exponential(ARRIVAL_MEAN_NANOS);
        reference.schedule(first, Event::Arrival);
        reference
    }

    pub fn run(&mut self, requests: u64) {
        self.end += (requests as f64 * ARRIVAL_MEAN_NANOS) as u64;
        while let Some(&Pending { time, event, .. }) = self.pending.last() {
            if time > self.end {
                return;
            }
            self.pending.pop();
            match event {
                Event::Arrival => self.arrive(time),
                Event::Reach { station, request } => self.reach(time, station, request),
                Event::Complete { station, request } => self.complete(time, station, request),
            }
        }
    }

    #[inline]
    fn schedule(&mut self, time: u64, event: Event) {
        let order = self.scheduled;
        self.scheduled += 1;
        let pending = Pending { time, order, event };
        // Counting has no branch to mispredict, and there are some twelve.
        let greater = self
            .pending
            .iter()
            .map(|other| usize::from(other.key() > pending.key()));
        let place = greater.sum();
        self.pending.insert(place, pending);
    }

    #[inline]
    fn arrive(&mut self, now: u64) {
        let next = now + self.random.exponential(ARRIVAL_MEAN_NANOS);
        self.schedule(next, Event::Arrival);
        let request = self.free.pop().unwrap_or_else(|| {
            self.started.push(0);
            self.started.len() as u32 - 1
        });
        self.started[request as usize] = now;
        self.reach(now, 0, request);
    }

    #[inline]
    fn reach(&mut self, now: u64, station: u8, request: u32) {
        let place = &mut self.stations[usize::from(station)];
        if place.busy < WORKERS {
            place.busy += 1;
            self.serve(now, station, request);
        } else {
            place.waiting.push_back(request);
        }
    }

    #[inline]
    fn serve(&mut self, now: u64, station: u8, request: u32) {
        let end = now + self.random.exponential(SERVICE_MEAN_NANOS);
        self.schedule(end, Event::Complete { station, request });
    }

    #[inline]
    fn complete(&mut self, now: u64, station: u8, request: u32) {
        let place = &mut self.stations[usize::from(station)];
        match place.waiting.pop_front() {
            Some(next) => self.serve(now, station, next),
            None => place.busy -= 1,
        }
        let onward = station + 1;
        if usize::from(onward) < STATIONS {
            let event = Event::Reach {
                station: onward,
                request,
            };
            self.schedule(now + HOP_NANOS, event);
        } else {
            let sojourn = now - self.started[request as usize];
            self.sojourns.saturating_record(sojourn);
            self.free.push(request);
        }
    }
}
