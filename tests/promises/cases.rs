//! Situations, what is asked in them, and what comes of it: for promises that are tables.

use crate::support::{Manifests, Mesh, faultless};
use cloud::envoy::flags::Flags;
use cloud::istio::authorization::Token;
use cloud::record::{Reason, Record, Reporter};
use cloud::scenario::{Presented, Role, Scenario};
use cloud::{Options, compile, simulate};
use engine::Seed;
use std::collections::BTreeSet;

/// Requests of each case.
const REQUESTS: u64 = 4;

/// A workload `namespace/name` of one pod, with labels and annotations of its pods besides `app`.
pub fn workload(name: &str, labels: &str, annotations: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{labels}}}, annotations: {{{annotations}}}}}
    spec: {{serviceAccountName: {name}, containers: [{{name: main, image: i}}]}}
---
"
    )
}

/// A Service of that name in front of pods with its name as `app`; ports as `name:number`, where
/// what its pods listen at is a thousand more. More of its spec ends in a comma.
pub fn service(name: &str, ports: &str, more: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let ports = ports.split(' ').filter_map(|it| it.split_once(':'));
    let port = |(name, number): (&str, &str)| {
        let number: u16 = number.parse().expect("a port");
        let target = number + 1000;
        format!("{{name: {name}, port: {number}, targetPort: {target}}}")
    };
    let ports: Vec<String> = ports.map(port).collect();
    let ports = ports.join(", ");
    let selector = match more.contains("selector") {
        true => String::new(),
        false => format!("selector: {{app: {name}}}, "),
    };
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{more}{selector}ports: [{ports}]}}
---
"
    )
}

/// Both of them.
pub fn served(name: &str, ports: &str) -> String {
    workload(name, "", "") + &service(name, ports, "")
}

/// An object of Istio, as `group/Kind`, `namespace/name` and its spec.
pub fn object(kind: &str, name: &str, spec: &str) -> String {
    let (group, kind) = kind.split_once('/').expect("a group and a kind");
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "
apiVersion: {group}.istio.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
---
"
    )
}

/// The pods of a workload are not in the mesh.
pub const NAKED: &str = ", sidecar.istio.io/inject: \"false\"";

/// What is asked: by whom, and of whom.
#[derive(Clone, Debug, Default)]
pub struct Ask<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub path: &'a str,
    pub method: &'a str,
    pub host: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub token: Option<Presented>,
}

impl<'a> Ask<'a> {
    pub fn new(from: &'a str, to: &'a str) -> Self {
        Ask {
            from,
            to,
            ..Ask::default()
        }
    }

    pub fn path(self, path: &'a str) -> Self {
        Ask { path, ..self }
    }

    pub fn method(self, method: &'a str) -> Self {
        Ask { method, ..self }
    }

    pub fn host(self, host: &'a str) -> Self {
        Ask { host, ..self }
    }

    pub fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Ask { headers, ..self }
    }

    pub fn token(self, token: Presented) -> Self {
        let token = Some(token);
        Ask { token, ..self }
    }
}

/// A good token of an issuer about a subject, with claims.
pub fn token(issuer: &str, subject: &str, claims: &[(&str, &str)]) -> Presented {
    let claims = claims.iter();
    Presented {
        token: Token {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            claims: claims
                .map(|(name, value)| (name.to_string(), vec![value.to_string()]))
                .collect(),
            ..Token::default()
        },
        is_valid: true,
    }
}

/// A situation.
pub struct World {
    pub manifests: String,
    pub behavior: String,
    pub more: String,
    pub istio: String,
}

impl World {
    pub fn new(manifests: String) -> Self {
        World {
            manifests,
            behavior: String::new(),
            more: String::new(),
            istio: "version: \"1.30\", injectedNamespaces: [default, other]".to_owned(),
        }
    }

