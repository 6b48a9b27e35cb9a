//! `hybridsim inspect`: what kubectl would print around the loss of a machine for seven minutes,
//! from the first to the eighth.

use crate::cli::{self, hybridsim};

const SCENARIO: &str = "tests/data/inspect/scenario.yaml";

/// What it prints of the machine that is lost.
fn inspect(arguments: &[&str]) -> String {
    inspect_of(SCENARIO, arguments)
}

fn inspect_of(scenario: &str, arguments: &[&str]) -> String {
    let (part, rest) = arguments.split_first().expect("a part is named");
    cli::inspect(&[&[part, scenario], rest].concat())
}

fn assert_prints(arguments: &str, expected: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let text = inspect(&arguments);
    assert_eq!(text, expected, "{arguments:?}:\n{text}");
}

/// The API server knows of the pods of a machine that is off what its kubelet said last.
#[test]
fn a_lost_node_is_not_ready_and_its_pods_are_still_there() {
    assert_prints(
        "nodes --at 2m -o wide",
        "\
NAME   STATUS     ROLES           AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE    KERNEL-VERSION   CONTAINER-RUNTIME
n1     Ready      control-plane   2m    v1.33.0   172.18.0.2    <none>        <unknown>   <unknown>        <unknown>
n2     NotReady   <none>          2m    v1.33.0   172.18.0.3    <none>        <unknown>   <unknown>        <unknown>
n3     Ready      <none>          2m    v1.33.0   172.18.0.4    <none>        <unknown>   <unknown>        <unknown>
",
    );
    assert_prints(
        "pods --at 2m",
        "\
NAME                  READY   STATUS    RESTARTS   AGE
agent-2fplp           1/1     Running   0          2m
agent-nhtgr           1/1     Running   0          2m
agent-vq4w2           1/1     Running   0          2m
db-0                  1/1     Running   0          2m
db-1                  1/1     Running   0          2m
web-87584594d-24lh9   1/1     Running   0          2m
web-87584594d-ggbpj   1/1     Running   0          2m
web-87584594d-hbtqv   1/1     Running   0          2m
web-87584594d-jwth7   1/1     Running   0          2m
",
    );
    assert_prints(
        "endpoints --at 2m",
        "\
NAME   ENDPOINTS                                         AGE
db     10.244.0.3:5432                                   2m
web    10.244.0.4:8080,10.244.2.3:8080,10.244.2.4:8080   2m
",
    );
    assert_prints(
        "deployments --at 2m",
        "\
NAME   READY   UP-TO-DATE   AVAILABLE   AGE
web    3/4     4            3           2m
",
    );
    assert_prints(
        "services --at 2m -o wide",
        "\
NAME   TYPE        CLUSTER-IP      EXTERNAL-IP   PORT(S)        AGE   SELECTOR
db     ClusterIP   None            <none>        5432/TCP       2m    app=db
web    NodePort    10.111.144.12   <none>        80:30080/TCP   2m    app=web
",
    );
}

#[test]
fn after_the_toleration_pods_are_replaced() {
    assert_prints(
        "pods --at 7m -o wide",
        "\
NAME                  READY   STATUS        RESTARTS   AGE   IP           NODE   NOMINATED NODE   READINESS GATES
agent-2fplp           1/1     Running       0          7m    10.244.2.2   n3     <none>           <none>
agent-nhtgr           1/1     Running       0          7m    10.244.1.2   n2     <none>           <none>
agent-vq4w2           1/1     Running       0          7m    10.244.0.2   n1     <none>           <none>
db-0                  1/1     Running       0          7m    10.244.0.3   n1     <none>           <none>
db-1                  1/1     Terminating   0          7m    10.244.1.3   n2     <none>           <none>
web-87584594d-24lh9   1/1     Running       0          7m    10.244.0.4   n1     <none>           <none>
web-87584594d-ggbpj   1/1     Terminating   0          7m    10.244.1.4   n2     <none>           <none>
web-87584594d-hbtqv   1/1     Running       0          7m    10.244.2.3   n3     <none>           <none>
web-87584594d-j6jl4   1/1     Running       0          9s    10.244.0.5   n1     <none>           <none>
web-87584594d-jwth7   1/1     Running       0          7m    10.244.2.4   n3     <none>           <none>
",
    );
    assert_prints(
        "deployments --at 7m",
        "\
NAME   READY   UP-TO-DATE   AVAILABLE   AGE
web    4/4     4            4           7m
",
    );
    assert_prints(
        "replicasets --at 7m -o wide",
        "\
NAME            DESIRED   CURRENT   READY   AGE   CONTAINERS   IMAGES   SELECTOR
web-87584594d   4         4         4       7m    web          web      app=web,pod-template-hash=87584594d
",
    );
    assert_prints(
        "endpoints --at 7m",
        "\
NAME   ENDPOINTS                                                     AGE
db     10.244.0.3:5432                                               7m
web    10.244.0.4:8080,10.244.0.5:8080,10.244.2.3:8080 + 1 more...   7m
",
    );
}

