//! What ztunnels are told of AuthorizationPolicies: what HTTP alone knows is left away.
//!
//! Models: an ALLOW rule that says anything of HTTP is left away as a whole. Of a DENY rule only
//! the parts about HTTP are, and an alternative of which nothing is left matches nothing, so that
//! a rule about nothing but HTTP denies nobody. CUSTOM and AUDIT are not enforced.
//! Exact: which rules are left.
//! Sources: istio/istio pilot/pkg/serviceregistry/ambient/authorization.go; istio/ztunnel
//! src/rbac.rs.
//! Validated by: the tests below.

use super::authorization::{Action, Operation, Rule, Source, Values};
use super::config::AuthorizationPolicy;

/// Conditions that a ztunnel can look at.
const CONDITIONS: [&str; 5] = [
    "source.ip",
    "source.namespace",
    "source.principal",
    "destination.ip",
    "destination.port",
];

/// Policies as ztunnels enforce them.
pub fn told(policies: &[AuthorizationPolicy]) -> Vec<AuthorizationPolicy> {
    let enforced = policies
        .iter()
        .filter(|policy| matches!(policy.action, Action::Allow | Action::Deny));
    let told = enforced.map(|policy| AuthorizationPolicy {
        rules: policy
            .rules
            .iter()
            .filter_map(|rule| rule_told(rule, policy.action))
            .collect(),
        ..policy.clone()
    });
    told.collect()
}

/// Whether a rule says anything that only HTTP can tell.
pub fn needs_http(rule: &Rule) -> bool {
    let sources = rule.from.iter().any(|it| *it != of_connection(it));
    let operations = rule.to.iter().any(|it| *it != of_port(it));
    let conditions = rule.when.iter().any(|it| !is_known(&it.key));
    sources || operations || conditions
}

fn rule_told(rule: &Rule, action: Action) -> Option<Rule> {
    if needs_http(rule) && action == Action::Allow {
        return None;
    }
    let from: Vec<Source> = rule.from.iter().map(of_connection).collect();
    let to: Vec<Operation> = rule.to.iter().map(of_port).collect();
    let from = something_left(from, &Source::default())?;
    let to = something_left(to, &Operation::default())?;
    if !rule.when.iter().all(|it| is_known(&it.key)) {
        return None;
    }
    let when = rule.when.clone();
    Some(Rule { from, to, when })
}

/// Alternatives that say something; none if there were some and none is left.
fn something_left<T: PartialEq>(alternatives: Vec<T>, nothing: &T) -> Option<Vec<T>> {
    let were_some = !alternatives.is_empty();
    let mut left = alternatives;
    left.retain(|it| it != nothing);
    (left.is_empty() != were_some).then_some(left)
}

fn is_known(key: &str) -> bool {
    CONDITIONS.contains(&key)
}

fn of_connection(source: &Source) -> Source {
    Source {
        request_principals: Values::default(),
        remote_ip_blocks: Values::default(),
        ..source.clone()
    }
}

fn of_port(operation: &Operation) -> Operation {
    Operation {
        ports: operation.ports.clone(),
        ..Operation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::istio::authorization::Condition;

    fn any(value: &str) -> Values {
        Values {
            any: vec![value.to_owned()],
            none: Vec::new(),
        }
    }

    fn from(principal: &str) -> Source {
        Source {
            principals: any(principal),
            ..Source::default()
        }
    }

    fn get(ports: Values) -> Operation {
        Operation {
            methods: any("GET"),
            ports,
            ..Operation::default()
        }
    }

    #[test]
    fn rules_about_http_never_allow() {
        let plain = Rule {
            from: vec![from("a")],
            ..Rule::default()
        };
        let http = Rule {
            to: vec![get(any("80"))],
            ..plain.clone()
        };
        let token = Rule {
            when: vec![Condition {
                key: "request.auth.claims[iss]".into(),
                values: any("x"),
            }],
            ..plain.clone()
        };
        assert_eq!(rule_told(&plain, Action::Allow), Some(plain.clone()));
        assert_eq!(
            rule_told(&Rule::default(), Action::Allow),
            Some(Rule::default())
        );
        for rule in [http, token] {
            assert!(needs_http(&rule));
            assert_eq!(rule_told(&rule, Action::Allow), None);
        }
    }

    #[test]
    fn denials_lose_what_they_say_of_http() {
        let to = |operations: Vec<Operation>| Rule {
            from: vec![from("a")],
            to: operations,
            when: Vec::new(),
        };
        let port = Operation {
            ports: any("80"),
            ..Operation::default()
        };
        // Nothing is left of it: it denies nobody, rather than everybody.
        assert_eq!(
            rule_told(&to(vec![get(Values::default())]), Action::Deny),
            None
        );
        let told = rule_told(&to(vec![get(any("80"))]), Action::Deny);
        assert_eq!(told, Some(to(vec![port.clone()])));
        let mixed = to(vec![get(Values::default()), port.clone()]);
        assert_eq!(rule_told(&mixed, Action::Deny), Some(to(vec![port])));
    }
}
