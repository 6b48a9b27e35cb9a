//! AuthorizationPolicies: who may do what.
//!
//! Models: which policies select a workload; the order CUSTOM, DENY, ALLOW, with AUDIT on the
//! side; rules as any of `from`, any of `to` and all of `when`; what fields that only HTTP has
//! mean on a port that is not HTTP: such a rule never allows, and denies as if they matched.
//! Approximated: custom providers answer as the caller says; a path is matched without its query.
//! Leaves out: policies that are attached to gateways and waypoints by reference; metadata of
//! Envoy's own filters as a condition; what policies in a dry run would have done.
//! Sources: istio/istio pilot/pkg/security/authz/{builder,model,matcher},
//! pilot/pkg/model/authorization.go.
//! Validated by: cases that follow from the rules and properties of the order, in `tests`.

mod matching;
#[cfg(test)]
mod tests;

pub use matching::{Addresses, Asked, Http, Token};

use super::authentication::selects;
use super::config::{AuthorizationPolicy, Labels, OnBehalf, PolicyTarget};
use matching::{Field, Test, Unusable};

/// What a policy does with what its rules match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Lets it through.
    #[default]
    Allow,
    /// Refuses it.
    Deny,
    /// Writes it down.
    Audit,
    /// Asks a provider.
    Custom,
}

/// A field of values of which one has to match, and of values of which none may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// One of these, if there are any.
    pub any: Vec<String>,
    /// None of these.
    pub none: Vec<String>,
}

/// Who asks. Fields that are left away say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Identities, as `cluster.local/ns/shop/sa/web`.
    pub principals: Values,
    /// Issuer and subject of a token, as `issuer/subject`.
    pub request_principals: Values,
    /// Namespaces of identities.
    pub namespaces: Values,
    /// Service accounts, as `web` in the policy's namespace, or `shop/web`.
    pub service_accounts: Values,
    /// Trust domains of identities.
    pub trust_domains: Values,
    /// Ranges of the address that the connection comes from.
    pub ip_blocks: Values,
    /// Ranges of the address that the request says it comes from.
    pub remote_ip_blocks: Values,
}

/// What is asked for. Fields that are left away say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// Hosts, in any case.
    pub hosts: Values,
    /// The workload's ports.
    pub ports: Values,
    /// Methods.
    pub methods: Values,
    /// Paths, or templates of them with `{*}` and `{**}`.
    pub paths: Values,
}

/// A further condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The attribute, as `request.headers[x]`.
    pub key: String,
    /// Its values.
    pub values: Values,
}

/// A rule: any of `from`, any of `to`, all of `when`. An empty list says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Who.
    pub from: Vec<Source>,
    /// What.
    pub to: Vec<Operation>,
    /// When.
    pub when: Vec<Condition>,
}

/// A rule made ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ready {
    who: Vec<Vec<Field>>,
    what: Vec<Vec<Field>>,
}

/// A policy made ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReadyPolicy {
    /// Its place in the list that it comes from.
    index: usize,
    action: Action,
    provider: String,
    rules: Vec<Ready>,
}

/// The policies of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    policies: Vec<ReadyPolicy>,
    /// Ranges of addresses that they ask for.
    ranges: Vec<Test>,
    /// Whether they ask for the name in TLS.
    asks_for_names: bool,
}

/// What a provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Allow,
    /// Refuse. A provider that the mesh does not know, or that fails, counts as this.
    Deny,
}

/// What becomes of a request, and by which policy, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No ALLOW policy selects the workload.
    Unguarded,
    /// One allows it.
    Allowed(usize),
    /// A provider refuses it.
    RefusedByProvider(usize),
    /// A DENY policy refuses it.
    Denied(usize),
    /// ALLOW policies select the workload, and none allows it.
    NotAllowed,
}

impl Verdict {
    /// Whether the request goes on: if not, HTTP answers 403 and other connections are closed.
    pub fn lets_through(self) -> bool {
        matches!(self, Verdict::Unguarded | Verdict::Allowed(_))
    }
}

impl Guard {
    /// The policies of a workload, out of all.
    pub fn of(
        policies: &[AuthorizationPolicy],
        root_namespace: &str,
        namespace: &str,
        labels: &Labels,
    ) -> Self {
        let all = policies.iter().enumerate();
        let ours = all.filter(|(_, policy)| {
            let is_ours = match &policy.target {
                PolicyTarget::Everybody => true,
                PolicyTarget::Selected(selector) => selects(selector, labels),
                PolicyTarget::References(_) => false,
            };
            let of = policy.identity.namespace.as_str();
            is_ours && !policy.is_dry_run && [root_namespace, namespace].contains(&of)
        });
        Guard::with(ours.map(|(index, policy)| ready(index, policy)).collect())
    }

    /// The policies of a waypoint on behalf of a service.
    pub fn at_waypoint(policies: &[AuthorizationPolicy], on: OnBehalf<'_>) -> Self {
        let all = policies.iter().enumerate();
        let ours = all.filter(|(_, policy)| {
            let of = policy.identity.namespace.as_str();
            !policy.is_dry_run && policy.target.is_attached(of, on)
        });
        Guard::with(ours.map(|(index, policy)| ready(index, policy)).collect())
    }

    fn with(policies: Vec<ReadyPolicy>) -> Self {
        let rules = policies.iter().flat_map(|policy| &policy.rules);
        let mut fields = rules.flat_map(|rule| rule.who.iter().chain(&rule.what).flatten());
        let ranges = fields.clone().flat_map(Field::ranges).cloned();
        Guard {
            ranges: ranges.collect(),
            asks_for_names: fields.any(Field::asks_for_names),
            policies,
        }
    }

