//! What happens, drawn from the schema that editors are given: whatever a timeline can hold is
//! drawn, and a field that the generator does not know is an error of the generator.

use super::ground::{Ground, Place};
use engine::Draw;
use serde_json::{Map, Value as Json, json};

/// What is known of timelines.
pub struct Happenings {
    definitions: Json,
    /// What can happen, as `drain` and `fault node-down`; of what can stand still each part.
    pub kinds: Vec<String>,
}

/// Whoever takes an entry of a timeline gets one of these.
const FRAME: [&str; 4] = ["at", "name", "cluster", "fault"];
/// Faults that need no network.
const OF_PODS: [&str; 6] = [
    "pod-kill",
    "container-crash",
    "oom-loop",
    "hang",
    "slow",
    "failing",
];
/// What happens to machines that are nodes.
const OF_NODES: [&str; 9] = [
    "node-partition",
    "node-slow",
    "kubelet-down",
    "ztunnel-down",
    "cordon",
    "uncordon",
    "out-of-service",
    "in-service",
    "drain",
];

impl Happenings {
    pub fn new() -> Happenings {
        let mut schema = loader::json_schema();
        let mut new = Happenings {
            definitions: schema["$defs"].take(),
            kinds: Vec::new(),
        };
        let keys = |shape: &str| new.properties(shape).keys();
        let operations = keys("TimelineEntry").filter(|key| !FRAME.contains(&key.as_str()));
        let operations = operations.filter(|key| *key != "canary").cloned();
        let steps = keys("CanaryStep").map(|key| format!("canary {key}"));
        let faults = keys("Fault").filter(|key| *key != "frozen");
        let faults = faults.map(|key| format!("fault {key}"));
        let frozen = new.properties("Frozen")["component"]["enum"].as_array();
        let frozen = frozen.expect("parts that can stand still").iter();
        let frozen = frozen.map(|it| format!("fault frozen {}", it.as_str().expect("a word")));
        new.kinds = operations
            .chain(steps)
            .chain(faults)
            .chain(frozen)
            .collect();
        new
    }

    fn properties(&self, shape: &str) -> &Map<String, Json> {
        let properties = self.definitions[shape]["properties"].as_object();
        properties.unwrap_or_else(|| panic!("the schema defines {shape}"))
    }

    /// An entry without its time, and the kinds that it is of.
    pub fn draw(&self, ground: &Ground, draw: &mut Draw) -> (Json, Vec<String>) {
        loop {
            let kind = pick(&self.kinds, draw);
            if let Some(drawn) = self.of_kind(kind, ground, draw) {
                return drawn;
            }
        }
    }

    /// The same of a kind, if that can happen there.
    pub fn of_kind(
        &self,
        kind: &str,
        ground: &Ground,
        draw: &mut Draw,
    ) -> Option<(Json, Vec<String>)> {
        if kind == "apply" {
            let mut entry = pick_some(&ground.applies, draw)?.clone();
            entry.as_object_mut()?.shift_remove("name");
            return Some((entry, vec![kind.to_owned()]));
        }
        if let Some(step) = kind.strip_prefix("canary ") {
            return self.canary(step, ground, draw);
        }
        let place = pick(&ground.clusters, draw);
        let words: Vec<&str> = kind.split(' ').collect();
        let (key, shape) = match words[..] {
            ["fault", key, ..] => (key, "Fault"),
            [key] => (key, "TimelineEntry"),
            _ => unreachable!("kinds are of this form"),
        };
        let reference = self.properties(shape)[key]["$ref"].as_str();
        let shape = reference.and_then(|it| it.rsplit('/').next());
        let shape = shape.unwrap_or_else(|| panic!("`{key}` has a shape"));
        let filling = Filling {
            ground,
            place,
            key,
            component: words.get(2).copied(),
        };
        let body = self.fill(shape, &filling, draw)?;
        let entry = match words[0] {
            "fault" => json!({"fault": {key: body}}),
            _ => json!({key: body}),
        };
        Some((entry, vec![kind.to_owned()]))
    }

    /// The fields of a shape: those that it demands, and some of the others.
    fn fill(&self, shape: &str, filling: &Filling<'_>, draw: &mut Draw) -> Option<Json> {
        if !filling.is_possible() {
            return None;
        }
        let required = self.definitions[shape]["required"].as_array();
        let is_required = |key: &str| {
            required.is_some_and(|all| all.iter().any(|it| it == key)) || filling.needs(key)
        };
        let mut body = Map::new();
        for (key, kind) in self.properties(shape) {
            if (is_required(key) || draw.chance(0.5)) && !filling.is_out_of_place(key, &body) {
                body.insert(key.clone(), filling.value(key, kind, draw)?);
            }
        }
        // Both are optional, and one must be there.
        if filling.key == "node-slow" && !body.contains_key("cpu") && !body.contains_key("disk") {
            body.insert("cpu".to_owned(), json!(3));
        }
        if body.contains_key("ordinal") {
            let workload = pick_some(&filling.place.numbered, draw)?;
            body.insert("workload".to_owned(), json!(workload));
        }
        Some(Json::Object(body))
    }

