//! The cluster's DNS as pods meet it: the instances of CoreDNS behind one address.
//!
//! Models: kube-proxy spreads questions over the instances at random; each instance answers
//! first come, first served at the rate that its CPU allows, so that answers slow down under
//! load; a question that waits takes memory beside what the cluster's pods and services take,
//! and an instance over its limit is killed: what it was asked is lost, and it starts again
//! after the kubelet's back-off. Slowed down or silenced by faults. An instance that starts while
//! no API server answers knows no service: it says SERVFAIL, which resolvers take for a reason to
//! ask again, until its lists have succeeded with the pauses of a watch that broke.
//!
//! Each pod asks as its `dnsPolicy` and `dnsConfig` say; servers outside of the cluster know none
//! of its services.
//!
//! Approximated: servers outside of the cluster answer as fast as an idle CoreDNS, and always;
//! the questions for one name are served together; an answer comes a fixed time
//! after its turn, as measured with the network and the work itself in it; an instance that is
//! being restarted is out of everybody's rules at once; an answer that comes after the
//! resolver's patience is of no use to the question that was repeated; in the 5 s in which an
//! instance waits for its lists before it listens it says SERVFAIL already; it stays in everybody's
//! rules, since nobody can write that it is not ready; where DNS was down as a whole all start again.
//! Leaves out: instances as pods on nodes, with the distance to them and the other work there;
//! NodeLocal DNSCache; the way of questions for names outside of clusters, which are answered
//! as those inside are.
//! Sources: coredns/deployment `kubernetes/Scaling_CoreDNS.md`; coredns/coredns plugin/kubernetes
//! kubernetes.go, handler.go, ready.go; [`crate::facts`].
//! Validated by: queues worked out by hand, below, and lookups in the crate's tests.

use super::call::Stage;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::kubernetes::reflector::{self, Break};
use crate::kubernetes::resolver::{self, PodDns, ResolverConfig, Server};
use crate::record::Reason;
use crate::scenario::{ClusterDns, ServiceId, ServiceKind};
use crate::slab::Key;
use engine::{Draw, Duration, Stream, Time};

/// The instances of CoreDNS.
#[derive(Clone, Debug)]
pub(crate) struct NameService {
    /// Draws of instances.
    stream: Stream,
    instances: Vec<Instance>,
    /// Questions per second that one answers.
    rate: f64,
    /// Memory that one may use.
    memory_limit_bytes: u64,
    /// How long a pod uses an answer.
    pub(super) ttl: Duration,
    /// Whether an API server answers.
    has_api: bool,
}

#[derive(Clone, Copy, Debug)]
struct Instance {
    /// When all it was asked so far is answered.
    free: Time,
    /// When it runs, or ran last, from.
    started: Time,
    /// How often it was killed: what it was asked before is lost.
    kills: u32,
    /// The last pause before it was started again.
    pause: Duration,
    /// From when on it knows the services; `None` while it waits for an API server.
    synced: Option<Time>,
}

/// What becomes of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It turns to them then, if it is not killed before.
    Taken {
        /// When.
        at: Time,
        /// By which instance.
        instance: u32,
        /// How often it had been killed when it was asked.
        kills: u32,
    },
    /// Nobody answers.
    Lost,
    /// SERVFAIL: the instance knows no service yet.
    Failed,
    /// There is no instance to ask: refused at once.
    Refused,
}

impl NameService {
    /// All instances at rest.
    pub(crate) fn new(dns: &ClusterDns, stream: Stream) -> Self {
        let instance = Instance {
            free: Time::ZERO,
            started: Time::ZERO,
            kills: 0,
            pause: Duration::ZERO,
            synced: Some(Time::ZERO),
        };
        NameService {
            stream,
            instances: vec![instance; dns.replicas as usize],
            rate: resolver::capacity(dns.cpu_milli),
            memory_limit_bytes: dns.memory_bytes,
            ttl: dns.ttl,
            has_api: true,
        }
    }

