//! Recovery after the loss of a region, against its closed form: the phase of the health check,
//! the further failures, the timeout of the last one, and what is left of the answer's TTL.

use cloud::{Options, compile};

const INTERVAL_S: f64 = 10.0;
const TIMEOUT_S: f64 = 2.0;
const FAILURES: f64 = 3.0;
const TTL_S: f64 = 30.0;
const FAULT_S: f64 = 100.0;
const GAP_S: f64 = 0.05;
/// Round trips of the check and of the resolver's question, and the gap between two requests,
/// are part of the true value and not of the closed form.
const SLACK_S: f64 = 0.3;

fn scenario_text() -> String {
    format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: recovery}}
spec:
  clusters:
    - {{name: first, region: aws/us-east-1}}
    - {{name: second, region: aws/us-west-2}}
  workloads:
    web: {{replicas: 3, workers: 64, serviceTime: 1ms}}
  users: [{{name: users, region: aws/us-east-1, resolvers: 1}}]
  dns:
    - host: web.example.com
      policy: failover
      ttl: {TTL_S}s
      answers: [{{cluster: first, service: web}}, {{cluster: second, service: web}}]
      healthCheck: {{interval: {INTERVAL_S}s, timeout: {TIMEOUT_S}s, failures: {FAILURES}, successes: 3}}
  traffic:
    - name: users
      from: users
      to: http://web.example.com/
      arrivals: {{constant: 20/s}}
      protocol: http1-close
      timeout: 1s
  timeline:
    - {{at: {FAULT_S}s, fault: {{region-down: {{region: aws/us-east-1, packets: dropped}}}}}}
  run: {{duration: 180s}}
"
    )
}

/// Seconds from the fault to the intended start of the last request that failed.
fn recoveries(replications: u32) -> Vec<f64> {
    let scenario = crate::support::scenario(&scenario_text());
    let topology = compile(&scenario);
    let options = Options::default();
    crate::support::replicate(&topology, (7, replications), &options, |record| {
        let failing = &record.traffic[0].failing;
        failing.last().expect("the loss is felt").1.as_secs_f64() - FAULT_S
    })
}

#[test]
fn recovery_follows_its_closed_form() {
    let recoveries = recoveries(2_000);
    let mean = recoveries.iter().sum::<f64>() / recoveries.len() as f64;
    let constant = (FAILURES - 1.0) * INTERVAL_S + TIMEOUT_S;
    let exact = INTERVAL_S / 2.0 + constant + TTL_S / 2.0;
    assert!(
        (mean / exact - 1.0).abs() < 0.02,
        "mean {mean} s instead of {exact} s"
    );
    let least = recoveries.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = recoveries.iter().copied().fold(0.0, f64::max);
    // The last failing request starts up to one gap before the answer changes.
    assert!(
        least >= constant - GAP_S - SLACK_S,
        "{least} s is impossible"
    );
    assert!(
        greatest <= INTERVAL_S + constant + TTL_S + SLACK_S,
        "{greatest} s is impossible"
    );
    // The extremes are nearly reached: the phases are uniform, not lumped.
    assert!(least < constant + 4.0, "never faster than {least} s");
    assert!(
        greatest > INTERVAL_S + constant + TTL_S - 4.0,
        "never slower than {greatest} s"
    );
}
