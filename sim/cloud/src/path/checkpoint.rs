//! What a request has to pass in a sidecar before it comes to the application: limits of rates,
//! tokens, providers and policies, in the order of Envoy's filters.
//!
//! Models: local limits, a bucket for each descriptor of a limit, port and proxy; tokens that are checked by
//! RequestAuthentications: a bad one is refused with 401 and one for others with 403, none is
//! not, and a good one goes on only if that is said; providers of CUSTOM policies, each asked by
//! a request of its own through the sidecar; AuthorizationPolicies; a rate limit service, asked
//! likewise, that counts in fixed windows. Requests of one kind meet the same steps at the same
//! port, so these are looked for once.
//!
//! Approximated: a rate limit service counts when its answer arrives, all its pods together as
//! over one Redis, in windows that begin with the run; what a provider
//! answers follows from the behaviour of its workload. Leaves out: filters of connections that
//! an application opens.
//! Sources: istio/istio pilot/pkg/security; envoyproxy/envoy source/extensions/filters/http/
//! {ext_authz,jwt_authn,ratelimit,local_ratelimit}; envoyproxy/ratelimit src/limiter.
//! Validated by: requests that meet each of them, from manifests.

use super::Outcome;
use super::admission::Admitted;
use super::attributes::Asked;
use crate::domain::{Clock, Domain};
use crate::envoy::flags::Flag;
use crate::envoy::injection::Millionths;
use crate::envoy::rate_limit::RateLimit;
use crate::facts;
use crate::istio::config::{Quota, TokenBucket};
use crate::memo::Memo;
use crate::record::Reason;
use crate::slab::Key;
use engine::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Something that a request has to pass.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A bucket of this proxy.
    Limit(LocalBucket),
    /// It is refused.
    Refuse(Reason),
    /// A provider is asked.
    Ask {
        /// Which way to it.
        way: u32,
        /// What it answers, if it does.
        allows: bool,
        /// Whether requests pass if it does not.
        fails_open: bool,
        /// Why they are refused then.
        on_error: Reason,
    },
    /// A rate limit service is asked.
    Count {
        /// Which way to it.
        way: u32,
        /// What it counts, by numbers.
        counters: Vec<(u32, Quota)>,
        /// Whether requests are refused if it does not answer.
        denies_on_failure: bool,
    },
}

/// A bucket of a proxy's own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalBucket {
    /// Which limit of the proxy.
    pub(super) limit: u32,
    /// Which of its descriptors, from 1 on; 0 for the bucket of all requests.
    pub(super) descriptor: u32,
    /// The port of the workload.
    pub(super) port: u16,
    pub(super) tokens: TokenBucket,
    /// Of how many requests out of a million it refuses what finds no token.
    pub(super) enforced_millionths: u32,
}

/// All that requests of one kind have to pass.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) steps: Vec<Step>,
    /// What the application is asked.
    pub(super) asked: Asked,
}

/// What is asked of a connection beside who opened it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    /// Which ranges of addresses hold it.
    pub(super) holding: Vec<bool>,
    /// Its address, if requests from there are counted.
    pub(super) counted: Option<IpAddr>,
    /// The name that was asked for in TLS.
    pub(super) server_name: Option<String>,
}

/// Checkpoints by their numbers, and what rate limit services have counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints {
    pub(super) known: Memo<Admitted>,
    pub(super) all: Vec<Checkpoint>,
    /// Who is let in alike, by numbers from 1.
    standings: BTreeMap<Standing, u32>,
    /// Descriptors, in the order in which they were first met.
    pub(super) descriptors: Vec<(String, Vec<(String, String)>)>,
    /// For each of them the present window and the requests in it.
    pub(super) counts: Vec<(u64, u32)>,
}

impl Checkpoints {
    /// The number of those who are let in alike.
    pub(super) fn number_of(&mut self, standing: Standing) -> u32 {
        let next = self.standings.len() as u32 + 1;
        *self.standings.entry(standing).or_insert(next)
    }

    /// The number of a descriptor of a domain.
    pub(super) fn counter(&mut self, domain: &str, parts: Vec<(String, String)>) -> u32 {
        let wanted = (domain.to_owned(), parts);
        let known = self.descriptors.iter().position(|it| *it == wanted);
        known.unwrap_or_else(|| {
            self.descriptors.push(wanted);
            self.counts.push((0, 0));
            self.descriptors.len() - 1
        }) as u32
    }

    /// A request is counted: whether it is one too many.
    fn exceeds(&mut self, counter: u32, quota: Quota, now: Time) -> bool {
        let present = now.as_nanos() / quota.unit.as_nanos();
        let (window, count) = &mut self.counts[counter as usize];
        if *window != present {
            (*window, *count) = (present, 0);
        }
        *count = count.saturating_add(1);
        *count > quota.requests
    }
}

/// No checkpoint: nothing stands between a request and its application.
pub(super) const OPEN: u32 = u32::MAX;

