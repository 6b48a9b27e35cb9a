//! How istiod waits for calm before it pushes.
//!
//! Models: changes are merged into a batch; a timer that the first change of a batch starts, and
//! that is set anew to the end of the calm whenever it finds none; the longest wait, which only
//! counts when the timer fires and so may be exceeded by less than a wait for calm; no second
//! push while one is being prepared, and another look when that is done; changes of endpoints
//! that pass by if istiod is told not to hold them back.
//! Exact: each transition of the loop, one call each.
//! Sources: istio/istio pilot/pkg/xds/discovery.go, debounce.
//! Validated by: traces worked out by hand, and a property over random changes, below.

use super::push::Push;
use crate::facts;
use engine::{Duration, Time};

/// How istiod is told to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The calm that it waits for.
    pub after: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Whether changes of endpoints alone wait as well.
    pub endpoints: EndpointsWait,
}

/// Whether changes of endpoints wait for calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointsWait {
    /// As everything else: the default.
    Wait,
    /// They are pushed at once.
    PassBy,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            after: facts::ISTIOD_DEBOUNCE_AFTER.value,
            max: facts::ISTIOD_DEBOUNCE_MAX.value,
            endpoints: EndpointsWait::Wait,
        }
    }
}

/// The loop that changes go through on their way to a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debounce {
    patience: Patience,
    /// What has been merged since the last push began.
    batch: Option<Push>,
    /// When the batch began.
    started: Time,
    /// When the last change came.
    changed: Time,
    timer: Option<Time>,
    preparing: bool,
}

impl Debounce {
    /// A loop that has seen nothing.
    pub fn new(patience: Patience) -> Self {
        Debounce {
            patience,
            ..Debounce::default()
        }
    }

    /// A change has come. Returns what is to be pushed at once, past the batch.
    pub fn change(&mut self, change: Push, now: Time) -> Option<Push> {
        if self.patience.endpoints == EndpointsWait::PassBy && change.is_endpoints_only() {
            return Some(change);
        }
        self.changed = now;
        match &mut self.batch {
            Some(batch) => batch.merge(change),
            None => {
                self.started = now;
                self.timer = Some(now + self.patience.after);
                self.batch = Some(change);
            }
        }
        None
    }

    /// When [`Debounce::tick`] is due, if ever.
    pub fn timer(&self) -> Option<Time> {
        self.timer
    }

    /// The timer has fired. Returns the batch if it is to be pushed now; it is then being
    /// prepared until [`Debounce::prepared`].
    pub fn tick(&mut self, now: Time) -> Option<Push> {
        self.timer = None;
        if self.preparing {
            return None;
        }
        self.look(now)
    }

    /// The push that was being prepared has been handed to the queue of proxies. Returns the next
    /// one if it is due already.
    pub fn prepared(&mut self, now: Time) -> Option<Push> {
        self.preparing = false;
        self.look(now)
    }