    /// It with somebody who asks somebody.
    fn scenario(&self, ask: &Ask<'_>) -> Scenario {
        let (from, to) = (ask.from, ask.to);
        let behavior = match self.behavior.as_str() {
            "" => String::new(),
            said => format!("  behavior:\n{said}"),
        };
        let spec = format!(
            "{more}{behavior}  users: [{{name: people, region: local}}]
  traffic:
    - {{name: asked, from: {from}, to: \"http://{to}/\", arrivals: {{constant: 2/s}}, timeout: 1s}}
  run: {{duration: 2s, analysis: terminating, replications: 1}}
",
            more = self.more,
        );
        let mesh = Mesh {
            istio: &self.istio,
            nodes: (1, "cpu: 16, memory: 32Gi"),
            ..Mesh::default()
        };
        faultless(mesh.load(&spec, &Manifests(self.manifests.clone())))
    }

    /// What one replication leaves behind in which it is asked.
    pub fn record(&self, ask: &Ask<'_>) -> (Scenario, Record) {
        let mut scenario = self.scenario(ask);
        let attributes = &mut scenario.traffic[0].attributes;
        let put = |text: &mut String, said: &str| {
            if !said.is_empty() {
                said.clone_into(text);
            }
        };
        put(&mut attributes.path, ask.path);
        put(&mut attributes.method, ask.method);
        put(&mut attributes.host, ask.host);
        let headers = ask.headers.iter();
        attributes.headers = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_string()))
            .collect();
        attributes.token.clone_from(&ask.token);
        let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
        (scenario, record)
    }

    /// Who answers, `answer` for an answer of a proxy, or the status with its flags; of what never
    /// came to a proxy that writes a log, what happened to it.
    pub fn outcome(&self, ask: &Ask<'_>) -> String {
        let (scenario, record) = self.record(ask);
        let traffic = &record.traffic[0];
        if traffic.succeeded == REQUESTS {
            let mut answering = all_arrived(&scenario, &record);
            return answering.pop_last().unwrap_or("answer".to_owned());
        }
        let mut reasons = Reason::ALL.into_iter();
        let reason = reasons.find(|it| traffic.failures[*it as usize] == REQUESTS);
        let Some(reason) = reason else {
            return format!("mixed: {} of {:?}", traffic.succeeded, traffic.failures);
        };
        if matches!(reason, Reason::Reset | Reason::Refused | Reason::Timeout) {
            return format!("{reason:?}").to_lowercase();
        }
        let of = |reporter| {
            let records = record
                .flags
                .iter()
                .filter(move |it| it.reporter == reporter);
            let logged = records.flat_map(|it| it.counts.keys());
            logged.filter(|(status, _)| *status >= 400)
        };
        let mut logged = of(Reporter::Source).chain(of(Reporter::Destination));
        let status = logged.next().map_or(reason.status(), |(status, _)| *status);
        let mut all = of(Reporter::Source).chain(of(Reporter::Destination));
        match all.find(|(_, flags)| *flags != Flags::default()) {
            Some((_, flags)) => format!("{status} {flags}"),
            None => status.to_string(),
        }
    }

    /// Compares what comes of each.
    pub fn check(&self, expected: &[(Ask<'_>, &str)]) {
        let wrong: Vec<String> = expected
            .iter()
            .filter_map(|(ask, wanted)| {
                let found = self.outcome(ask);
                (found != *wanted).then(|| format!("{found}, not {wanted}: {ask:?}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), self.manifests);
    }
}

/// Workloads that every request came to; proxies that stand alone come first.
fn all_arrived(scenario: &Scenario, record: &Record) -> BTreeSet<String> {
    let arrived = record.workloads.iter().filter(|it| it.arrived == REQUESTS);
    let named = arrived.map(|it| {
        let cluster = &scenario.clusters[it.cluster.index()];
        &cluster.workloads[it.workload.index()]
    });
    let applications = named.filter(|it| {
        let sidecar = it.template.sidecar.as_ref();
        sidecar.is_none_or(|it| it.role == Role::Sidecar)
    });
    applications.map(|it| it.name.clone()).collect()
}