impl Domain<'_> {
    /// A request goes on from the step of its checkpoint that it has come to.
    pub(super) fn pass_checkpoint(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        loop {
            let passage = &self.passages[key];
            let checkpoint = match passage.checkpoint {
                OPEN => return self.leave_checkpoint(key, context),
                checkpoint => &self.checkpoints.all[checkpoint as usize],
            };
            let Some(step) = checkpoint.steps.get(usize::from(passage.step)) else {
                let asked = checkpoint.asked;
                self.passages[key].ask_anew(asked);
                return self.leave_checkpoint(key, context);
            };
            match *step {
                Step::Limit(bucket) => {
                    if !self.finds_token(key, bucket, context.now()) {
                        return self.refuse(
                            key,
                            Reason::RateLimited,
                            Some(Flag::RateLimited),
                            context,
                        );
                    }
                    self.passages[key].step += 1;
                }
                Step::Refuse(reason) => return self.refuse(key, reason, None, context),
                Step::Ask { way, .. } | Step::Count { way, .. } => {
                    return self.ask_about(key, way, context);
                }
            }
        }
    }

    fn refuse(
        &mut self,
        key: Key,
        reason: Reason,
        flag: Option<Flag>,
        context: &mut Clock<'_, Self>,
    ) {
        if let Some(flag) = flag {
            self.passages[key].flags.set(flag);
        }
        self.passage_answered(key, Err(reason), 0, context);
    }

    /// Whether a bucket of the proxy lets a request pass.
    fn finds_token(&mut self, key: Key, of: LocalBucket, now: Time) -> bool {
        let passage = &self.passages[key];
        let (pod, identity) = (passage.pod, passage.identity.part(ENFORCED));
        let translation = self.translation.as_ref().expect("a mesh translates");
        let minor = translation.version().envoy_minor();
        let state = &mut self.pods[pod as usize];
        let workload = state.workload;
        let sidecar = state.sidecar.as_mut().expect("a sidecar that takes in");
        let since = sidecar.configured;
        let known = sidecar.buckets.iter().position(|(known, _)| *known == of);
        let position = known.unwrap_or_else(|| {
            sidecar.buckets.push((of, bucket(of.tokens, minor, since)));
            sidecar.buckets.len() - 1
        });
        if sidecar.buckets[position].1.passes(now) {
            return true;
        }
        let enforced = Millionths(of.enforced_millionths);
        let stream = &self.workloads[workload.index()].sidecars.work;
        enforced < Millionths::ALL
            && !enforced.include(&mut stream.draw(identity.request, identity.branch))
    }

    /// A service is asked about a request by a request of its own, for which this one waits.
    fn ask_about(&mut self, key: Key, way: u32, context: &mut Clock<'_, Self>) {
        let asked = self.ways.at(way).asked;
        let lead = self.ways.lead_of(way);
        let passage = &self.passages[key];
        let identity = passage.identity.part(CHECK + u64::from(passage.step));
        let mut check = passage.aside(key, identity, (way, lead), context.now());
        check.ask_anew(asked);
        let check = self.passages.insert(check);
        self.send_on(check, context);
    }

    /// A service that was asked about a request has answered, or not.
    pub(super) fn told_about(&mut self, key: Key, outcome: Outcome, context: &mut Clock<'_, Self>) {
        let Some(passage) = self.open_passage(key) else {
            return; // Its sidecar died meanwhile, or its time was up.
        };
        let checkpoint = &self.checkpoints.all[passage.checkpoint as usize];
        let refusal = match &checkpoint.steps[usize::from(passage.step)] {
            Step::Ask {
                allows,
                fails_open,
                on_error,
                ..
            } => {
                let refused = match outcome {
                    Ok(()) => (!allows).then_some(Reason::Forbidden),
                    Err(Reason::Forbidden) => Some(Reason::Forbidden),
                    Err(_) => (!fails_open).then_some(*on_error),
                };
                refused.map(|reason| (reason, Flag::Unauthorized))
            }
            Step::Count {
                counters,
                denies_on_failure,
                ..
            } => match outcome {
                Ok(()) => {
                    let counters = counters.clone();
                    let exceeds = counters
                        .into_iter()
                        .fold(false, |exceeds, (counter, quota)| {
                            self.checkpoints.exceeds(counter, quota, context.now()) || exceeds
                        });
                    exceeds.then_some((Reason::RateLimited, Flag::RateLimited))
                }
                Err(_) => {
                    denies_on_failure.then_some((Reason::ServerError, Flag::RateLimitService))
                }
            },
            Step::Limit(..) | Step::Refuse(_) => unreachable!("nobody is asked about these"),
        };
        match refusal {
            Some((reason, flag)) => self.refuse(key, reason, Some(flag), context),
            None => {
                self.passages[key].step += 1;
                self.pass_checkpoint(key, context);
            }
        }
    }
}

/// A bucket as this release of Envoy keeps it.
fn bucket(tokens: TokenBucket, minor: u32, since: Time) -> RateLimit {
    let (max, fill, interval) = (
        tokens.tokens_max,
        tokens.tokens_per_fill,
        tokens.fill_interval,
    );
    match minor >= facts::ENVOY_STEADY_LIMIT_FROM_MINOR.value {
        true => RateLimit::steady(max, fill, interval),
        false => RateLimit::timed(max, fill, interval, since),
    }
}

/// The part of a passage's draws that decides whether a limit is enforced.
const ENFORCED: u64 = 1 << 32;
/// The first of the parts that belong to what is asked about it.
const CHECK: u64 = ENFORCED + 1;