#[test]
fn a_machine_that_returns_starts_what_it_still_has() {
    assert_prints(
        "nodes --at 9m",
        "\
NAME   STATUS   ROLES           AGE   VERSION
n1     Ready    control-plane   9m    v1.33.0
n2     Ready    <none>          9m    v1.33.0
n3     Ready    <none>          9m    v1.33.0
",
    );
    assert_prints(
        "pods --at 9m",
        "\
NAME                  READY   STATUS    RESTARTS     AGE
agent-2fplp           1/1     Running   0            9m
agent-nhtgr           1/1     Running   1 (8m ago)   9m
agent-vq4w2           1/1     Running   0            9m
db-0                  1/1     Running   0            9m
db-1                  1/1     Running   0            60s
web-87584594d-24lh9   1/1     Running   0            9m
web-87584594d-hbtqv   1/1     Running   0            9m
web-87584594d-j6jl4   1/1     Running   0            2m9s
web-87584594d-jwth7   1/1     Running   0            9m
",
    );
}

#[test]
fn events_tell_the_whole_story() {
    assert_prints(
        "events --at 11m",
        "\
LAST SEEN   TYPE      REASON                 OBJECT                     MESSAGE
9m10s       Normal    NodeNotReady           Node/n2                    Node n2 status is now: NodeNotReady
9m10s       Warning   NodeNotReady           Pod/agent-nhtgr            Node is not ready
9m10s       Warning   NodeNotReady           Pod/db-1                   Node is not ready
9m10s       Warning   NodeNotReady           Pod/web-87584594d-ggbpj    Node is not ready
4m9s        Normal    TaintManagerEviction   Pod/db-1                   Marking for deletion Pod default/db-1
4m9s        Normal    TaintManagerEviction   Pod/web-87584594d-ggbpj    Marking for deletion Pod default/web-87584594d-ggbpj
4m9s        Normal    SuccessfulCreate       ReplicaSet/web-87584594d   Created pod: web-87584594d-j6jl4
4m9s        Normal    Scheduled              Pod/web-87584594d-j6jl4    Successfully assigned default/web-87584594d-j6jl4 to n1
4m8s        Normal    Pulled                 Pod/web-87584594d-j6jl4    Container image \"web\" already present on machine
4m8s        Normal    Created                Pod/web-87584594d-j6jl4    Created container: web
4m8s        Normal    Started                Pod/web-87584594d-j6jl4    Started container web
3m          Normal    NodeReady              Node/n2                    Node n2 status is now: NodeReady
3m          Normal    SuccessfulCreate       StatefulSet/db             create Pod db-1 in StatefulSet db successful
3m          Normal    Scheduled              Pod/db-1                   Successfully assigned default/db-1 to n2
3m          Normal    Pulled                 Pod/agent-nhtgr            Container image \"agent\" already present on machine
3m          Normal    Pulled                 Pod/db-1                   Container image \"db\" already present on machine
2m59s       Normal    Created                Pod/agent-nhtgr            Created container: agent
2m59s       Normal    Started                Pod/agent-nhtgr            Started container agent
2m59s       Normal    Created                Pod/db-1                   Created container: db
2m59s       Normal    Started                Pod/db-1                   Started container db
",
    );
}

#[test]
fn the_same_comes_as_json() {
    for part in [
        "nodes",
        "pods",
        "services",
        "endpoints",
        "deployments",
        "replicasets",
        "hpa",
        "events",
    ] {
        let text = inspect(&[part, "--at", "1m", "-o", "json"]);
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["schema"], "hybridsim.inspect/v1");
        assert_eq!(document["at_s"], 60.0);
        assert_eq!(document["clusters"][0]["name"], "east");
    }
    let text = inspect(&["pods", "--at", "7m", "-o", "json", "-n", "default"]);
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let pods = document["clusters"][0]["pods"].as_array().expect("a list");
    assert_eq!(pods.len(), 10);
    let terminating = pods.iter().filter(|pod| pod["status"] == "Terminating");
    assert_eq!(terminating.count(), 2);
}

#[test]
fn what_is_not_there_is_said_beside_the_document() {
    let nothing = hybridsim(&["inspect", "pods", SCENARIO, "--at", "1m", "-n", "elsewhere"]);
    assert!(nothing.status.success() && nothing.stdout.is_empty());
    let told = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert_eq!(
        told.trim_end(),
        "No resources found in elsewhere namespace."
    );
    for bad in [["--at", "13m"], ["--at", "soon"], ["--cluster", "west"]] {
        let output = hybridsim(&[&["inspect", "pods", SCENARIO][..], &bad[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn pods_of_a_mesh_have_two_containers_and_tell_why_there_are_no_more() {
    let printed = |resource: &str| inspect_of("mesh/istiod-dark", &[resource, "--at", "7m"]);
    let pods = printed("pods");
    let pods: Vec<&str> = pods
        .lines()
        .filter(|line| line.starts_with("web-"))
        .collect();
    assert_eq!(pods.len(), 3, "{pods:?}");
    assert!(pods.iter().all(|line| line.contains(" 2/2 ")), "{pods:?}");
    let events = printed("events");
    let refused = "Warning   FailedCreate";
    let line = events.lines().find(|line| line.contains(refused));
    let line = line.expect("the ReplicaSet is told of");
    assert!(line.contains("ReplicaSet/web-"), "{line}");
    assert!(
        line.contains("no endpoints available for service \"istiod\""),
        "{line}"
    );
}