    /// Whether it matters where a request comes from, or to which pod it goes.
    pub fn asks_for_addresses(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// Whether it matters which name a client asks for in TLS.
    pub fn asks_for_names(&self) -> bool {
        self.asks_for_names
    }

    /// Which of the ranges that it asks for hold these: who is held by the same is let in alike.
    pub fn holding(&self, addresses: Addresses) -> Vec<bool> {
        let ranges = self.ranges.iter();
        ranges.map(|range| range.holds(addresses)).collect()
    }

    /// Whether nothing selects the workload.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    fn of_action(&self, action: Action) -> impl Iterator<Item = &ReadyPolicy> {
        self.policies.iter().filter(move |it| it.action == action)
    }

    /// Providers of the CUSTOM policies that match, each once.
    pub fn providers(&self, asked: &Asked<'_>) -> Vec<&str> {
        let mut providers = Vec::new();
        for policy in self.of_action(Action::Custom) {
            let name = policy.provider.as_str();
            if policy.matches(asked) && !providers.contains(&name) {
                providers.push(name);
            }
        }
        providers
    }

    /// Whether its CUSTOM policies name more than one provider, which istiod takes for a mistake.
    pub fn names_several_providers(&self) -> bool {
        let mut all = self.of_action(Action::Custom).map(|it| &it.provider);
        let first = all.next();
        all.any(|other| Some(other) != first)
    }

    /// What becomes of a request. `provider` is asked for each CUSTOM policy that matches.
    pub fn decide(&self, asked: &Asked<'_>, provider: impl Fn(&str) -> Answer) -> Verdict {
        let refuses =
            |it: &&ReadyPolicy| it.matches(asked) && provider(&it.provider) == Answer::Deny;
        if let Some(policy) = self.of_action(Action::Custom).find(refuses) {
            return Verdict::RefusedByProvider(policy.index);
        }
        let matches = |it: &&ReadyPolicy| it.matches(asked);
        if let Some(policy) = self.of_action(Action::Deny).find(matches) {
            return Verdict::Denied(policy.index);
        }
        if self.of_action(Action::Allow).next().is_none() {
            return Verdict::Unguarded;
        }
        match self.of_action(Action::Allow).find(matches) {
            Some(policy) => Verdict::Allowed(policy.index),
            None => Verdict::NotAllowed,
        }
    }

    /// Whether an AUDIT policy writes the request down.
    pub fn is_audited(&self, asked: &Asked<'_>) -> bool {
        self.of_action(Action::Audit).any(|it| it.matches(asked))
    }
}

impl ReadyPolicy {
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let unusable = match self.action {
            Action::Allow => Unusable::NeverMatches,
            Action::Deny | Action::Audit | Action::Custom => Unusable::IsIgnored,
        };
        // An unusable field takes the whole rule with it, not only its own alternative.
        let is_sound = |rule: &Ready| {
            unusable == Unusable::IsIgnored
                || rule
                    .who
                    .iter()
                    .chain(&rule.what)
                    .flatten()
                    .all(|field| field.is_usable(asked))
        };
        let any = |alternatives: &[Vec<Field>]| {
            let mut alternatives = alternatives.iter();
            alternatives.any(|all| all.iter().all(|field| field.matches(asked)))
        };
        let mut rules = self.rules.iter();
        rules.any(|rule| is_sound(rule) && any(&rule.who) && any(&rule.what))
    }
}

fn ready(index: usize, policy: &AuthorizationPolicy) -> ReadyPolicy {
    let rules = policy.rules.iter();
    ReadyPolicy {
        index,
        action: policy.action,
        provider: policy.provider.clone().unwrap_or_default(),
        rules: rules
            .filter_map(|rule| ready_rule(rule, &policy.identity.namespace))
            .collect(),
    }
}

/// A rule with a condition that nobody knows is left away.
fn ready_rule(rule: &Rule, namespace: &str) -> Option<Ready> {
    let mut who_when = Vec::new();
    let mut what_when = Vec::new();
    for condition in &rule.when {
        let field = Field::of_key(&condition.key, &condition.values, namespace)?;
        if field.is_about_what() {
            what_when.push(field);
        } else {
            who_when.push(field);
        }
    }
    Some(Ready {
        who: alternatives(&rule.from, &who_when, |it| it.fields(namespace)),
        what: alternatives(&rule.to, &what_when, Operation::fields),
    })
}

/// Each alternative with what always has to hold; that alone if there are none.
fn alternatives<T>(
    list: &[T],
    always: &[Field],
    fields: impl Fn(&T) -> Vec<Field>,
) -> Vec<Vec<Field>> {
    if list.is_empty() {
        return vec![always.to_vec()];
    }
    let each = list.iter();
    each.map(|it| [fields(it), always.to_vec()].concat())
        .collect()
}

impl Source {
    fn fields(&self, namespace: &str) -> Vec<Field> {
        let account = |value: &str| Test::service_account(value, namespace);
        let fields = [
            Field::of(&self.principals, Test::principal),
            Field::of(&self.request_principals, Test::request_principal),
            Field::of(&self.namespaces, Test::namespace),
            Field::of(&self.service_accounts, account),
            Field::of(&self.trust_domains, Test::trust_domain),
            Field::of(&self.ip_blocks, Test::source_ip),
            Field::of(&self.remote_ip_blocks, Test::remote_ip),
        ];
        fields.into_iter().flatten().collect()
    }
}

impl Operation {
    fn fields(&self) -> Vec<Field> {
        let fields = [
            Field::of(&self.hosts, Test::host),
            Field::of(&self.methods, Test::method),
            Field::of(&self.paths, Test::path),
            Field::of(&self.ports, Test::destination_port),
        ];
        fields.into_iter().flatten().collect()
    }
}
