//! What the API server can do with the etcd it has, and what it lets its clients ask.
//!
//! Models: writes and lists that need a quorum of etcd's members, while watches go on from the
//! API server's cache; a stall of writes while a new leader of etcd is elected, one to two
//! election timeouts long; clients' own limits of requests per second, by version.
//! Leaves out: the size of etcd's database, compaction, fairness queues of the API server.
//! Sources: etcd's defaults; kubernetes' component configurations; [`crate::facts`].
//! Validated by: the table of quorums and the bounds below.

use super::bucket::Bucket;
use crate::facts;
use engine::{Draw, Duration};

/// Members that have to be up for a write.
pub fn quorum(members: u32) -> u32 {
    members / 2 + 1
}

/// Whether writes are possible with so many members down.
pub fn has_quorum(members: u32, down: u32) -> bool {
    members.saturating_sub(down) >= quorum(members)
}

/// How long writes stall when a member is lost: not at all if it did not lead.
pub fn stall(members: u32, draw: &mut Draw) -> Duration {
    if draw.below(members) != 0 {
        return Duration::ZERO;
    }
    election(draw)
}

/// How long etcd is without a leader.
pub fn election(draw: &mut Draw) -> Duration {
    let timeout = facts::ETCD_ELECTION_TIMEOUT.value;
    timeout + timeout.mul_f64(draw.uniform())
}

/// Whose requests are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// kube-controller-manager: all its controllers together.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// A kubelet.
    Kubelet,
    /// A kube-proxy.
    KubeProxy,
}

/// A client's own limit of requests, in Kubernetes 1.`minor`.
pub fn client_limit(role: Role, minor: u32) -> Bucket {
    let (rate, burst) = match role {
        Role::ControllerManager => (
            &facts::CONTROLLER_MANAGER_QPS,
            &facts::CONTROLLER_MANAGER_BURST,
        ),
        Role::Scheduler => (&facts::SCHEDULER_QPS, &facts::SCHEDULER_BURST),
        Role::Kubelet if minor >= 27 => (&facts::KUBELET_QPS, &facts::KUBELET_BURST),
        Role::Kubelet | Role::KubeProxy => (&facts::CLIENT_QPS, &facts::CLIENT_BURST),
    };
    Bucket::of_rate(rate.value, burst.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream, Time};

    #[test]
    fn writes_need_more_than_half() {
        let most_down = |members| {
            (0..=members)
                .filter(|&down| has_quorum(members, down))
                .max()
        };
        let table: Vec<_> = (1..=7).map(|members| most_down(members).unwrap()).collect();
        assert_eq!(table, [0, 0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn one_loss_in_three_stalls_writes_for_one_to_two_seconds() {
        let stream = Stream::new(Seed::default(), "etcd");
        let stalls = (0..30_000).map(|index| stall(3, &mut stream.draw(index, 0)));
        let stalls: Vec<_> = stalls.filter(|stall| !stall.is_zero()).collect();
        assert!((9_700..10_300).contains(&stalls.len()), "{}", stalls.len());
        let seconds = stalls.iter().map(|stall| stall.as_secs_f64());
        let mean = seconds.clone().sum::<f64>() / stalls.len() as f64;
        assert!((mean - 1.5).abs() < 0.01, "{mean}");
        assert!(seconds.clone().all(|stall| (1.0..2.0).contains(&stall)));
    }

    #[test]
    fn limits_are_those_of_the_version() {
        let burst = |role, minor| {
            let mut limit = client_limit(role, minor);
            (0..1_000)
                .take_while(|_| limit.try_take(Time::ZERO))
                .count()
        };
        assert_eq!(burst(Role::ControllerManager, 33), 30);
        assert_eq!(burst(Role::Scheduler, 33), 100);
        assert_eq!(burst(Role::Kubelet, 26), 10);
        assert_eq!(burst(Role::Kubelet, 27), 100);
        assert_eq!(burst(Role::KubeProxy, 36), 10);
        let mut limit = client_limit(Role::ControllerManager, 33);
        let last = (0..130).map(|_| limit.take(Time::ZERO)).last();
        assert_eq!(
            last,
            Some(Duration::from_secs(5)),
            "100 beyond the burst at 20 per second"
        );
    }
}
