use super::super::config::{Created, Identity};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

const WEB: &str = "cluster.local/ns/shop/sa/web";

fn any(values: &[&str]) -> Values {
    Values {
        any: values.iter().map(|it| it.to_string()).collect(),
        none: Vec::new(),
    }
}

fn none(values: &[&str]) -> Values {
    Values {
        any: Vec::new(),
        none: values.iter().map(|it| it.to_string()).collect(),
    }
}

fn policy(action: Action, rules: Vec<Rule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        identity: Identity {
            namespace: "shop".to_owned(),
            name: "p".to_owned(),
            created: Created::Before(0),
        },
        target: PolicyTarget::Everybody,
        action,
        provider: Some("asks".to_owned()),
        rules,
        is_dry_run: false,
    }
}

fn methods(values: &[&str]) -> Rule {
    Rule {
        to: vec![Operation {
            methods: any(values),
            ..Operation::default()
        }],
        ..Rule::default()
    }
}

fn from(source: Source) -> Rule {
    Rule {
        from: vec![source],
        ..Rule::default()
    }
}

fn everything() -> Rule {
    Rule::default()
}

fn guard(policies: &[AuthorizationPolicy]) -> Guard {
    let labels = Labels::from([("app".to_owned(), "db".to_owned())]);
    Guard::of(policies, "istio-system", "shop", &labels)
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

static NO_HEADERS: BTreeMap<String, String> = BTreeMap::new();

fn tcp(principal: Option<&str>) -> Asked<'_> {
    Asked {
        principal,
        source: address(1),
        remote: address(2),
        destination: address(3),
        port: 8080,
        server_name: None,
        http: None,
    }
}

fn http<'a>(principal: Option<&'a str>, method: &'a str) -> Asked<'a> {
    Asked {
        http: Some(Http {
            method,
            host: "Db.Shop.svc",
            path: "/rows/7?page=2",
            headers: &NO_HEADERS,
            token: None,
        }),
        ..tcp(principal)
    }
}

fn passes(policies: &[AuthorizationPolicy], asked: &Asked<'_>, answer: Answer) -> bool {
    guard(policies).decide(asked, |_| answer).lets_through()
}

#[test]
fn twelve_cases_that_follow_from_the_rules() {
    use Action::*;
    let get = http(Some(WEB), "GET");
    let post = http(Some(WEB), "POST");
    let plain = http(None, "GET");
    let yes = Answer::Allow;
    // 1: nothing allows everything; 2: a policy without rules allows nothing.
    assert!(passes(&[], &get, yes));
    assert!(!passes(&[policy(Allow, vec![])], &get, yes));
    // 3: what is not allowed is refused.
    let allows_get = policy(Allow, vec![methods(&["GET"])]);
    assert!(passes(std::slice::from_ref(&allows_get), &get, yes));
    assert!(!passes(std::slice::from_ref(&allows_get), &post, yes));
    // 4: DENY comes before ALLOW.
    let denies_get = policy(Deny, vec![methods(&["GET"])]);
    assert!(!passes(
        &[allows_get.clone(), denies_get.clone()],
        &get,
        yes
    ));
    // 5: a provider that allows is enough without ALLOW; 6: but not against DENY.
    let custom = policy(Custom, vec![everything()]);
    assert!(passes(std::slice::from_ref(&custom), &get, yes));
    assert!(!passes(std::slice::from_ref(&custom), &get, Answer::Deny));
    assert!(!passes(&[custom, denies_get.clone()], &get, yes));
    // 7: without mutual TLS there is no principal to allow.
    let principal = |principals| {
        from(Source {
            principals,
            ..Source::default()
        })
    };
    let allows_web = policy(Allow, vec![principal(any(&[WEB]))]);
    assert!(passes(std::slice::from_ref(&allows_web), &get, yes));
    assert!(!passes(std::slice::from_ref(&allows_web), &plain, yes));
    // 8: whoever has none can be denied.
    let denies_nobody = policy(Deny, vec![principal(none(&["*"]))]);
    assert!(passes(std::slice::from_ref(&denies_nobody), &get, yes));
    assert!(!passes(std::slice::from_ref(&denies_nobody), &plain, yes));
    // 9 and 10: fields of HTTP on another port never allow, and deny all.
    assert!(!passes(
        std::slice::from_ref(&allows_get),
        &tcp(Some(WEB)),
        yes
    ));
    assert!(!passes(&[denies_get], &tcp(Some(WEB)), yes));
    // 11: a policy of the root namespace for other workloads is nobody's business here.
    let mut elsewhere = policy(Allow, vec![methods(&["GET"])]);
    elsewhere.identity.namespace = "istio-system".to_owned();
    elsewhere.target = PolicyTarget::Selected(Labels::from([("app".to_owned(), "web".to_owned())]));
    assert!(passes(std::slice::from_ref(&elsewhere), &post, yes));
    elsewhere.target = PolicyTarget::Everybody;
    assert!(!passes(&[elsewhere], &post, yes));
    // 12: AUDIT never decides.
    let audit = [policy(Audit, vec![everything()])];
    assert!(passes(&audit, &get, yes) && guard(&audit).is_audited(&get));
    // `rules: [{}]` allows all.
    assert!(passes(&[policy(Allow, vec![everything()])], &post, yes));
}

