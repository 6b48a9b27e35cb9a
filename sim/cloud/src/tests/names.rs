//! Names inside a cluster: what a lookup costs, and what happens without an answer.

use super::network::{pair, run_without_jitter};
use super::*;
use crate::record::Reason;

/// Everything but the lookup: handshake, request and response, and service.
const REST_NS: u128 = 10_400_000;

#[test]
fn a_lookup_costs_a_question_of_a_name_for_each_domain_tried() {
    for (names, node_domains, asked) in [
        (NameForm::Short, 0, 1),
        (NameForm::Namespaced, 0, 2),
        (NameForm::Svc, 0, 3),
        (NameForm::Full, 0, 4),
        (NameForm::Full, 2, 6),
        (NameForm::Absolute, 2, 1),
    ] {
        let mut scenario = pair();
        scenario.clusters[0].dns.names = names;
        scenario.clusters[0].dns.node_domains = node_domains;
        let record = run_without_jitter(&scenario);
        let expected = REST_NS + asked * 2_600_000;
        assert_eq!(record.traffic[0].latency_sum_ns, expected, "{names:?}");
    }
    // In another namespace the short name carries its namespace: two names.
    let mut scenario = pair();
    scenario.clusters[0].services[1].namespace = "other".into();
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].latency_sum_ns, REST_NS + 5_200_000);
}

#[test]
fn an_answer_is_used_for_its_time_to_live() {
    for (ttl, lookups) in [(0, 4), (1, 3), (3, 1)] {
        let mut scenario = pair();
        scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_500, 2_100, 3_200]);
        scenario.clusters[0].dns.ttl = Duration::from_secs(ttl);
        let record = run_without_jitter(&scenario);
        let expected = 4 * REST_NS + lookups * 2_600_000;
        assert_eq!(record.traffic[0].latency_sum_ns, expected, "{ttl} s");
    }
}

/// Faults of the DNS from second 2 on, and a request at second 3 for two names.
fn without_dns(capacity: f64, lasts: Option<u64>) -> crate::record::Record {
    let mut scenario = pair();
    scenario.run.duration = Duration::from_secs(30);
    scenario.traffic[0].arrivals = at_milliseconds(&[3_000]);
    scenario.clusters[0].dns.names = NameForm::Namespaced;
    let fault = Fault::DnsThrottled {
        cluster: ClusterId(0),
        capacity,
    };
    scenario.timeline = vec![fault_at(2_000, fault, lasts)];
    run_without_jitter(&scenario)
}

#[test]
fn a_silent_dns_is_asked_twice_and_given_up_after_ten_seconds() {
    let down = without_dns(0.0, None);
    let unresolved = Reason::NameUnresolved as usize;
    assert_eq!(down.traffic[0].failures[unresolved], 1);
    // Back after four seconds: the second question, five seconds after the first, is answered.
    let back = without_dns(0.0, Some(4_000));
    assert_eq!(back.traffic[0].failures[unresolved], 0);
    assert_eq!(
        back.traffic[0].latency_sum_ns,
        REST_NS + 5_000_000_000 + 5_200_000
    );
    // Slow is not silent: nothing waits in front of the questions of one lookup.
    let slow = without_dns(0.5, None);
    assert_eq!(slow.traffic[0].latency_sum_ns, REST_NS + 5_200_000);
}

#[test]
fn an_overloaded_dns_fills_its_queue_until_nobody_waits_for_it_any_more() {
    // A hundredth of a core answers 168 questions a second, 84 lookups of one name; without
    // a cache two hundred requests a second are more than twice that.
    let mut scenario = pair();
    scenario.run.duration = Duration::from_secs(60);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(200.0));
    scenario.clusters[0].dns = ClusterDns {
        replicas: 1,
        cpu_milli: 10,
        memory_bytes: u64::MAX,
        ttl: Duration::ZERO,
        ..ClusterDns::default()
    };
    let starved = run_without_jitter(&scenario);
    // Its queue reaches five seconds after some ten; from then on almost all it answers are
    // questions that were given up.
    let answered = starved.traffic[0].succeeded;
    assert!((400..1_700).contains(&answered), "{answered} of 12,000");
    assert!(starved.traffic[0].failures[Reason::NameUnresolved as usize] > 8_000);
    // With memory for a thousand questions that wait it is killed, again and again.
    scenario.clusters[0].dns.memory_bytes = 56_000_000;
    let killed = run_without_jitter(&scenario);
    assert!(killed.traffic[0].failures[Reason::NameUnresolved as usize] > 6_000);
    // Five times the capacity needed, and nothing waits.
    scenario.clusters[0].dns.cpu_milli = 100;
    let healthy = run_without_jitter(&scenario);
    assert!(healthy.traffic[0].succeeded >= 11_990);
}
