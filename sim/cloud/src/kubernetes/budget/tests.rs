use super::*;

const STRICT: Unhealthy = Unhealthy::IfHealthyBudget;

#[test]
fn both_percentages_round_up() {
    let share = Amount::Percent(34);
    // 34 % of 7 are 2.38.
    let least = count(Demand::MinAvailable(share), 7, 7);
    assert_eq!((least.desired, least.allowed), (3, 4));
    let most = count(Demand::MaxUnavailable(share), 7, 6);
    assert_eq!((most.desired, most.allowed), (4, 2));
}

#[test]
fn a_budget_of_nothing_allows_nothing() {
    assert_eq!(
        count(Demand::MinAvailable(Amount::Count(0)), 0, 3).allowed,
        0
    );
    assert_eq!(
        count(Demand::MinAvailable(Amount::Count(5)), 3, 3).allowed,
        0
    );
    assert_eq!(
        count(Demand::MaxUnavailable(Amount::Count(9)), 3, 2).allowed,
        2
    );
}

#[test]
fn evictions_ask_the_only_budget() {
    let open = count(Demand::MaxUnavailable(Amount::Count(1)), 3, 3);
    let closed = count(Demand::MaxUnavailable(Amount::Count(1)), 3, 2);
    assert_eq!(evict(Evictee::Ready, &[]), Answer::Free);
    assert_eq!(evict(Evictee::Ready, &[(open, STRICT)]), Answer::Counted);
    assert_eq!(
        evict(Evictee::Ready, &[(closed, STRICT)]),
        Answer::TooManyRequests
    );
    let two = [(open, STRICT), (open, STRICT)];
    assert_eq!(evict(Evictee::Ready, &two), Answer::SeveralBudgets);
    assert_eq!(evict(Evictee::Idle, &two), Answer::Free);
}

#[test]
fn pods_that_are_not_ready_go_by_policy() {
    let enough = count(Demand::MinAvailable(Amount::Count(2)), 3, 2);
    let short = count(Demand::MinAvailable(Amount::Count(2)), 3, 1);
    let evict = |status, policy| evict(Evictee::NotReady, &[(status, policy)]);
    assert_eq!(evict(enough, STRICT), Answer::Free);
    assert_eq!(evict(short, STRICT), Answer::TooManyRequests);
    assert_eq!(evict(short, Unhealthy::AlwaysAllow), Answer::Free);
    // A budget that demands nothing is no excuse, but allows it anyway.
    let idle = count(Demand::MinAvailable(Amount::Count(0)), 3, 1);
    assert_eq!(evict(idle, STRICT), Answer::Counted);
}