    /// Asks one instance, drawn at random, so many questions; `speed` is the share of its
    /// rate that it has now, and `known` the pods and services of the cluster.
    pub(crate) fn ask(
        &mut self,
        questions: u32,
        known: u64,
        speed: f64,
        draw: &mut Draw,
        now: Time,
    ) -> Asked {
        if speed <= 0.0 {
            return Asked::Lost;
        }
        let up = |instance: &&Instance| instance.started <= now;
        let count = self.instances.iter().filter(up).count() as u32;
        if count == 0 {
            return Asked::Refused;
        }
        let chosen = if count == 1 { 0 } else { draw.below(count) };
        let mut up = (0u32..).zip(&self.instances).filter(|(_, one)| up(one));
        let (instance, _) = up.nth(chosen as usize).expect("drawn among them");
        let rate = self.rate * speed;
        let state = &mut self.instances[instance as usize];
        if state.synced.is_none_or(|synced| now < synced) {
            return Asked::Failed;
        }
        let work = Duration::from_secs_f64(f64::from(questions) / rate);
        let at = state.free.max(now);
        let free = at + work;
        let waiting = free.since(now).as_secs_f64() * rate;
        let memory = resolver::memory_bytes(known, 0)
            + (waiting * f64::from(facts::COREDNS_BYTES_PER_QUESTION.value)) as u64;
        if memory > self.memory_limit_bytes {
            state.kill(now, self.has_api);
            return Asked::Lost;
        }
        state.free = free;
        Asked::Taken {
            at,
            instance,
            kills: state.kills,
        }
    }

    /// The API servers answer from now on, or do not any more, and whether all instances start
    /// now.
    pub(crate) fn api_moved(&mut self, has_api: bool, start: bool, now: Time) {
        let came = has_api && !self.has_api;
        self.has_api = has_api;
        for (number, instance) in (0..).zip(&mut self.instances) {
            if start && !has_api {
                instance.started = instance.started.max(now);
                instance.synced = None;
            }
            if !has_api && instance.started > now {
                instance.synced = None;
            }
            if came && instance.synced.is_none() {
                let kills = u64::from(instance.kills) << 32;
                let mut draw = self.stream.draw(u64::MAX, kills | number);
                let listed = |start| reflector::reopened(Break::Refused, start, now, &mut draw);
                let waits = Some(instance.started).filter(|started| *started <= now);
                instance.synced = Some(waits.map_or(instance.started, listed));
            }
        }
    }

    /// Whether an instance still knows what it was asked.
    pub(crate) fn remembers(&self, instance: u32, kills: u32) -> bool {
        self.instances[instance as usize].kills == kills
    }
}

impl Instance {
    /// Out of memory: it starts again after a pause, which doubles unless it ran well for long.
    fn kill(&mut self, now: Time, has_api: bool) {
        let (first, most) = (
            facts::RESTART_BACKOFF.value,
            facts::RESTART_BACKOFF_MAX.value,
        );
        let well = now.since(self.started) >= most * 2;
        self.pause = if self.pause.is_zero() || well {
            first
        } else {
            (self.pause * 2).min(most)
        };
        self.kills += 1;
        self.started = now + self.pause;
        self.free = self.started;
        self.synced = has_api.then_some(self.started);
    }
}

/// How the pods of a revision look services up.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    config: ResolverConfig,
    /// Names that they ask for, of services in the own namespace and in another.
    asked: [resolver::Asked; 2],
}

impl Resolver {
    /// How pods of a namespace do.
    pub(crate) fn new(pod: &PodDns, namespace: &str, dns: &ClusterDns) -> Self {
        let domain = facts::CLUSTER_DOMAIN.value;
        let of_node: Vec<_> = (0..dns.node_domains)
            .map(|position| format!("domain-{position}.node"))
            .collect();
        let config = ResolverConfig::of(pod, namespace, domain, &of_node);
        // A namespace that nobody else is called after.
        let another = format!("not-{namespace}");
        let asked = [namespace, &another].map(|of_service| {
            let name = dns.names.write("service", of_service, namespace, domain);
            let full = format!("service.{of_service}.svc.{domain}");
            config.asked(&name, &full)
        });
        Resolver { config, asked }
    }

    /// Which server is asked after so many were in vain.
    fn server(&self, vain: u8) -> (Server, Duration) {
        let position = u32::from(vain) % self.config.servers.len() as u32;
        let server = self.config.servers[position as usize];
        (server, self.config.patience(position))
    }

    /// Whether nobody is left to ask after so many were in vain.
    fn gives_up(&self, vain: u8) -> bool {
        u32::from(vain) >= self.config.attempts * self.config.servers.len() as u32
    }
}

/// A lookup on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lookup {
    /// Names left to ask for, the present one included.
    names: u8,
    /// Whether the last of them is the one that is meant.
    is_found: bool,
    /// Times that the present one was asked for in vain.
    vain: u8,
    /// When it was asked for last.
    asked: Time,
    /// What comes of it.
    answer: Answer,
}

/// What comes of questions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// An instance of CoreDNS answers, if it is not killed before.
    Instance {
        /// Which.
        instance: u32,
        /// How often it had been killed.
        kills: u32,
    },
    /// A server outside of the cluster denies the name.
    Denied,
    /// None.
    Silence,
}

