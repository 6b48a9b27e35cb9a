//! Traces of pools, written out by hand from the rules.

use super::super::breaker::Thresholds;
use super::*;
use Action::{Break, Close, Fail, Open, Refuse, Send};
use proptest::prelude::*;

struct Trace {
    pool: Pool,
    breakers: Breakers,
    actions: Vec<Action>,
    now: Time,
}

impl Trace {
    fn of(settings: Settings, thresholds: Thresholds) -> Self {
        Trace {
            pool: Pool::new(settings),
            breakers: Breakers::new(thresholds),
            actions: Vec::new(),
            now: Time::ZERO,
        }
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn ask(&mut self, request: u32) -> Vec<Action> {
        self.pool.ask(request, &mut self.breakers, |action| {
            self.actions.push(action)
        });
        self.take()
    }

    fn connected(&mut self, connection: u32) -> Vec<Action> {
        let act = |action| self.actions.push(action);
        self.pool
            .connected(connection, self.now, &mut self.breakers, act);
        self.take()
    }

    /// Looks at an instant, in seconds.
    fn look(&mut self, seconds: f64) -> Vec<Action> {
        self.now = Time::from_secs_f64(seconds);
        let act = |action| self.actions.push(action);
        self.pool.look(self.now, &mut self.breakers, act);
        self.take()
    }

    /// When the pool wants to be looked at, in seconds.
    fn look_next(&self) -> Option<f64> {
        self.pool.look_next(self.now).map(Time::as_secs_f64)
    }

    fn failed(&mut self, connection: u32) -> Vec<Action> {
        let act = |action| self.actions.push(action);
        self.pool.failed(connection, &mut self.breakers, act);
        self.take()
    }

    fn ended(&mut self, connection: u32, end: End) -> Vec<Action> {
        let act = |action| self.actions.push(action);
        self.pool
            .ended(connection, (end, self.now), &mut self.breakers, act);
        self.take()
    }
}

fn send(request: u32, connection: u32) -> Action {
    Send {
        request,
        connection,
    }
}

#[test]
fn a_request_opens_a_connection_and_the_next_one_reuses_it() {
    let mut trace = Trace::of(Settings::http1(), Thresholds::default());
    assert_eq!(trace.ask(1), [Open(0)]);
    assert_eq!(trace.connected(0), [send(1, 0)]);
    assert_eq!(trace.ask(2), [Open(1)], "one request at a time");
    assert_eq!(
        trace.ended(0, End::Complete),
        [send(2, 0)],
        "the first that is ready"
    );
    assert_eq!(trace.connected(1), []);
    assert_eq!(trace.ask(3), [send(3, 1)]);
    assert_eq!((trace.pool.connections(), trace.pool.active()), (2, 2));
}

#[test]
fn the_connection_that_became_ready_last_is_used_first() {
    let mut trace = Trace::of(Settings::http1(), Thresholds::default());
    (0..3).for_each(|request| drop(trace.ask(request)));
    (0..3).for_each(|connection| drop(trace.connected(connection)));
    for connection in [1, 0, 2] {
        trace.ended(connection, End::Complete);
    }
    assert_eq!(
        [trace.ask(7), trace.ask(8), trace.ask(9)].concat(),
        [send(7, 2), send(8, 0), send(9, 1)]
    );
}

#[test]
fn a_cold_pool_takes_what_may_wait_and_a_warm_one_what_it_carries_too() {
    let thresholds = Thresholds {
        connections: 2,
        pending: 3,
        ..Thresholds::default()
    };
    let mut trace = Trace::of(Settings::http1(), thresholds);
    let burst: Vec<Action> = (0..5).flat_map(|request| trace.ask(request)).collect();
    assert_eq!(burst, [Open(0), Open(1), Refuse(3), Refuse(4)]);
    assert_eq!(
        [trace.connected(0), trace.connected(1)].concat(),
        [send(0, 0), send(1, 1)]
    );
    assert_eq!(trace.ended(0, End::Complete), [send(2, 0)]);
    for connection in [0, 1] {
        trace.ended(connection, End::Complete);
    }
    let burst: Vec<Action> = (10..16).flat_map(|request| trace.ask(request)).collect();
    assert_eq!(burst, [send(10, 1), send(11, 0), Refuse(15)]);
    assert_eq!(trace.pool.pending(), 3);
}

#[test]
fn a_host_without_connections_gets_one_beyond_the_limit() {
    let thresholds = Thresholds {
        connections: 1,
        ..Thresholds::default()
    };
    let mut breakers = Breakers::new(thresholds);
    let mut actions = Vec::new();
    for _ in 0..2 {
        let mut pool = Pool::new(Settings::http1());
        (0..3).for_each(|request| pool.ask(request, &mut breakers, |action| actions.push(action)));
    }
    assert_eq!(actions, [Open(0), Open(0)]);
    assert_eq!(breakers.connections.used(), 2);
}

#[test]
fn with_active_requests_exhausted_all_that_wait_are_refused_at_once() {
    let thresholds = Thresholds {
        requests: 1,
        ..Thresholds::default()
    };
    let mut trace = Trace::of(Settings::http1(), thresholds);
    (0..4).for_each(|request| drop(trace.ask(request)));
    assert_eq!(trace.connected(0), [send(0, 0)]);
    assert_eq!(trace.connected(1), [Refuse(1), Refuse(2), Refuse(3)]);
    assert_eq!(trace.pool.connections(), 4);
    assert_eq!(trace.breakers.pending.used(), 0);
}

#[test]
fn http2_shares_one_connection_up_to_its_streams() {
    let settings = Settings {
        streams_max: 2,
        ..Settings::http2(36)
    };
    let mut trace = Trace::of(settings, Thresholds::default());
    assert_eq!(
        [trace.ask(1), trace.ask(2), trace.ask(3)].concat(),
        [Open(0), Open(1)]
    );
    assert_eq!(trace.connected(0), [send(1, 0), send(2, 0)]);
    assert_eq!(
        trace.ended(0, End::Cut),
        [send(3, 0)],
        "only the stream ends"
    );
    assert_eq!(Settings::http2(36).streams_max, 1_024);
    assert_eq!(Settings::http2(35).streams_max, 2_147_483_647);
}

#[test]
fn a_failed_connection_takes_all_that_wait_with_it() {
    let mut trace = Trace::of(Settings::http1(), Thresholds::default());
    (0..2).for_each(|request| drop(trace.ask(request)));
    assert_eq!(trace.failed(1), [Fail(0), Fail(1)]);
    assert_eq!(trace.breakers.pending.used(), 0);
    assert_eq!(trace.connected(0), [], "the other one comes up for nobody");
    assert_eq!(trace.ask(3), [send(3, 0)]);
}

#[test]
fn a_cut_stream_ends_its_http1_connection() {
    let mut trace = Trace::of(
        Settings::http1(),
        Thresholds {
            connections: 1,
            ..Thresholds::default()
        },
    );
    (0..2).for_each(|request| drop(trace.ask(request)));
    trace.connected(0);
    // The one that waits needs a new connection, which may take the number of the old.
    assert_eq!(trace.ended(0, End::Cut), [Close(0), Open(0)]);
    assert_eq!(trace.connected(0), [send(1, 0)]);
}

#[test]
fn a_connection_ends_with_its_last_request() {
    let settings = Settings {
        requests_max: Some(2),
        ..Settings::http1()
    };
    let mut trace = Trace::of(settings, Thresholds::default());
    trace.ask(1);
    trace.connected(0);
    assert_eq!(trace.ended(0, End::Complete), []);
    assert_eq!(trace.ask(2), [send(2, 0)]);
    assert_eq!(trace.ended(0, End::Complete), [Close(0)]);
    assert_eq!(trace.pool.connections(), 0);
}

#[test]
fn who_goes_away_waits_no_longer() {
    let mut trace = Trace::of(Settings::http1(), Thresholds::default());
    (0..2).for_each(|request| drop(trace.ask(request)));
    assert!(trace.pool.cancel(0, &mut trace.breakers));
    assert!(!trace.pool.cancel(0, &mut trace.breakers));
    assert_eq!(trace.connected(0), [send(1, 0)]);
    assert!(
        !trace.pool.cancel(1, &mut trace.breakers),
        "it is under way"
    );
}

#[test]
fn a_host_that_closes_a_connection_cuts_what_it_carries() {
    let mut trace = Trace::of(Settings::http1(), Thresholds::default());
    trace.ask(1);
    trace.connected(0);
    let act = |action| trace.actions.push(action);
    trace.pool.close(0, &mut trace.breakers, act);
    assert_eq!(trace.take(), []);
    let used = [
        trace.breakers.connections.used(),
        trace.breakers.requests.used(),
        trace.pool.active(),
    ];
    assert_eq!(used, [0, 0, 0]);
}

/// What a pool has told, as its caller keeps it.
#[derive(Default)]
struct Caller {
    connecting: Vec<u32>,
    carried: Vec<(u32, u32)>,
    waiting: Vec<u32>,
    over: usize,
}

impl Caller {
    fn follow(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Open(connection) => self.connecting.push(connection),
                Send {
                    request,
                    connection,
                } => {
                    self.waiting.retain(|&waiting| waiting != request);
                    self.carried.push((request, connection));
                }
                Refuse(request) | Fail(request) => {
                    self.waiting.retain(|&waiting| waiting != request);
                    self.over += 1;
                }
                Close(connection) | Break { connection, .. } => {
                    let before = self.carried.len();
                    self.carried.retain(|&(_, carrying)| carrying != connection);
                    self.over += before - self.carried.len();
                }
            }
        }
    }
}