/// Whether a rule matches a request by HTTP.
fn matches(rule: Rule, asked: &Asked<'_>) -> bool {
    let allows = passes(
        &[policy(Action::Allow, vec![rule.clone()])],
        asked,
        Answer::Allow,
    );
    let denies = !passes(&[policy(Action::Deny, vec![rule])], asked, Answer::Allow);
    assert_eq!(allows, denies, "on HTTP, what allows denies");
    allows
}

#[test]
fn fields_of_sources() {
    let asked = http(Some(WEB), "GET");
    let is = |source: fn(Values) -> Source, values: Values| matches(from(source(values)), &asked);
    let principals: fn(Values) -> Source = |principals| Source {
        principals,
        ..Source::default()
    };
    let held = [
        any(&["*"]),
        any(&["x", WEB]),
        any(&["*/web"]),
        any(&["cluster.local/*"]),
    ];
    assert!(held.into_iter().all(|values| is(principals, values)));
    assert!(!is(principals, any(&["*/db"])) && !is(principals, none(&["*/web"])));
    let namespaces: fn(Values) -> Source = |namespaces| Source {
        namespaces,
        ..Source::default()
    };
    assert!(is(namespaces, any(&["shop"])) && is(namespaces, any(&["s*p"])));
    assert!(!is(namespaces, any(&["sho"])) && !is(namespaces, none(&["shop"])));
    let accounts: fn(Values) -> Source = |service_accounts| Source {
        service_accounts,
        ..Source::default()
    };
    assert!(is(accounts, any(&["web"])) && is(accounts, any(&["shop/web"])));
    assert!(!is(accounts, any(&["bank/web"])));
    let domains: fn(Values) -> Source = |trust_domains| Source {
        trust_domains,
        ..Source::default()
    };
    assert!(is(domains, any(&["cluster.local"])) && is(domains, any(&["*.local"])));
    assert!(!is(domains, any(&["other"])));
    let blocks: fn(Values) -> Source = |ip_blocks| Source {
        ip_blocks,
        ..Source::default()
    };
    assert!(is(blocks, any(&["10.0.0.0/30"])) && is(blocks, any(&["10.0.0.1"])));
    assert!(!is(blocks, any(&["10.0.0.2"])) && !is(blocks, none(&["10.0.0.0/8"])));
    let remote: fn(Values) -> Source = |remote_ip_blocks| Source {
        remote_ip_blocks,
        ..Source::default()
    };
    assert!(is(remote, any(&["10.0.0.2"])) && !is(remote, any(&["10.0.0.1"])));
}

#[test]
fn fields_of_operations() {
    let asked = http(Some(WEB), "GET");
    let is = |operation| {
        let to = vec![operation];
        matches(
            Rule {
                to,
                ..Rule::default()
            },
            &asked,
        )
    };
    let paths = |values: &[&str]| {
        is(Operation {
            paths: any(values),
            ..Operation::default()
        })
    };
    assert!(paths(&["/rows/7"]) && paths(&["/rows/*"]) && paths(&["*/7"]));
    assert!(paths(&["/rows/{*}"]) && paths(&["/{**}"]) && paths(&["/{*}/7"]));
    assert!(!paths(&["/rows"]) && !paths(&["/{*}"]) && !paths(&["/rows/{*}/{*}"]));
    let hosts = |values: &[&str]| {
        is(Operation {
            hosts: any(values),
            ..Operation::default()
        })
    };
    assert!(hosts(&["DB.shop.SVC"]) && hosts(&["*.svc"]) && !hosts(&["shop"]));
    let ports = |ports| {
        is(Operation {
            ports,
            ..Operation::default()
        })
    };
    assert!(ports(any(&["8080"])) && !ports(any(&["80"])) && !ports(none(&["8080"])));
    // Fields of one operation have to hold together.
    assert!(!is(Operation {
        methods: any(&["GET"]),
        ports: any(&["80"]),
        ..Operation::default()
    }));
}

