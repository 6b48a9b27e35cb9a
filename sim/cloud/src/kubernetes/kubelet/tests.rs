use super::*;
use crate::facts;
use crate::kubernetes::probe::Probe;
use crate::scenario::OnStop;

fn seconds(count: f64) -> Duration {
    Duration::from_nanos((count * 1e9).round() as u64)
}

fn at(count: f64) -> Time {
    Time::ZERO + seconds(count)
}

/// A kubelet that relists at whole seconds.
fn pace() -> Pace {
    Pace {
        sandbox: seconds(0.7),
        container: seconds(0.3),
        relist: facts::PLEG_RELIST_PERIOD.value,
        phase: Time::ZERO,
        grace_min: facts::TERMINATION_GRACE_PERIOD_MIN.value,
        restarts: Pauses {
            first: facts::RESTART_BACKOFF.value,
            max: facts::RESTART_BACKOFF_MAX.value,
        },
    }
}

fn plan() -> Plan {
    Plan {
        init: Duration::ZERO,
        start_up: seconds(3.0),
        probes: Probes::default(),
        pre_stop: Duration::ZERO,
        grace: facts::TERMINATION_GRACE_PERIOD.value,
        on_stop: OnStop::Drain,
        waits_for_proxy: false,
    }
}

/// A life together with what has come of it, as (seconds, what).
struct Diary {
    life: Life,
    told: Vec<(f64, Told)>,
}

impl Diary {
    fn new(life: Life) -> Diary {
        Diary {
            life,
            told: Vec::new(),
        }
    }

    fn note(&mut self, now: Time, told: Vec<Told>) {
        let seconds = (now.as_secs_f64() * 1e6).round() / 1e6;
        // What proxies alone act on has a test of its own.
        let told = told.into_iter().filter(|told| *told != Told::Ending);
        self.told.extend(told.map(|told| (seconds, told)));
    }

    /// Runs until then; images are there at once.
    fn until(&mut self, end: f64) -> &mut Self {
        while let Some(now) = self.life.next().filter(|&now| now <= at(end)) {
            let mut told = Vec::new();
            self.life.wake(now, &mut told);
            if told.contains(&Told::Pull) {
                self.life.pulled(now);
            }
            self.note(now, told);
        }
        self
    }

    fn act(&mut self, now: f64, action: impl FnOnce(&mut Life, Time, &mut Vec<Told>)) -> &mut Self {
        self.until(now);
        let mut told = Vec::new();
        action(&mut self.life, at(now), &mut told);
        self.note(at(now), told);
        self
    }

    fn take(&mut self) -> Vec<(f64, Told)> {
        std::mem::take(&mut self.told)
    }
}

fn established(plan: Plan) -> Diary {
    Diary::new(Life::established(
        plan.into(),
        pace(),
        Time::ZERO,
        Time::ZERO,
    ))
}

