//! istiod fetches keys of tokens from where RequestAuthentications say that they are.
//!
//! Models: a source that is a service of the cluster answers while a pod behind it is ready and
//! takes plaintext, since istiod is no part of the mesh; a proxy that is told of keys while these
//! are missing refuses all tokens of their issuer; as soon as they are found everybody is told.
//! An istiod that has ended has to fetch all keys anew, and so has to find their sources.
//!
//! Approximated: fetching takes no time, whether or not it succeeds; what one proxy is told of
//! keys is known to others that are told something then. Sources elsewhere always answer.
//! Leaves out: keys that Envoy fetches itself (`PILOT_JWT_ENABLE_REMOTE_JWKS`).
//! Sources: [`crate::istio::jwks`]; istio/istio pilot/pkg/security/authn/policy_applier.go.
//! Validated by: requests with tokens while a source is away, in the crate's tests.

use super::api::Client;
use super::taken_in::Taker;
use crate::domain::{Clock, Domain, Event, Phase};
use crate::facts;
use crate::istio::authentication::ServerMode;
use crate::istio::config::{Object, TokenIssuer};
use crate::istio::jwks::{self, Keys};
use crate::istio::push::Push;
use engine::{Duration, Time};

/// A source of keys, as istiod knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    issuer: String,
    uri: String,
    timeout: Duration,
    keys: Keys,
    /// How often they were searched for.
    searches: u32,
}

impl Source {
    fn of(issuer: &TokenIssuer) -> Option<Source> {
        Some(Source {
            issuer: issuer.issuer.clone(),
            uri: issuer.keys_uri.clone()?,
            timeout: issuer.timeout.unwrap_or(facts::ISTIOD_KEYS_TIMEOUT.value),
            keys: Keys::Missing,
            searches: 0,
        })
    }

    fn is_of(&self, issuer: &TokenIssuer) -> bool {
        self.issuer == issuer.issuer && Some(&self.uri) == issuer.keys_uri.as_ref()
    }
}

/// A try of a search for keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    source: u32,
    search: u32,
    number: u32,
}