impl Domain<'_> {
    /// A pod does not know a service's address: it asks.
    pub(super) fn look_up(&mut self, key: Key, service: ServiceId, context: &mut Clock<'_, Self>) {
        let cluster = self.cluster.expect("pods run in clusters");
        let described = self.topology.cluster(cluster);
        let client = self.calls[key].client;
        let kind = &described.services[service.index()].kind;
        if matches!(kind, ServiceKind::Host { .. }) && self.sidecar_answers_names(client) {
            return self.name_found(key, context);
        }
        let is_known = *kind != ServiceKind::Host { is_known: false };
        let workload = self.pods[client as usize].workload;
        let own = described.workloads[workload.index()].namespace
            == described.services[service.index()].namespace;
        let asked = self.revision(client).resolver.asked[usize::from(!own)];
        let lookup = Lookup {
            names: asked.names as u8,
            is_found: asked.is_found && is_known,
            vain: 0,
            asked: context.now(),
            answer: Answer::Silence,
        };
        self.ask_name(key, lookup, context);
    }

    /// Whether the sidecar of a pod answers questions for names.
    fn sidecar_answers_names(&self, pod: u32) -> bool {
        let sidecar = self.template(pod).sidecar.as_ref();
        let captures = sidecar.is_some_and(|it| it.settings.proxy.captures_names());
        self.pods[pod as usize].has_sidecar() && captures
    }

    /// One full name is asked for.
    fn ask_name(&mut self, key: Key, lookup: Lookup, context: &mut Clock<'_, Self>) {
        let Lookup { names, vain, .. } = lookup;
        let now = context.now();
        let attempt = self.calls[key].attempt;
        let resolver = &self.revision(self.calls[key].client).resolver;
        let (server, patience) = resolver.server(vain);
        let questions = resolver.config.questions_per_name;
        let known = (self.pods.len() + self.services.len()) as u64;
        let speed = self.levers.dns_capacity;
        let round = facts::CLUSTER_DNS_LOOKUP.value;
        let part = u64::from(names) << 8 | u64::from(vain);
        let identity = self.calls[key].work().part(part);
        let service = &mut self.name_service;
        let mut draw = service.stream.draw(identity.request, identity.branch);
        let (answer, wake) = match server {
            Server::Elsewhere => (Answer::Denied, now + round),
            Server::Cluster => match service.ask(questions, known, speed, &mut draw, now) {
                Asked::Refused => {
                    return self.connection_failed(key, Reason::NameUnresolved, context);
                }
                Asked::Taken {
                    at,
                    instance,
                    kills,
                } if at.since(now) + round <= patience => {
                    (Answer::Instance { instance, kills }, at + round)
                }
                Asked::Failed => (Answer::Silence, now + round),
                Asked::Taken { .. } | Asked::Lost => (Answer::Silence, now + patience),
            },
        };
        self.calls[key].stage = Stage::Asking(Lookup {
            asked: now,
            answer,
            ..lookup
        });
        context.schedule(wake, Event::Resolved { attempt, call: key });
    }

    /// A name server has answered a pod, or has not.
    pub(crate) fn resolved(&mut self, key: Key, attempt: u16, context: &mut Clock<'_, Self>) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let Stage::Asking(lookup) = call.stage else {
            return;
        };
        if call.attempt != attempt {
            return;
        }
        match lookup.answer {
            Answer::Instance { instance, kills }
                if !self.name_service.remembers(instance, kills) =>
            {
                let resolver = &self.revision(self.calls[key].client).resolver;
                let wake = lookup.asked + resolver.server(lookup.vain).1;
                self.calls[key].stage = Stage::Asking(Lookup {
                    answer: Answer::Silence,
                    ..lookup
                });
                context.schedule(wake, Event::Resolved { attempt, call: key });
            }
            Answer::Instance { .. } | Answer::Denied if lookup.names > 1 => {
                let next = Lookup {
                    names: lookup.names - 1,
                    vain: 0,
                    ..lookup
                };
                self.ask_name(key, next, context);
            }
            Answer::Instance { .. } if lookup.is_found => self.name_found(key, context),
            Answer::Instance { .. } | Answer::Denied => {
                self.connection_failed(key, Reason::NameUnresolved, context);
            }
            Answer::Silence => {
                let vain = lookup.vain + 1;
                let client = self.calls[key].client;
                if self.revision(client).resolver.gives_up(vain) {
                    self.connection_failed(key, Reason::NameUnresolved, context);
                } else {
                    self.ask_name(key, Lookup { vain, ..lookup }, context);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn stream() -> Stream {
        let seed = Seed {
            master: 1,
            replication: 0,
        };
        Stream::new(seed, "questions")
    }

    fn draw(number: u64) -> Draw {
        stream().draw(number, 0)
    }

    fn service(replicas: u32, memory_limit_bytes: u64) -> NameService {
        let dns = ClusterDns {
            replicas,
            cpu_milli: 1_000,
            memory_bytes: memory_limit_bytes,
            ..ClusterDns::default()
        };
        NameService::new(&dns, stream())
    }

    fn turn(asked: Asked) -> f64 {
        match asked {
            Asked::Taken { at, .. } => at.as_secs_f64(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn questions_queue_at_the_rate_of_the_processor() {
        let mut service = service(1, u64::MAX);
        let rate = 16_834.0;
        let mut ask = |speed, now| turn(service.ask(1_000, 0, speed, &mut draw(0), now));
        for (got, expected) in [
            (ask(1.0, at(0)), 0.0),
            (ask(1.0, at(0)), 1_000.0 / rate),
            (ask(1.0, at(1_000)), 1.0),
            (ask(0.1, at(1_000)), 1.0 + 1_000.0 / rate),
            (ask(1.0, at(1_000)), 1.0 + 11_000.0 / rate),
        ] {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
        assert_eq!(service.ask(1, 0, 0.0, &mut draw(0), at(9_000)), Asked::Lost);
    }

    #[test]
    fn instances_share_by_chance() {
        let mut service = service(4, u64::MAX);
        let mut shares = [0; 4];
        for number in 0..4_000 {
            match service.ask(1, 0, 1.0, &mut draw(number), at(number)) {
                Asked::Taken { instance, .. } => shares[instance as usize] += 1,
                other => panic!("{other:?}"),
            }
        }
        // Binomial around 1,000 with a standard deviation of 27.
        assert!(
            shares.iter().all(|share| (890..1_110).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn an_instance_that_starts_without_an_api_server_fails_until_it_has_its_lists() {
        let fails = |service: &mut NameService, now| {
            let asked = (0..2_500).map(|number| service.ask(1, 0, 1.0, &mut draw(number), now));
            asked.filter(|asked| *asked == Asked::Failed).count()
        };
        // 54 MB to begin with and 2 kB a question: the third thousand is one too many.
        let mut service = service(2, 60_000_000);
        service.api_moved(false, false, at(0));
        assert_eq!(
            fails(&mut service, at(1_000)),
            0,
            "what they know they know"
        );
        let chosen = service.ask(4_000, 0, 1.0, &mut draw(0), at(2_000));
        assert_eq!(chosen, Asked::Lost, "killed");
        // Back after ten seconds; about half of 2,500, with a standard deviation of 25.
        assert_eq!(fails(&mut service, at(11_000)), 0);
        assert!((1_150..1_350).contains(&fails(&mut service, at(100_000))));
        service.api_moved(true, false, at(200_000));
        assert!(fails(&mut service, at(200_000)) > 0);
        assert_eq!(fails(&mut service, at(260_000)), 0);
        // One that is killed and comes back while an API server answers knows all at once.
        service.api_moved(false, true, at(300_000));
        assert_eq!(fails(&mut service, at(300_000)), 2_500);
    }

    #[test]
    fn over_its_limit_an_instance_is_killed_and_forgets() {
        // 54 MB to begin with and 2 kB a question: 60 MB hold 3,000 that wait.
        let mut service = service(1, 60_000_000);
        let mut ask = |questions, now| service.ask(questions, 0, 1.0, &mut draw(0), now);
        let Asked::Taken {
            instance, kills, ..
        } = ask(2_000, at(0))
        else {
            panic!("there is room");
        };
        assert_eq!(ask(2_000, at(0)), Asked::Lost);
        // Pauses of 10, 20, 40, ... 300 s; refused while it is away.
        let mut now = at(0);
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            let back = now + Duration::from_secs(pause);
            assert_eq!(ask(1, now + Duration::from_secs(pause - 1)), Asked::Refused);
            assert_eq!(ask(4_000, back), Asked::Lost, "{pause}");
            now = back;
        }
        // Ten minutes of health, and the first pause holds again.
        let later = now + Duration::from_secs(300 + 600);
        assert!(turn(ask(1, later)) > 0.0);
        assert_eq!(ask(4_000, later), Asked::Lost);
        assert!(turn(ask(1, later + Duration::from_secs(10))) > 0.0);
        assert!(!service.remembers(instance, kills));
    }

    #[test]
    fn a_cluster_too_large_for_its_dns_kills_it_at_every_question() {
        let mut service = service(1, 170 << 20);
        // 178.3 MB hold 124,257 pods and services and no more.
        for (known, holds) in [(124_000, true), (124_300, false)] {
            let asked = service.ask(2, known, 1.0, &mut draw(0), at(0));
            assert_eq!(matches!(asked, Asked::Taken { .. }), holds, "{known}");
        }
    }
}