#[test]
fn a_connection_without_requests_is_closed_after_a_while() {
    let settings = Settings {
        idle_timeout: Some(Duration::from_secs(5)),
        ..Settings::http1()
    };
    let mut trace = Trace::of(settings, Thresholds::default());
    assert_eq!(trace.ask(0), [Open(0)]);
    assert_eq!(trace.look_next(), None, "it is not up");
    trace.connected(0);
    assert_eq!(trace.look_next(), Some(5.0), "it may be idle from now on");
    trace.now = Time::from_secs_f64(1.0);
    trace.ended(0, End::Complete);
    assert_eq!(trace.look_next(), Some(6.0));
    assert_eq!(trace.look(3.0), []);
    assert_eq!(trace.ask(1), [send(1, 0)]);
    assert_eq!(trace.look(6.0), [], "it carries a request");
    trace.now = Time::from_secs_f64(7.0);
    trace.ended(0, End::Complete);
    assert_eq!(trace.look_next(), Some(12.0));
    assert_eq!(trace.look(12.0), [Close(0)]);
    assert_eq!((trace.pool.connections(), trace.look_next()), (0, None));
    assert_eq!(trace.ask(2), [Open(0)], "the next request opens another");
}

#[test]
fn a_connection_that_is_too_old_ends_with_its_requests() {
    let settings = Settings {
        lifetime: Some(Duration::from_secs(10)),
        idle_timeout: None,
        ..Settings::http2(31)
    };
    let mut trace = Trace::of(settings, Thresholds::default());
    trace.ask(0);
    trace.connected(0);
    assert_eq!(trace.look_next(), Some(10.0));
    assert_eq!(trace.look(10.0), []);
    assert_eq!(trace.look_next(), None);
    assert_eq!(trace.ask(1), [Open(1)], "it takes no more");
    assert_eq!(trace.ended(0, End::Complete), [Close(0)]);
    trace.connected(1);
    trace.ended(1, End::Complete);
    assert_eq!(
        trace.look(20.0),
        [Close(1)],
        "at once, where it carries none"
    );
}