#[test]
fn a_pod_without_probes_is_ready_before_it_serves() {
    let mut pod = Diary::new(Life::admitted(plan().into(), pace(), at(0.25)));
    let told = pod.until(100.0).take();
    // Sandbox 0.7 s, container 0.3 s, noticed at the full second, serving 3 s after its start.
    let expected = [
        (0.95, Told::Pull),
        (1.25, Told::Started),
        (2.0, Told::Ready),
        (4.25, Told::Serves),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_pod_with_a_readiness_probe_is_ready_once_it_serves() {
    let mut probed = plan();
    probed.probes.readiness = Some(Probe::default());
    let mut pod = Diary::new(Life::admitted(probed.into(), pace(), at(0.25)));
    let told = pod.until(100.0).take();
    assert_eq!(told[2..], [(4.25, Told::Serves), (10.25, Told::Ready)]);
}

#[test]
fn crashes_are_answered_at_once_and_then_ever_later() {
    let quick = Plan {
        start_up: Duration::ZERO,
        ..plan()
    };
    let mut pod = established(quick);
    let crash = |life: &mut Life, now, told: &mut Vec<Told>| life.crash(now, told);
    let told = pod.act(10.5, crash).until(15.0).take();
    let expected = [
        (10.5, Told::Exited),
        (11.0, Told::NotReady),
        (11.0, Told::Pull),
        (11.3, Told::Started),
        (11.3, Told::Serves),
        (12.0, Told::Ready),
    ];
    assert_eq!(told, expected);
    // The pause counts from the end of the container, which the kubelet finds later.
    for (crashed, noticed, pause) in [(15.5, 16.0, 10.0), (30.5, 31.0, 20.0), (60.5, 61.0, 40.0)] {
        let told = pod.act(crashed, crash).until(crashed + pause).take();
        let expected = [
            (crashed, Told::Exited),
            (noticed, Told::NotReady),
            (noticed, Told::BackOff(seconds(pause - 0.5))),
            (crashed + pause, Told::Pull),
        ];
        assert_eq!(told, expected);
        pod.until(crashed + pause + 2.0).take();
    }
}

#[test]
fn a_crash_is_noticed_within_a_relist() {
    let draws = 1_000;
    let delays: Vec<f64> = (0..draws)
        .map(|draw| {
            let mut pod = established(plan());
            let crashed = 10.0 + (f64::from(draw) + 0.5) / f64::from(draws);
            let told = pod
                .act(crashed, |life, now, told| life.crash(now, told))
                .until(12.0)
                .take();
            let unready = told.iter().find(|(_, told)| *told == Told::NotReady);
            unready.expect("the kubelet notices").0 - crashed
        })
        .collect();
    let mean = delays.iter().sum::<f64>() / f64::from(draws);
    assert!((mean - 0.5).abs() < 1e-6, "{mean}");
    let least = delays.iter().copied().fold(1.0, f64::min);
    let greatest = delays.iter().copied().fold(0.0, f64::max);
    assert!(least < 0.001 && greatest > 0.999, "{least} {greatest}");
}

#[test]
fn a_pod_that_drains_goes_when_it_is_done() {
    let hooked = Plan {
        pre_stop: seconds(5.0),
        ..plan()
    };
    let mut pod = established(hooked);
    let told = pod
        .act(10.5, |life, now, told| life.delete(None, now, told))
        .act(18.2, |life, now, told| life.drained(now, told))
        .until(100.0)
        .take();
    let expected = [
        (10.5, Told::Killing),
        (15.5, Told::Drains),
        (18.2, Told::Exited),
        (19.0, Told::NotReady),
        (19.0, Told::Gone),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_pod_that_does_not_drain_in_time_is_killed() {
    // The hook is inside the grace period; what is left is never less than two seconds.
    for (pre_stop, grace, killed) in [(5, 30, 40.5), (0, 30, 40.5), (29, 30, 41.5), (60, 30, 42.5)]
    {
        let late = Plan {
            pre_stop: Duration::from_secs(pre_stop),
            grace: Duration::from_secs(grace),
            ..plan()
        };
        let mut pod = established(late);
        let told = pod
            .act(10.5, |life, now, told| life.delete(None, now, told))
            .until(100.0)
            .take();
        let exited = told.iter().find(|(_, told)| *told == Told::Exited);
        assert_eq!(exited, Some(&(killed, Told::Exited)), "{told:?}");
        assert_eq!(told.last().map(|(_, told)| *told), Some(Told::Gone));
    }
}

#[test]
fn a_pod_that_exits_at_once_loses_what_it_has() {
    let rude = Plan {
        on_stop: OnStop::Exit,
        ..plan()
    };
    let mut pod = established(rude);
    let told = pod
        .act(10.5, |life, now, told| life.delete(None, now, told))
        .until(100.0)
        .take();
    let expected = [
        (10.5, Told::Killing),
        (10.5, Told::Exited),
        (11.0, Told::NotReady),
        (11.0, Told::Gone),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_pod_without_a_container_goes_at_once() {
    let mut pod = Diary::new(Life::admitted(plan().into(), pace(), at(0.25)));
    let told = pod
        .act(0.5, |life, now, told| life.delete(None, now, told))
        .until(100.0)
        .take();
    assert_eq!(told, [(0.5, Told::Gone)]);
}

#[test]
fn a_container_that_hangs_is_killed_after_its_grace_and_restarted() {
    let mut probed = plan();
    probed.probes.liveness = Some(Probe::default());
    let mut pod = established(probed);
    let told = pod
        .act(15.0, |life, now, told| life.hang(true, now, told))
        .until(73.0)
        .take();
    // Probes at 20, 30 and 40 s time out; the signal is not heard, so 30 s pass.
    let expected = [
        (41.0, Told::Unhealthy(Probed::Liveness)),
        (41.0, Told::Killing),
        (71.0, Told::Exited),
        (71.0, Told::NotReady),
        (71.0, Told::Pull),
        (71.3, Told::Started),
        (72.0, Told::Ready),
    ];
    assert_eq!(told, expected);
}

#[test]
fn power_comes_back_to_a_fresh_start() {
    let mut pod = established(plan());
    let told = pod
        .act(10.0, |life, _, told| life.power_off(told))
        .act(20.25, |life, now, told| life.power_on(pace(), now, told))
        .until(100.0)
        .take();
    let expected = [
        (10.0, Told::Exited),
        (20.25, Told::NotReady),
        (20.95, Told::Pull),
        (21.25, Told::Started),
        (22.0, Told::Ready),
        (24.25, Told::Serves),
    ];
    assert_eq!(told, expected);
    // A pod that was deleted meanwhile does not come back.
    let mut pod = established(plan());
    let told = pod
        .act(10.0, |life, _, told| life.power_off(told))
        .act(12.0, |life, now, told| life.delete(None, now, told))
        .act(20.25, |life, now, told| life.power_on(pace(), now, told))
        .take();
    assert_eq!(told[1..], [(20.25, Told::NotReady), (20.25, Told::Gone)]);
}

#[test]
fn a_container_waits_for_the_proxy_beside_it() {
    let held = Plan {
        waits_for_proxy: true,
        ..plan()
    };
    let mut pod = Diary::new(Life::admitted(held.into(), pace(), at(0.0)));
    let told = pod
        .until(5.0)
        .act(5.1, |life, _, told| life.proxy_is_ready(told))
        .until(5.1)
        .take();
    assert_eq!(told, [(0.7, Told::Prepared), (5.1, Told::Pull)]);
    pod.life.pulled(at(5.1));
    let told = pod.until(6.0).take();
    assert_eq!(told, [(5.4, Told::Started), (6.0, Told::Ready)]);
    // Once is enough.
    let told = pod
        .act(7.0, |life, _, told| life.proxy_is_ready(told))
        .take();
    assert_eq!(told, []);
}

#[test]
fn a_pod_ends_when_its_application_and_its_proxy_have() {
    let ends = |proxy_first: bool| {
        let mut pod = established(plan());
        pod.life.proxy_begins();
        let mut told = Vec::new();
        pod.life.delete(None, at(10.5), &mut told);
        assert_eq!(told, [Told::Ending, Told::Killing, Told::Drains]);
        let (proxy, application) = if proxy_first {
            (12.2, 15.2)
        } else {
            (15.2, 12.2)
        };
        let mut ends: [(f64, bool); 2] = [(proxy, true), (application, false)];
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (seconds, is_proxy) in ends {
            pod.act(seconds, |life, now, told| match is_proxy {
                true => life.proxy_ends(now),
                false => life.drained(now, told),
            });
        }
        let told = pod.until(100.0).take();
        *told.last().unwrap()
    };
    // Found at the next look, whichever comes last.
    assert_eq!(ends(true), (16.0, Told::Gone));
    assert_eq!(ends(false), (16.0, Told::Gone));
}
