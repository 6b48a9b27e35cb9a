//! The queue of proxies that wait for a push, and how many are served at once.
//!
//! Models: first come, first served; a proxy waits at most once, and what comes meanwhile is
//! merged into what it waits for; what comes while it is served waits until that is done, and
//! then goes to the end; a greatest number served at once, by the processors since 1.21.
//! Exact: each transition.
//! Sources: istio/istio pilot/pkg/xds/{pushqueue,discovery}.go, pilot/pkg/features/tuning.go.
//! Validated by: traces worked out by hand, below.

use super::push::Push;
use crate::facts;
use std::collections::{BTreeMap, VecDeque};

/// Pushes that an istiod of this minor version works on at once, and new streams that it takes
/// each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pushes at once.
    pub pushes: u32,
    /// New streams per second.
    pub streams_per_second: u32,
}

impl Limits {
    /// The defaults of a minor version on so many processors.
    pub fn of(minor: u32, processors: u32) -> Self {
        if minor < facts::ISTIOD_LIMITS_FROM_MINOR.value {
            return Limits {
                pushes: facts::ISTIOD_PUSHES_MAX_BEFORE_1_21.value,
                streams_per_second: facts::ISTIOD_STREAMS_BEFORE_1_21.value,
            };
        }
        let grown = facts::ISTIOD_LIMIT_PER_PROCESSOR
            .value
            .saturating_mul(processors)
            .saturating_add(facts::ISTIOD_LIMIT_BASE.value);
        let limit = grown.min(facts::ISTIOD_LIMIT_MAX.value);
        Limits {
            pushes: limit,
            streams_per_second: limit,
        }
    }
}

/// Proxies that wait, by numbers of the caller's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    at_once: u32,
    line: VecDeque<u32>,
    waiting: BTreeMap<u32, Push>,
    /// Those being served, with what came meanwhile.
    served: BTreeMap<u32, Option<Push>>,
}

impl Queue {
    /// An empty queue that serves so many at once.
    pub fn new(at_once: u32) -> Self {
        Queue {
            at_once,
            line: VecDeque::new(),
            waiting: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    /// A proxy is to get this push.
    pub fn put(&mut self, proxy: u32, push: Push) {
        if let Some(later) = self.served.get_mut(&proxy) {
            return merge(later, push);
        }
        if let Some(waiting) = self.waiting.get_mut(&proxy) {
            return waiting.merge(push);
        }
        self.waiting.insert(proxy, push);
        self.line.push_back(proxy);
    }

    /// Begins to serve the next proxy, if one waits and there is room.
    pub fn serve(&mut self) -> Option<(u32, Push)> {
        if self.served.len() >= self.at_once as usize {
            return None;
        }
        let proxy = self.line.pop_front()?;
        let push = self.waiting.remove(&proxy);
        self.served.insert(proxy, None);
        Some((proxy, push.expect("who stands in line waits for something")))
    }

    /// A proxy has been served, or its connection is gone.
    pub fn done(&mut self, proxy: u32) {
        if let Some(Some(push)) = self.served.remove(&proxy) {
            self.waiting.insert(proxy, push);
            self.line.push_back(proxy);
        }
    }

    /// Whether a proxy waits or is being served.
    pub fn has(&self, proxy: u32) -> bool {
        self.waiting.contains_key(&proxy) || self.served.contains_key(&proxy)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }
}

fn merge(into: &mut Option<Push>, push: Push) {
    match into {
        Some(merged) => merged.merge(push),
        None => *into = Some(push),
    }
}

#[cfg(test)]
mod tests {
    use super::super::push::{Changed, Kind};
    use super::*;
    use engine::Time;

    fn push(object: u32) -> Push {
        let changed = Changed {
            kind: Kind::Endpoints,
            namespace: 0,
            object,
        };
        Push::of(changed, Time::ZERO)
    }

    fn serve(queue: &mut Queue) -> Option<(u32, Vec<u32>)> {
        let (proxy, push) = queue.serve()?;
        Some((proxy, push.changed().map(|it| it.object).collect()))
    }

    #[test]
    fn limits_follow_processors_since_1_21() {
        let both = |minor, processors| {
            let limits = Limits::of(minor, processors);
            (limits.pushes, limits.streams_per_second)
        };
        assert_eq!(both(20, 4), (100, 25));
        assert_eq!(
            [1, 2, 4, 17, 32].map(|processors| both(21, processors)),
            [(20, 20), (25, 25), (35, 35), (100, 100), (100, 100)]
        );
    }

    #[test]
    fn a_proxy_keeps_its_place_and_gathers_what_comes() {
        let mut queue = Queue::new(9);
        queue.put(1, push(10));
        queue.put(2, push(10));
        queue.put(1, push(11));
        assert_eq!(queue.waiting(), 2);
        assert_eq!([1, 2, 3].map(|proxy| queue.has(proxy)), [true, true, false]);
        assert_eq!(serve(&mut queue), Some((1, vec![10, 11])));
        assert!(queue.has(1), "it is being served");
        assert_eq!(serve(&mut queue), Some((2, vec![10])));
        assert_eq!(serve(&mut queue), None);
    }

    #[test]
    fn what_comes_while_it_is_served_goes_to_the_end() {
        let mut queue = Queue::new(1);
        queue.put(1, push(10));
        assert_eq!(serve(&mut queue), Some((1, vec![10])));
        queue.put(1, push(11));
        queue.put(2, push(11));
        queue.put(1, push(12));
        // One at once: nobody else is served before the first is done.
        assert_eq!(serve(&mut queue), None);
        queue.done(1);
        assert_eq!(serve(&mut queue), Some((2, vec![11])));
        queue.done(2);
        assert_eq!(serve(&mut queue), Some((1, vec![11, 12])));
        queue.done(1);
        assert_eq!(serve(&mut queue), None);
    }
}