#[test]
fn a_connection_that_is_handed_on_breaks_with_what_it_carries() {
    let idle = Some(Duration::from_secs(5));
    let mut trace = Trace::of(Settings::bytes(idle, None), Thresholds::default());
    trace.ask(0);
    trace.connected(0);
    trace.pool.sent(0, Time::from_secs_f64(1.0));
    assert_eq!(trace.look_next(), Some(6.0), "while the answer is awaited");
    assert_eq!(trace.look(5.0), []);
    let broken = |is_old| {
        [Break {
            connection: 0,
            is_old,
        }]
    };
    assert_eq!(trace.look(6.0), broken(false));
    assert_eq!((trace.pool.connections(), trace.pool.active()), (0, 0));
    assert_eq!(trace.breakers.requests.used(), 0);
    assert_eq!(trace.ask(1), [Open(0)]);
    trace.now = Time::from_secs_f64(7.0);
    trace.connected(0);
    trace.ended(0, End::Complete);
    assert_eq!(
        trace.look(12.0),
        [Close(0)],
        "nothing is lost with an idle one"
    );

    let lasting = Some(Duration::from_secs(3));
    let mut trace = Trace::of(Settings::bytes(None, lasting), Thresholds::default());
    trace.ask(0);
    trace.connected(0);
    assert_eq!(trace.look(3.0), broken(true));
    assert_eq!(
        Settings::bytes(None, None).idle_timeout,
        Some(Duration::from_secs(3600))
    );
    assert_eq!(
        Settings::bytes(Some(Duration::ZERO), None).idle_timeout,
        None
    );
}