    /// A release as its author wrote it, with other steps that begin with this one.
    fn canary(&self, first: &str, ground: &Ground, draw: &mut Draw) -> Option<(Json, Vec<String>)> {
        let mut entry = pick_some(&ground.canaries, draw)?.clone();
        entry.as_object_mut()?.shift_remove("name");
        let release = entry["canary"].as_object_mut()?;
        let steps: Vec<&String> = self.properties("CanaryStep").keys().collect();
        let mut kinds = Vec::new();
        let number = 1 + draw.below(6);
        let mut drawn: Vec<Json> = (0..number)
            .map(|number| {
                let key = match number {
                    0 => first,
                    _ => pick(&steps, draw).as_str(),
                };
                kinds.push(format!("canary {key}"));
                let value = match key {
                    "setWeight" => json!(draw.below(101)),
                    "pause" => json!(duration(draw)),
                    "setHeaderRoute" => json!({
                        "name": format!("step-{number}"),
                        "match": [{"headerName": "x-user", "headerValue": {"prefix": "a"}}],
                    }),
                    "setMirrorRoute" => {
                        json!({"name": format!("step-{number}"), "percentage": draw.below(101)})
                    }
                    other => panic!("teach the generator the step `{other}`"),
                };
                json!({key: value})
            })
            .collect();
        // Without a pause nobody can look.
        kinds.push("canary pause".to_owned());
        drawn.push(json!({"pause": duration(draw)}));
        release.insert("steps".to_owned(), json!(drawn));
        if draw.chance(0.3) {
            release.shift_remove("analysis");
        } else if let Some(analysis) = release.get_mut("analysis") {
            analysis["interval"] = json!(duration(draw));
            analysis["scrapeInterval"] = json!(duration(draw));
        }
        Some((entry, kinds))
    }
}

/// What a body is filled for.
struct Filling<'g> {
    ground: &'g Ground,
    place: &'g Place,
    key: &'g str,
    component: Option<&'g str>,
}

impl Filling<'_> {
    /// Whether this can happen in the place at all.
    fn is_possible(&self) -> bool {
        let needs_no_network = ["scale", "rollback", "delete-pod", "join"];
        let key = self.key;
        let on_pods = OF_PODS.contains(&key) || needs_no_network.contains(&key);
        let of_istiod =
            ["istiod-down", "istiod-slow"].contains(&key) || self.component == Some("istiod");
        (self.ground.has_network || on_pods)
            && (self.place.has_istiod || !of_istiod)
            && (self.place.has_ztunnels || key != "ztunnel-down")
    }

    fn needs(&self, key: &str) -> bool {
        // Without it what is named may stand in several clusters.
        key == "cluster" || (key == "node" && self.is_on_a_node())
    }

    fn is_on_a_node(&self) -> bool {
        matches!(self.component, Some("kubelet" | "kube-proxy"))
    }

    /// Whether a field must not be there, beside those that are.
    fn is_out_of_place(&self, key: &str, body: &Map<String, Json>) -> bool {
        match key {
            "node" => self.key == "frozen" && !self.is_on_a_node(),
            "ordinal" => self.place.numbered.is_empty() || body.contains_key("count"),
            _ => false,
        }
    }

    fn value(&self, key: &str, kind: &Json, draw: &mut Draw) -> Option<Json> {
        let place = self.place;
        Some(match key {
            "cluster" => json!(place.name),
            "workload" if self.key == "join" => json!(pick_some(&place.joining, draw)?),
            "workload" => json!(pick_some(&place.workloads, draw)?),
            "node" => {
                let mut all = place.nodes.clone();
                if !OF_NODES.contains(&self.key) && self.key != "frozen" {
                    all.extend(place.machines.iter().cloned());
                }
                json!(pick_some(&all, draw)?)
            }
            "zone" => json!(pick_some(&place.zones, draw)?),
            "region" => json!(pick_some(&self.ground.regions, draw)?),
            "from" | "to" => {
                let ground = self.ground;
                let ends = ground.places.iter().chain(&ground.regions);
                json!(pick(&ends.collect::<Vec<_>>(), draw))
            }
            "component" => json!(self.component?),
            "packets" => {
                let words = kind["enum"].as_array().expect("what becomes of packets");
                pick(words, draw).clone()
            }
            "for" | "after" | "timeout" => json!(duration(draw)),
            "delay" | "gracePeriod" if draw.chance(0.2) => json!("0s"),
            "delay" | "gracePeriod" => json!(duration(draw)),
            "capacity" | "loss" | "errorRate" => json!(format!("{}%", draw.below(101))),
            "factor" | "cpu" | "disk" => json!(pick(&[1, 2, 10, 1_000, 1_000_000_000], draw)),
            "count" if self.key == "api-server-down" => json!(1 + draw.below(3)),
            "count" => json!(pick(&[1, 2, 5, 1_000], draw)),
            "replicas" => json!(pick(&[0, 1, 2, 3, 10, 30], draw)),
            "toRevision" => json!(1 + draw.below(3)),
            "ordinal" => json!(draw.below(4)),
            "force" => json!(draw.chance(0.5)),
            other => panic!("teach the generator the field `{other}` of `{}`", self.key),
        })
    }
}

/// Some time, from a millisecond to a minute and a half.
pub fn duration(draw: &mut Draw) -> String {
    let scale = *pick(&[1, 10, 100, 1_000, 10_000, 30_000], draw);
    format!("{}ms", scale * (1 + draw.below(3)))
}

pub fn pick<'a, T>(all: &'a [T], draw: &mut Draw) -> &'a T {
    pick_some(all, draw).expect("there is something to pick")
}

fn pick_some<'a, T>(all: &'a [T], draw: &mut Draw) -> Option<&'a T> {
    let count = u32::try_from(all.len()).expect("a short list");
    (count > 0).then(|| &all[draw.below(count.max(1)) as usize])
}
