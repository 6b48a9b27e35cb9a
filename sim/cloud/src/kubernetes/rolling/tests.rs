use super::*;

fn at(wanted: u32, available: u32, most: u32) -> Revision {
    Revision {
        wanted,
        available,
        most,
    }
}

/// A rollout from one revision to another, with pods that become available one at a time
/// and only when the controller rests; gives the steps as (old, new).
fn rollout(replicas: u32, limits: Limits) -> Vec<(u32, u32)> {
    let (mut old, mut new) = (at(replicas, replicas, replicas), at(0, 0, 0));
    let mut told = vec![(replicas, 0)];
    loop {
        match rolling_step(replicas, limits, &[old], new) {
            Step::New(wanted) => new.wanted = wanted,
            Step::Old(wanted) => {
                old.wanted = wanted[0];
                old.available = old.available.min(old.wanted);
            }
            Step::Rest if new.available < new.wanted => {
                new.available += 1;
                continue;
            }
            Step::Rest => return told,
        }
        told.push((old.wanted, new.wanted));
        assert!(
            old.wanted + new.wanted <= replicas + limits.surge,
            "{told:?}"
        );
        let least = replicas - limits.unavailable;
        assert!(old.available + new.available >= least, "{told:?}");
        assert!(told.len() < 1_000, "{told:?}");
    }
}

fn defaults(replicas: u32) -> Limits {
    let quarter = Amount::Percent(25);
    Limits::resolve(quarter, quarter, replicas)
}

#[test]
fn limits_round_surge_up_and_unavailable_down() {
    let of = |surge, unavailable, replicas| {
        let limits = Limits::resolve(surge, unavailable, replicas);
        (limits.surge, limits.unavailable)
    };
    let quarter = Amount::Percent(25);
    let quarters = [1, 3, 4, 5, 10].map(|replicas| of(quarter, quarter, replicas));
    assert_eq!(quarters, [(1, 0), (1, 0), (1, 1), (2, 1), (3, 2)]);
    let none = Amount::Count(0);
    assert_eq!(of(none, none, 4), (0, 1));
    assert_eq!(of(none, Amount::Percent(10), 4), (0, 1));
    assert_eq!(of(none, Amount::Count(9), 4), (0, 4));
}

#[test]
fn every_rollout_keeps_its_limits_and_ends() {
    let amounts = [0, 1, 3].map(Amount::Count).into_iter();
    let amounts: Vec<_> = amounts
        .chain([10, 25, 50, 100].map(Amount::Percent))
        .collect();
    for replicas in 1..=100 {
        for &surge in &amounts {
            for &unavailable in &amounts {
                let limits = Limits::resolve(surge, unavailable, replicas);
                let told = rollout(replicas, limits);
                assert_eq!(told.last(), Some(&(0, replicas)));
            }
        }
    }
}

#[test]
fn rollouts_of_small_deployments_go_as_they_were_recorded() {
    assert_eq!(rollout(1, defaults(1)), [(1, 0), (1, 1), (0, 1)]);
    let three = [(3, 0), (3, 1), (2, 1), (2, 2), (1, 2), (1, 3), (0, 3)];
    assert_eq!(rollout(3, defaults(3)), three);
    let one_by_one = Limits::resolve(Amount::Count(0), Amount::Count(1), 4);
    let four = [
        (4, 0),
        (3, 0),
        (3, 1),
        (2, 1),
        (2, 2),
        (1, 2),
        (1, 3),
        (0, 3),
        (0, 4),
    ];
    assert_eq!(rollout(4, one_by_one), four);
}

#[test]
fn old_pods_that_do_not_serve_go_first() {
    // Two old revisions of a failed rollout: the broken one goes whole.
    let old = [at(3, 3, 5), at(2, 0, 5)];
    let limits = defaults(4);
    let step = rolling_step(4, limits, &old, at(0, 0, 5));
    assert_eq!(step, Step::Old(vec![3, 0]));
    // The oldest goes first when all serve.
    let old = [at(2, 2, 5), at(2, 2, 5)];
    let step = rolling_step(4, limits, &old, at(1, 1, 5));
    assert_eq!(step, Step::Old(vec![0, 2]));
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let old = [at(0, 0, 4), at(4, 4, 4)];
    assert_eq!(recreate_step(4, &old, 4, 0), Step::Old(vec![0, 0]));
    let none = [at(0, 0, 4), at(0, 0, 4)];
    assert_eq!(recreate_step(4, &none, 2, 0), Step::Rest);
    assert_eq!(recreate_step(4, &none, 0, 0), Step::New(4));
    assert_eq!(recreate_step(4, &none, 0, 4), Step::Rest);
}

#[test]
fn a_scaled_rollout_keeps_its_proportions() {
    // The example of the documentation: 10 replicas, surge 3, unavailable 2, stuck at 8 old
    // and 5 new; scaled to 15, three more go to the old and two to the new.
    let limits = Limits {
        surge: 3,
        unavailable: 2,
    };
    let stuck = [at(8, 8, 13), at(5, 0, 13)];
    assert_eq!(proportional(15, limits, &stuck), [11, 7]);
    assert_eq!(proportional(0, limits, &stuck), [0, 0]);
    // Only one has pods: it takes all.
    assert_eq!(
        proportional(6, limits, &[at(0, 0, 13), at(5, 5, 13)]),
        [0, 6]
    );
    assert_eq!(
        proportional(6, limits, &[at(0, 0, 13), at(0, 0, 13)]),
        [0, 6]
    );
    // The new one has all it needs: the old ones go.
    assert_eq!(proportional(5, limits, &[at(2, 2, 6), at(5, 5, 6)]), [0, 5]);
}

#[test]
fn scaling_in_proportion_gives_out_all_there_is() {
    for replicas in 1..=100 {
        let limits = defaults(replicas);
        for (old, new) in [(1, 1), (3, 2), (10, 7), (40, 41), (2, 90)] {
            let before = old + new;
            let revisions = [at(old, old, before), at(new, 0, before)];
            let wanted = proportional(replicas, limits, &revisions);
            assert_eq!(wanted.iter().sum::<u32>(), replicas + limits.surge);
        }
    }
}

#[test]
fn a_rollout_that_does_not_move_exceeds_its_deadline() {
    let second = |count| Time::ZERO + Duration::from_secs(count);
    let deadline = Duration::from_secs(600);
    let stuck = Status {
        pods: 5,
        updated: 1,
        ready: 4,
        available: 4,
    };
    let look = |progress: Progress, before, after, now| {
        progress.after(before, after, 4, deadline, second(now))
    };
    let begun = Progress::Since(second(0));
    assert_eq!(look(begun, stuck, stuck, 600), begun);
    assert_eq!(look(begun, stuck, stuck, 601), Progress::DeadlineExceeded);
    let better = Status { ready: 5, ..stuck };
    assert_eq!(
        look(Progress::DeadlineExceeded, stuck, better, 700),
        Progress::Since(second(700))
    );
    let done = Status {
        pods: 4,
        updated: 4,
        ready: 4,
        available: 4,
    };
    assert_eq!(look(begun, better, done, 900), Progress::Complete);
    // One of its pods dies later: that is no failed rollout.
    let less = Status {
        available: 3,
        ..done
    };
    assert_eq!(
        look(Progress::Complete, done, less, 9_000),
        Progress::Complete
    );
}
