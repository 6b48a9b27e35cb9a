use super::*;

fn pod() -> Candidate {
    Candidate {
        assigned: true,
        running: true,
        ready_since: Some(Time::ZERO),
        deletion_cost: 0,
        colocated: 0,
        restarts: 0,
        created: Time::ZERO,
        uid: 0,
    }
}

fn second(count: u64) -> Time {
    Time::ZERO + Duration::from_secs(count)
}

#[test]
fn each_rule_outranks_those_below_it() {
    let now = second(1_000);
    let kept = Candidate {
        deletion_cost: 5,
        colocated: 2,
        restarts: 3,
        ready_since: Some(second(500)),
        created: second(400),
        ..pod()
    };
    let rules = [
        Candidate {
            assigned: false,
            deletion_cost: 9,
            ..kept
        },
        Candidate {
            running: false,
            deletion_cost: 9,
            ..kept
        },
        Candidate {
            ready_since: None,
            deletion_cost: 9,
            ..kept
        },
        Candidate {
            deletion_cost: 4,
            colocated: 1,
            ..kept
        },
        Candidate {
            colocated: 3,
            ready_since: Some(second(1)),
            ..kept
        },
        Candidate {
            ready_since: Some(second(990)),
            restarts: 0,
            ..kept
        },
        Candidate {
            restarts: 4,
            created: second(1),
            ..kept
        },
        Candidate {
            created: second(990),
            uid: 9,
            ..kept
        },
    ];
    let mut pods: Vec<_> = (0..).zip(rules).chain([(99, kept)]).collect();
    for (rule, goes) in &pods {
        let expected = if *rule == 99 {
            Ordering::Equal
        } else {
            Ordering::Less
        };
        assert_eq!(precedence(goes, &kept, now), expected, "rule {rule}");
    }
    pods.reverse();
    order(&mut pods, now);
    let order: Vec<i32> = pods.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7, 99]);
}

#[test]
fn ages_count_by_powers_of_two() {
    let now = second(1_000);
    let aged = |age: u64, uid| Candidate {
        ready_since: Some(second(1_000 - age)),
        uid,
        ..pod()
    };
    // 2^35 ns are 34 s, 2^36 are 69 s: 40, 50 and 60 s are alike, and the UID decides.
    let mut pods = [
        (75, aged(75, 1)),
        (60, aged(60, 2)),
        (40, aged(40, 4)),
        (50, aged(50, 3)),
    ];
    order(&mut pods, now);
    assert_eq!(pods.map(|(age, _)| age), [60, 50, 40, 75]);
    assert_eq!(precedence(&aged(1, 9), &aged(3, 1), now), Ordering::Less);
    assert_eq!(precedence(&aged(0, 9), &aged(3, 1), now), Ordering::Less);
    // Equal instants are not decided.
    assert_eq!(precedence(&aged(40, 9), &aged(40, 1), now), Ordering::Equal);
}
