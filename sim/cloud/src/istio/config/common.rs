//! What objects of several kinds share: names, selectors, matches, shares.

use engine::Time;
use regex::Regex;

/// How an object is called, and since when it exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Name, with the namespace unique among objects of a kind.
    pub name: String,
    /// Since when it exists: of objects that contradict, the older one counts.
    pub created: Created,
}

impl Identity {
    /// Orders objects as istiod does before it merges them: by age, then by name and namespace.
    pub fn age_order(&self) -> impl Ord + use<> {
        (self.created, format!("{}.{}", self.name, self.namespace))
    }

    /// Whether it is the name of something that istiod makes of an Ingress.
    pub(super) fn is_of_ingress(&self) -> bool {
        self.name.contains(super::OF_INGRESSES)
    }
}

/// When an object was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Created {
    /// Before the run, so many seconds after 1970 began (`creationTimestamp`).
    Before(i64),
    /// During the run; at its start if nothing is known.
    At(Time),
}

/// How a text is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// The whole text is this.
    Exact(String),
    /// It begins so.
    Prefix(String),
    /// The whole text matches this RE2 expression.
    Regex(String),
}

/// An RE2 expression for a whole text; nothing if it cannot be read, and so matches nothing.
pub(crate) fn whole(expression: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{expression})$")).ok()
}

/// How the value of a header or of a query parameter is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    /// It is there, with whatever value.
    Present,
    /// It is there, and its value matches.
    Is(StringMatch),
}

/// A share of requests, in percent: 0 to 100, in steps of a millionth of the whole.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// All.
    pub const ALL: Percent = Percent(100.0);

    /// So many of a hundred, if that is a share.
    pub fn new(percent: f64) -> Option<Percent> {
        (0.0..=100.0).contains(&percent).then_some(Percent(percent))
    }

    /// Out of a million, as Envoy draws it: what is finer is cut off.
    pub fn millionths(self) -> u32 {
        (self.0 * 10_000.0) as u32
    }
}

/// Who may see an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportTo {
    /// What the mesh says for objects of this kind.
    Default,
    /// These.
    Only(Vec<Audience>),
}

/// A part of who may see an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `*`: all namespaces.
    Everybody,
    /// `.`: its own namespace.
    OwnNamespace,
    /// `~`: nobody.
    Nobody,
    /// The namespace with this name.
    Namespace(String),
}

impl Audience {
    /// Reads an entry of `exportTo`.
    pub fn of(text: &str) -> Audience {
        match text {
            "*" => Audience::Everybody,
            "." => Audience::OwnNamespace,
            "~" => Audience::Nobody,
            namespace => Audience::Namespace(namespace.to_owned()),
        }
    }

    /// Whether it includes a namespace, for an object in `own`.
    pub fn includes(&self, namespace: &str, own: &str) -> bool {
        match self {
            Audience::Everybody => true,
            Audience::OwnNamespace => namespace == own,
            Audience::Nobody => false,
            Audience::Namespace(name) => namespace == name,
        }
    }
}

/// A gateway that a route belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayName {
    /// `mesh`: all sidecars.
    Mesh,
    /// A Gateway object.
    Object {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl GatewayName {
    /// Reads a name as an object in `namespace` writes it: `mesh`, `name`, `namespace/name`, or
    /// the old full form `name.namespace.svc.cluster.local`.
    pub fn of(text: &str, namespace: &str) -> GatewayName {
        if text == "mesh" {
            return GatewayName::Mesh;
        }
        let (namespace, name) = match (text.split_once('/'), text.split_once('.')) {
            (Some((".", name)), _) => (namespace, name),
            (Some((namespace, name)), _) => (namespace, name),
            (None, Some((name, rest))) => (rest.split('.').next().unwrap_or_default(), name),
            (None, None) => (namespace, text),
        };
        GatewayName::Object {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_object_comes_first_and_then_the_name_decides() {
        let identity = |name: &str, created| Identity {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            created,
        };
        let mut objects = [
            identity("a", Created::At(Time::ZERO)),
            identity("z", Created::Before(5)),
            identity("c", Created::Before(9)),
            identity("b", Created::Before(9)),
        ];
        objects.sort_by_key(Identity::age_order);
        let names = objects.each_ref().map(|object| object.name.as_str());
        assert_eq!(names, ["z", "b", "c", "a"]);
    }

    #[test]
    fn gateways_are_named_in_four_ways() {
        let object = |namespace: &str, name: &str| GatewayName::Object {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let read = |text| GatewayName::of(text, "shop");
        assert_eq!(read("mesh"), GatewayName::Mesh);
        assert_eq!(read("front"), object("shop", "front"));
        assert_eq!(read("edge/front"), object("edge", "front"));
        assert_eq!(read("./front"), object("shop", "front"));
        assert_eq!(
            read("front.edge.svc.cluster.local"),
            object("edge", "front")
        );
    }

    #[test]
    fn shares_are_drawn_in_millionths() {
        assert_eq!(Percent::new(0.1).unwrap().millionths(), 1_000);
        assert_eq!(Percent::ALL.millionths(), 1_000_000);
        assert_eq!(Percent::new(100.5), None);
        assert_eq!(Percent::new(-0.1), None);
    }

    #[test]
    fn audiences_include_namespaces() {
        let included = |text: &str| {
            ["shop", "edge"].map(|namespace| Audience::of(text).includes(namespace, "shop"))
        };
        assert_eq!(included("*"), [true, true]);
        assert_eq!(included("."), [true, false]);
        assert_eq!(included("~"), [false, false]);
        assert_eq!(included("edge"), [false, true]);
    }
}