#[test]
fn conditions() {
    let headers = BTreeMap::from([("x-token".to_owned(), "abc".to_owned())]);
    let token = Token {
        issuer: "https://issuer/auth".to_owned(),
        subject: "ann".to_owned(),
        audiences: vec!["shop".to_owned(), "bank".to_owned()],
        presenter: "app".to_owned(),
        claims: BTreeMap::from([("groups".to_owned(), vec!["admin".to_owned()])]),
    };
    let mut asked = http(Some(WEB), "GET");
    asked.server_name = Some("db.shop");
    if let Some(http) = &mut asked.http {
        http.headers = &headers;
        http.token = Some(&token);
    }
    let is = |key: &str, values: Values| {
        let when = vec![Condition {
            key: key.to_owned(),
            values,
        }];
        matches(
            Rule {
                when,
                ..Rule::default()
            },
            &asked,
        )
    };
    assert!(is("request.headers[X-Token]", any(&["a*"])));
    assert!(!is("request.headers[other]", any(&["*"])));
    assert!(is("request.headers[other]", none(&["*"])));
    assert!(is(
        "request.auth.principal",
        any(&["https://issuer/auth/ann"])
    ));
    assert!(is("request.auth.principal", any(&["*"])));
    assert!(is("request.auth.principal", any(&["*/ann"])));
    assert!(!is(
        "request.auth.principal",
        any(&["https://issuer/auth/bob"])
    ));
    assert!(is("request.auth.audiences", any(&["bank"])));
    assert!(is("request.auth.presenter", any(&["app"])));
    assert!(is("request.auth.claims[groups]", any(&["adm*"])));
    assert!(is("source.namespace", any(&["shop"])) && is("source.principal", any(&[WEB])));
    assert!(is("destination.ip", any(&["10.0.0.3"])) && is("destination.port", any(&["8080"])));
    assert!(is("connection.sni", any(&["db.*"])) && is("source.ip", any(&["10.0.0.1"])));
    // Nobody knows this one: its rule is left away.
    let unknown = Rule {
        when: vec![Condition {
            key: "no.such".to_owned(),
            values: any(&["x"]),
        }],
        ..Rule::default()
    };
    assert!(!matches(unknown, &asked));
}

#[test]
fn a_deny_rule_on_another_port_keeps_what_that_port_can_answer() {
    let rule = Rule {
        from: vec![Source {
            namespaces: any(&["bank"]),
            ..Source::default()
        }],
        to: vec![Operation {
            methods: any(&["GET"]),
            ..Operation::default()
        }],
        ..Rule::default()
    };
    let denies = [policy(Action::Deny, vec![rule])];
    assert!(passes(&denies, &tcp(Some(WEB)), Answer::Allow));
    let teller = Some("cluster.local/ns/bank/sa/teller");
    assert!(!passes(&denies, &tcp(teller), Answer::Allow));
}

fn some_policy() -> impl Strategy<Value = AuthorizationPolicy> {
    let action = prop::sample::select(vec![
        Action::Allow,
        Action::Deny,
        Action::Audit,
        Action::Custom,
    ]);
    let rules = prop::collection::vec(
        prop::sample::select(vec![
            everything(),
            methods(&["GET"]),
            methods(&["POST"]),
            from(Source {
                namespaces: any(&["bank"]),
                ..Source::default()
            }),
        ]),
        0..3,
    );
    (action, rules).prop_map(|(action, rules)| policy(action, rules))
}

proptest! {
    #[test]
    fn the_order_of_policies_does_not_matter(
        policies in prop::collection::vec(some_policy(), 0..6),
        turn in 0usize..6,
        denies in prop::bool::ANY,
    ) {
        let answer = if denies { Answer::Deny } else { Answer::Allow };
        let asked = http(Some(WEB), "GET");
        let mut turned = policies.clone();
        turned.rotate_left(turn.min(policies.len()));
        prop_assert_eq!(passes(&policies, &asked, answer), passes(&turned, &asked, answer));
    }

    #[test]
    fn each_action_has_its_say_in_order(
        policies in prop::collection::vec(some_policy(), 0..6),
        denies in prop::bool::ANY,
    ) {
        let answer = if denies { Answer::Deny } else { Answer::Allow };
        let asked = http(Some(WEB), "GET");
        let of = |action| {
            let ours = policies.iter().filter(move |it| it.action == action);
            ours.cloned().collect::<Vec<AuthorizationPolicy>>()
        };
        let hits = |action| {
            let as_deny = of(action).into_iter().map(|it| AuthorizationPolicy {
                action: Action::Deny,
                ..it
            });
            !passes(&as_deny.collect::<Vec<_>>(), &asked, Answer::Allow)
        };
        let refused = (hits(Action::Custom) && denies)
            || hits(Action::Deny)
            || (!of(Action::Allow).is_empty() && !hits(Action::Allow));
        prop_assert_eq!(passes(&policies, &asked, answer), !refused);
        // AUDIT changes nothing.
        let quiet: Vec<AuthorizationPolicy> = policies
            .iter()
            .filter(|it| it.action != Action::Audit)
            .cloned()
            .collect();
        prop_assert_eq!(passes(&quiet, &asked, answer), !refused);
    }
}