    fn look(&mut self, now: Time) -> Option<Push> {
        let calm = now.since(self.changed);
        if now.since(self.started) < self.patience.max && calm < self.patience.after {
            self.timer = Some(now + (self.patience.after - calm));
            return None;
        }
        let batch = self.batch.take();
        self.preparing = batch.is_some();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::super::push::{Changed, Kind};
    use super::*;
    use engine::{Seed, Stream};

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    fn change(object: u32, now: Time) -> Push {
        let changed = Changed {
            kind: Kind::VirtualService,
            namespace: 0,
            object,
        };
        Push::of(changed, now)
    }

    /// When pushes begin, in milliseconds, and how many changes each carries.
    fn pushes(changes: &[u64], preparation: u64) -> Vec<(u64, usize)> {
        let mut debounce = Debounce::default();
        let mut pushes = Vec::new();
        let mut prepared = None;
        let mut coming = changes.iter().copied().enumerate().peekable();
        loop {
            let change_at = coming.peek().map(|&(_, at)| at);
            let tick_at = debounce.timer().map(|at| at.as_nanos() / 1_000_000);
            let next = [prepared, tick_at, change_at].into_iter().flatten().min();
            let Some(now) = next else { return pushes };
            let begun = if change_at == Some(now) {
                let (object, _) = coming.next().unwrap();
                debounce.change(change(object as u32, at(now)), at(now))
            } else if prepared == Some(now) {
                prepared = None;
                debounce.prepared(at(now))
            } else {
                debounce.tick(at(now))
            };
            if let Some(push) = begun {
                pushes.push((now, push.changed().count()));
                prepared = Some(now + preparation);
            }
        }
    }

    #[test]
    fn a_change_is_pushed_after_a_calm_of_100_ms() {
        assert_eq!(pushes(&[1000], 10), [(1100, 1)]);
        assert_eq!(pushes(&[1000, 1060, 1120], 10), [(1220, 3)]);
        assert_eq!(pushes(&[1000, 1101], 10), [(1100, 1), (1201, 1)]);
    }

    #[test]
    fn without_calm_a_push_comes_at_the_first_tick_after_ten_seconds() {
        // The timer is set to the end of the calm after each change that it finds: with one
        // every 60 ms from 0 on it fires at 100, then at 160, 220, 280 and so on. The first such
        // instant not before 10,000 is 10,000 itself: 100 + 165 x 60.
        let changes: Vec<u64> = (0..250).map(|change| change * 60).collect();
        assert_eq!(pushes(&changes, 1)[0], (10_000, 167));
        // Every 99 ms: at 100, and then a calm after each change: 199, 298 and so on; 10,000 is
        // 100 + 100 x 99.
        let changes: Vec<u64> = (0..150).map(|change| change * 99).collect();
        assert_eq!(pushes(&changes, 1)[0].0, 10_000);
        // Every 70 ms: 100, 170 and so on; 10,040 is the first past the limit.
        let changes: Vec<u64> = (0..150).map(|change| change * 70).collect();
        assert_eq!(pushes(&changes, 1)[0].0, 10_040);
    }

    #[test]
    fn while_a_push_is_prepared_no_other_begins() {
        // The second batch is calm at 1350, but the first push is being prepared until 1600.
        assert_eq!(pushes(&[1000, 1200, 1250], 500), [(1100, 1), (1600, 2)]);
        // It is not calm yet when the first is done: the wait goes on.
        assert_eq!(pushes(&[1000, 1550], 500), [(1100, 1), (1650, 1)]);
    }

    #[test]
    fn endpoints_may_pass_by() {
        let endpoints = |now| {
            let changed = Changed {
                kind: Kind::Endpoints,
                namespace: 0,
                object: 7,
            };
            Push::of(changed, now)
        };
        let mut waits = Debounce::default();
        assert_eq!(waits.change(endpoints(at(5)), at(5)), None);
        assert_eq!(waits.timer(), Some(at(105)));
        let mut passes = Debounce::new(Patience {
            endpoints: EndpointsWait::PassBy,
            ..Patience::default()
        });
        assert!(passes.change(endpoints(at(5)), at(5)).is_some());
        assert_eq!(passes.timer(), None);
        assert_eq!(passes.change(change(1, at(6)), at(6)), None);
    }

    #[test]
    fn every_change_is_pushed_and_none_waits_longer_than_it_may() {
        let stream = Stream::new(Seed::default(), "debounce");
        for case in 0..200 {
            let mut draw = stream.draw(case, 0);
            let mut now = 0;
            let gap = 20 + draw.below(200);
            let changes: Vec<u64> = (0..300)
                .map(|_| {
                    now += u64::from(draw.below(gap)) + 1;
                    now
                })
                .collect();
            let pushes = pushes(&changes, 30);
            assert_eq!(pushes.iter().map(|push| push.1).sum::<usize>(), 300);
            let mut pushed = 0;
            for (began, count) in pushes {
                let first = changes[pushed];
                assert!(
                    (100..10_100 + 30).contains(&(began - first)),
                    "{began} {first}"
                );
                pushed += count;
            }
        }
    }
}