proptest! {
    #[test]
    fn nothing_is_lost_whatever_happens(
        happenings in prop::collection::vec((0u8..6, 0usize..8), 1..200),
        limits in (1u32..5, 1u32..6, 1u32..6),
        streams in 1u32..4,
        life in prop::option::of(1u32..4),
    ) {
        let (connections, pending, requests) = limits;
        let thresholds = Thresholds { connections, pending, requests, ..Thresholds::default() };
        let settings = Settings {
            streams_max: streams,
            requests_max: life,
            cut: if streams == 1 { Ends::Connection } else { Ends::Stream },
            ..Settings::http1()
        };
        let mut trace = Trace::of(settings, thresholds);
        let mut caller = Caller::default();
        let mut asked = 0;
        for (kind, which) in happenings {
            let actions = match kind {
                0 | 1 => {
                    asked += 1;
                    caller.waiting.push(asked);
                    trace.ask(asked)
                }
                2 if !caller.connecting.is_empty() => {
                    let connection = caller.connecting.remove(which % caller.connecting.len());
                    trace.connected(connection)
                }
                3 if !caller.connecting.is_empty() => {
                    let connection = caller.connecting.remove(which % caller.connecting.len());
                    trace.failed(connection)
                }
                4 if !caller.carried.is_empty() => {
                    let (_, connection) = caller.carried.remove(which % caller.carried.len());
                    caller.over += 1;
                    trace.ended(connection, if which % 2 == 0 { End::Complete } else { End::Cut })
                }
                5 if !caller.waiting.is_empty() => {
                    let request = caller.waiting.remove(which % caller.waiting.len());
                    caller.over += 1;
                    prop_assert!(trace.pool.cancel(request, &mut trace.breakers));
                    Vec::new()
                }
                _ => Vec::new(),
            };
            caller.follow(actions);
            prop_assert_eq!(caller.over + caller.carried.len() + caller.waiting.len(), asked as usize);
            prop_assert_eq!(trace.pool.pending(), caller.waiting.len());
            prop_assert_eq!(trace.pool.active() as usize, caller.carried.len());
            let used = [&trace.breakers.pending, &trace.breakers.requests, &trace.breakers.connections];
            let used = used.map(|resource| resource.used());
            let held = [trace.pool.pending() as u32, trace.pool.active(), trace.pool.connections()];
            prop_assert_eq!(used, held);
            prop_assert!(trace.pool.connections() <= connections.max(1));
            // Whoever waits waits for something.
            let idle = caller.connecting.is_empty() && caller.carried.is_empty();
            prop_assert!(caller.waiting.is_empty() || !idle);
        }
    }
}