impl Domain<'_> {
    /// istiod has long known the keys of sources that are there.
    pub(crate) fn start_keys(&mut self) {
        if self.istiod.is_none() {
            return;
        }
        self.list_sources();
        self.fetch_missing();
        if self.note_keys(Time::ZERO) {
            let newest = self.translation.as_ref().expect("a mesh").newest();
            self.istiod.as_mut().expect("a mesh").generation = newest;
            for pod in &mut self.pods {
                if let Some(sidecar) = &mut pod.sidecar {
                    sidecar.generation = newest;
                }
            }
        }
    }

    /// Proxies are told of keys: those that are missing are fetched, or searched for.
    pub(super) fn look_for_keys(&mut self, context: &mut Clock<'_, Self>) {
        self.list_sources();
        let istiod = self.istiod.as_mut().expect("it tells");
        if istiod.sources.iter().all(|it| it.keys != Keys::Missing) {
            return;
        }
        for source in self.fetch_missing() {
            let known = &mut self.istiod.as_mut().expect("it tells").sources[source as usize];
            known.keys = Keys::Sought;
            known.searches += 1;
            let first = Try {
                source,
                search: known.searches,
                number: 0,
            };
            self.search(first, context);
        }
        self.note_keys(context.now());
    }

    /// istiod has ended, and what it knew of keys with it.
    pub(super) fn keys_are_forgotten(&mut self) {
        let istiod = self.istiod.as_mut().expect("it has ended");
        istiod
            .sources
            .iter_mut()
            .for_each(|source| source.keys = Keys::Missing);
    }

    /// Sources that Istio's objects name and that are not known yet.
    fn list_sources(&mut self) {
        let Some(translation) = &self.translation else {
            return;
        };
        let objects = translation.objects(translation.newest());
        let istiod = self.istiod.as_mut().expect("a mesh");
        let all = objects.request_authentications.iter();
        for issuer in all.flat_map(|it| &it.issuers) {
            if !istiod.sources.iter().any(|known| known.is_of(issuer)) {
                istiod.sources.extend(Source::of(issuer));
            }
        }
    }

    /// Fetches keys that are missing; returns the sources that have not answered.
    fn fetch_missing(&mut self) -> Vec<u32> {
        let sources = self
            .istiod
            .as_ref()
            .map_or(0, |istiod| istiod.sources.len());
        let mut silent = Vec::new();
        for source in 0..sources as u32 {
            let known = &self.istiod.as_ref().expect("a mesh").sources[source as usize];
            if known.keys != Keys::Missing {
                continue;
            }
            match self.source_answers(source) {
                true => {
                    self.istiod.as_mut().expect("a mesh").sources[source as usize].keys = Keys::Held
                }
                false => silent.push(source),
            }
        }
        silent
    }

    /// The tries of a search, of which the first comes at once.
    fn search(&mut self, it: Try, context: &mut Clock<'_, Self>) {
        if let Some(pause) = jwks::pause_after(it.number) {
            let next = Try {
                number: it.number + 1,
                ..it
            };
            context.after(pause, Event::KeysSought(next));
        }
    }

    /// istiod tries again to fetch keys.
    pub(crate) fn keys_sought(&mut self, it: Try, context: &mut Clock<'_, Self>) {
        let acts = self.acts(Client::Istiod);
        let Some(istiod) = self.istiod.as_mut().filter(|_| acts) else {
            return;
        };
        let Some(source) = istiod.sources.get(it.source as usize) else {
            return; // Of an istiod that has ended.
        };
        if (source.keys, source.searches) != (Keys::Sought, it.search) {
            return;
        }
        let in_time = jwks::is_in_time(it.number, source.timeout);
        let found = in_time && self.source_answers(it.source);
        let istiod = self.istiod.as_mut().expect("it seeks");
        let source = &mut istiod.sources[it.source as usize];
        if found {
            source.keys = Keys::Held;
            self.note_keys(context.now());
            self.push_soon(Push::forced(context.now()), context);
        } else if jwks::pause_after(it.number).is_none() {
            source.keys = Keys::Missing;
        } else {
            self.search(it, context);
        }
    }

    /// Whether a source answers istiod.
    fn source_answers(&mut self, source: u32) -> bool {
        let istiod = self.istiod.as_ref().expect("it asks");
        let source = &istiod.sources[source as usize];
        let translation = self.translation.as_ref().expect("a mesh translates");
        let Some((host, port)) = jwks::address(&source.uri) else {
            return true;
        };
        let Some((service, position)) = translation.service_named(host, port) else {
            return true;
        };
        let cluster = self.cluster.expect("services stand in clusters");
        let described = &self.topology.cluster(cluster).services[service as usize];
        let Some(target) = position.map(|position| described.ports[position].target_port) else {
            return false;
        };
        let backends = self.services[service as usize].backends;
        (0..self.pods.len() as u32).any(|pod| {
            let state = &self.pods[pod as usize];
            let is_there = backends.contains(&state.workload)
                && state.ready
                && state.phase == Phase::Running
                && state
                    .node
                    .is_none_or(|node| self.levers.node(node).is_none())
                && self.machine_off(pod).is_none();
            is_there && self.takes_plaintext(pod, target)
        })
    }

    /// Whether who is no part of the mesh may connect to a port of a pod.
    fn takes_plaintext(&mut self, pod: u32, port: u16) -> bool {
        let Some(sidecar) = &self.pods[pod as usize].sidecar else {
            return true;
        };
        let told = (sidecar.generation, sidecar.view);
        let number = self.table_number(Taker::Sidecar, pod, told);
        self.table(number, pod).mode(port) != ServerMode::Strict
    }

    /// Writes into what proxies are told whether keys are there; returns whether that has changed.
    fn note_keys(&mut self, now: Time) -> bool {
        let (Some(translation), Some(istiod)) = (&mut self.translation, &mut self.istiod) else {
            return false;
        };
        let newest = translation.newest();
        let mut changed = Vec::new();
        for known in &translation.objects(newest).request_authentications {
            let mut noted = known.clone();
            for issuer in &mut noted.issuers {
                let source = istiod.sources.iter().find(|source| source.is_of(issuer));
                issuer.lacks_keys = source.is_some_and(|source| source.keys != Keys::Held);
            }
            if noted != *known {
                changed.push(Object::from(noted));
            }
        }
        if changed.is_empty() {
            return false;
        }
        translation.write(&changed, now);
        if istiod.generation == newest {
            istiod.generation = translation.newest();
        }
        true
    }
}
