//! What a connection costs, counted in round trips and timeouts that protocols fix: exact.

use cloud::record::Record;

/// Users far from an idle service that answers at once, over a link without jitter or bandwidth
/// limit, so that every latency is a whole number of round trips.
fn record(protocol: &str, more: &str) -> Record {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: trips}}
spec:
  clusters: [{{name: east, region: aws/us-east-1, zones: [a, b, c], nodePools: [{{name: general, count: 3, cpu: 4, memory: 8Gi}}]}}]
  workloads: {{web: {{replicas: 3, workers: 64, serviceTime: 0s, responseSize: 0}}}}
  users: [{{name: far, region: aws/us-west-2}}]
  links: [{{from: far, to: east, rtt: 100ms, jitter: 0ms, bandwidth: 1000Gbit}}]
  traffic: [{{name: users, from: far, to: \"web:80\", cluster: east, arrivals: {{constant: 10/s}}, clients: 1, requestSize: 0, protocol: {protocol}{more}}}]
  run: {{duration: 200s}}
"
    );
    crate::support::record(&text)
}

/// A quantile of the latency in round trips of 100 ms; what happens inside of the cluster is far
/// below the rounding.
fn round_trips(record: &Record, p: f64) -> f64 {
    let latency = &record.traffic[0].latency;
    let trips = latency.value_at_quantile(p) as f64 / 1e8;
    (trips * 10.0).round() / 10.0
}

#[test]
fn a_new_connection_takes_two_round_trips_and_a_kept_one_takes_one() {
    // RTT-TCP-plaintext-new-connection and RTT-kept-alive-connection.
    let closing = record("http1-close", "");
    assert_eq!(
        [round_trips(&closing, 0.01), round_trips(&closing, 0.99)],
        [2.0, 2.0]
    );
    let kept = record("http1", "");
    assert_eq!(round_trips(&kept, 0.5), 1.0);
    assert_eq!(
        round_trips(&kept, 1.0),
        2.0,
        "only the first request opens a connection"
    );
}

#[test]
fn two_thirds_of_connections_cross_a_zone_in_three_zones() {
    // ZONE-x.
    let text = "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: zones}
spec:
  clusters: [{name: east, region: aws/us-east-1, zones: [a, b, c], nodePools: [{name: general, count: 3, cpu: 4, memory: 8Gi}]}]
  workloads:
    front: {replicas: 3, workers: 64, serviceTime: 1ms, calls: [{to: \"back:80\", protocol: http1-close}]}
    back: {replicas: 3, workers: 64, serviceTime: 1ms}
  traffic: [{name: users, from: aws/us-east-1, to: \"front:80\", arrivals: {poisson: 500/s}, protocol: http1-close}]
  run: {duration: 100s}
";
    let record = crate::support::record(text);
    let (mut crossing, mut all) = (0, 0);
    for call in &record.calls {
        if let (Some(from), Some((_, to))) = (call.key.caller_zone, call.key.answered) {
            all += call.attempts;
            crossing += if from == to { 0 } else { call.attempts };
        }
    }
    assert!(all > 40_000, "{all} calls between pods");
    let share = crossing as f64 / all as f64;
    let error = (2.0 / 9.0 / all as f64).sqrt();
    assert!((share - 2.0 / 3.0).abs() < 4.65 * error, "{share}");
}

#[test]
fn a_black_hole_is_given_up_when_the_kernel_does() {
    // SYN-new: the last wait ends 131 s after the first SYN.
    let text = "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: black-hole}
spec:
  clusters: [{name: east, region: aws/us-east-1}]
  workloads: {web: {replicas: 3, workers: 64, serviceTime: 0s}}
  users: [{name: far, region: aws/us-west-2}]
  traffic: [{name: users, from: far, to: \"web:80\", cluster: east, arrivals: {constant: 1/s}, timeout: none, protocol: http1-close}]
  timeline: [{at: 0s, fault: {region-down: {region: aws/us-east-1, packets: dropped}}}]
  run: {duration: 141s}
";
    let record = crate::support::record(text);
    let traffic = &record.traffic[0];
    assert_eq!(traffic.succeeded, 0);
    let given_up = traffic.failures[cloud::record::Reason::ConnectTimeout as usize];
    // One request a second over 141 s; those of the first ten seconds have been given up.
    assert!((9..=11).contains(&given_up), "{given_up} given up");
}

#[test]
fn retries_meet_a_dead_node_independently() {
    // RET-dead-indep: two of ten endpoints dead, two retries, independent picks: 1 - 0.2^3. The
    // endpoints' controller takes longer than the run to notice.
    let text = "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: dead-node}
spec:
  clusters: [{name: east, zones: [a], nodePools: [{name: general, count: 6, cpu: 10, memory: 20Gi}]}]
  workloads:
    client: {replicas: 1, requests: {cpu: 9}}
    web: {replicas: 10, workers: 64, serviceTime: 0s, requests: {cpu: 5}}
  traffic:
    - {name: users, from: client, to: \"web:80\", arrivals: {poisson: 300/s}, protocol: http1-close,
       timeout: 200ms, retries: {attempts: 2, backoff: 1ms, maxBackoff: 1ms}}
  timeline: [{at: 0s, fault: {node-down: {node: general-2, packets: dropped}}}]
  run: {duration: 30s}
";
    let record = crate::support::record(text);
    let traffic = &record.traffic[0];
    let ended = (traffic.sent - traffic.in_flight) as f64;
    let share = traffic.succeeded as f64 / ended;
    let exact = 0.992;
    let error = (exact * (1.0 - exact) / ended).sqrt();
    assert!((share - exact).abs() < 4.65 * error, "{share} of {ended}");
}
