//! Every kind of problem, in one place: identifier, severity, title, explanation.
//!
//! HS00xx: YAML and fields. HS01xx: Kubernetes objects. HS02xx: the Scenario. HS09xx: the rest.
//! An identifier is never given to anything else later.

use super::Severity::{self, Error, Note, Warning};

macro_rules! codes {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $explanation:literal;)*) => {
        /// Kind of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All kinds, in the order of their identifiers.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// Stable identifier, as `HS0001`.
            pub fn id(self) -> &'static str {
                match self { $(Code::$name => $id),* }
            }

            /// How bad it is unless a diagnostic says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => $severity),* }
            }

            /// What it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }

            /// What it means and what to do about it, in some sentences.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation),* }
            }
        }
    };
}

impl Code {
    /// The kind of an identifier, in capitals or not.
    pub fn from_id(id: &str) -> Option<Code> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.id().eq_ignore_ascii_case(id))
    }
}

codes! {
    Syntax = "HS0001", Error, "The text is not valid YAML",
        "The document around this place cannot be parsed and is left out; the other documents of the file are still checked. The usual reasons are a tab in the indentation, a bracket or quote that is not closed, and a value with `: ` or `#` in it that needs quotes.";
    OverBudget = "HS0002", Error, "The input is too big or too deep",
        "Files, documents, values and nesting are limited so that no input can exhaust time or memory. Aliases count with all that they stand for. Split the file, or write out what the aliases repeat.";
    DuplicateKey = "HS0003", Error, "A key is given twice in one map",
        "YAML forbids it; the API server rejects it under strict validation, and other tools silently keep the last one. Remove the one that is not meant.";
    KeyNotString = "HS0004", Error, "A key is a list or a map",
        "Keys of Kubernetes objects and of scenarios are strings. A template marker such as `{{ name }}` that was not filled in reads as a map: render the template first.";
    NotAnObject = "HS0005", Error, "A document is no object",
        "Every document must be a map with `apiVersion` and `kind`, as Kubernetes and the Scenario write it.";

    WrongType = "HS0010", Error, "A value has the wrong type",
        "The field takes another type of value. Beware of what YAML makes of unquoted text: `yes`, `no`, `on`, `off`, `y` and `n` are booleans to Kubernetes, `1.10` is a number and `0644` an octal one. Put quotes around what is meant as a string.";
    UnknownField = "HS0011", Warning, "The kind has no such field",
        "The field is not part of this kind and has no effect; the nearest known name is suggested. The API server drops it with a warning too.";
    MissingField = "HS0012", Error, "A required field is missing",
        "The object is not valid without this field.";
    WrongValue = "HS0013", Error, "A value is not one of those allowed",
        "The field takes one of a few values, or text of a certain form such as a quantity (`500m`, `2Gi`) or a duration (`250ms`, `1h30m`).";
    OutOfRange = "HS0014", Error, "A number is outside of its range",
        "The value is too small or too great for the field.";
    NotExactlyOne = "HS0015", Error, "Exactly one of several fields must be given",
        "The map chooses one of several forms by its only key. Give one of them and remove the others.";

    WrongApiVersion = "HS0101", Error, "The kind is not served under this apiVersion",
        "Kubernetes knows the kind, but in another group or version. The message names the right one.";
    RemovedApiVersion = "HS0102", Error, "The apiVersion is served no longer",
        "Older releases of Kubernetes served the kind under this apiVersion, whose fields differ. Convert the manifest with `kubectl convert`, or by hand, to the version that the message names.";
    DuplicateObject = "HS0103", Error, "Two documents describe one object",
        "Two documents have the same kind, namespace and name. Applied in turn the later one would replace the earlier one, which would make the outcome depend on the order of files. Remove one.";
    SelectorMismatch = "HS0104", Error, "A selector does not select its own template",
        "The `selector` of a workload must match the labels of its pod template; the API server rejects it otherwise.";
    SelectsNothing = "HS0105", Warning, "A selector matches no workload",
        "No workload of the namespace has pods with all of these labels, so a service has no endpoints and every call to it is refused, and a disruption budget protects nobody. Check labels and namespace; selectors must match every one of their labels.";
    PortNotFound = "HS0106", Error, "A named port does not exist",
        "A `targetPort` by name stands for the container port of that name in each pod, and a port of a service by name for one of its ports. No such name was found.";
    NoEndpoints = "HS0107", Warning, "A service has no endpoints",
        "The service has no selector, and no EndpointSlice or Endpoints object gives it addresses; calls to it are refused. An EndpointSlice belongs to the service named by its label `kubernetes.io/service-name`.";
    BackendNotFound = "HS0108", Warning, "A route leads to a service or port that does not exist",
        "The share of requests that the route sends there is answered with an error (500). Check name, namespace and port of the backend.";
    GatewayNotFound = "HS0109", Warning, "A route belongs to no gateway",
        "No gateway among the manifests has the name, namespace and listener that `parentRefs` asks for, so the route takes no requests.";
    GatewayWithoutRoutes = "HS0110", Warning, "A gateway or listener has no routes",
        "Nothing attaches to it, so every request that arrives is answered with 404.";
    NoRequests = "HS0111", Note, "A workload requests no CPU or memory",
        "The scheduler then counts the pods as needing nothing when it checks whether they fit on a node. Set `resources.requests` to see what does not fit.";
    PortNotDeclared = "HS0112", Note, "No container declares a port that a service sends to",
        "Kubernetes does not demand the declaration; the request arrives if a process listens there. It may also be a typing error.";
    KindIgnored = "HS0113", Note, "A kind is read over",
        "The kind is accounted for in the ledger and has no influence on the simulation in this release.";
    InvalidName = "HS0114", Error, "A name is not allowed",
        "Names of objects are lower-case letters, digits, `-` and (for most kinds) `.`, begin and end with a letter or digit, and hold at most 253 characters (63 for services and namespaces).";
    UnsupportedValue = "HS0115", Note, "A value is valid but treated like another",
        "The simulation does not tell this value from the one named in the message.";
    IngressClassNotFound = "HS0116", Warning, "An ingress names a class that no manifest defines",
        "A proxy of this class is assumed to run in the cluster all the same; add the IngressClass to be told about typing errors. Only istiod does not serve the class of its own without it: nobody does.";
    NamespaceNotFound = "HS0117", Note, "A namespace is used but not defined",
        "Manifests usually contain their namespaces. It is assumed to exist.";
    NodeNotFound = "HS0118", Warning, "A pod is bound to a node that does not exist",
        "`nodeName` binds the pod without the scheduler. With no such node it never runs.";
    PartOfWorkload = "HS0119", Note, "An object belongs to a workload that is there too",
        "A ReplicaSet or Pod with a controlling owner among the manifests, as `kubectl get` prints them, is counted with its owner, not on its own.";
    Conflict = "HS0120", Error, "Fields exclude one another",
        "The API server rejects the combination.";
    ScalesNothing = "HS0121", Warning, "An autoscaler scales nothing",
        "Its target is not there, cannot be scaled, or is scaled by another autoscaler too. The workload keeps its `replicas`.";
    NoCpuToScaleBy = "HS0122", Warning, "An autoscaler measures CPU that nobody requests",
        "The utilization of CPU is its use as a share of what the containers request. Without requests the metric is not there, and the autoscaler does not move.";
    MetricLeftOut = "HS0123", Warning, "An autoscaler's metric is left out",
        "CPU of a resource or of a container, and `Pods` metrics that count requests, are measured. Memory, Object and External metrics are not. An autoscaler without any other metric does nothing.";
    NodePoolUnused = "HS0124", Warning, "A NodePool orders no machines",
        "Karpenter orders machines that its cloud offers: the `nodePools` of the cluster with a `max`, where `provisioner` is `karpenter`. A NodePool takes those whose zone and labels fulfil its requirements.";

    IstioRefuses = "HS0140", Error, "istiod refuses the object",
        "The validation webhook of istiod rejects the object, so the API server never stores it. The message says which rule it breaks.";
    IstioWarns = "HS0141", Warning, "istiod accepts the object with a warning",
        "The object is stored and used, but a part of it is deprecated or cannot have an effect.";
    WeightsAreRelative = "HS0142", Warning, "The weights of a route do not sum to 100",
        "Istio accepts any weights: each destination gets its weight's share of their sum. Where percentages were meant, a sum other than 100 usually means that one is wrong.";
    FilterByHand = "HS0143", Warning, "A change of Envoy's configuration by hand is not simulated",
        "EnvoyFilter, WasmPlugin and TrafficExtension change what istiod writes, or add code to proxies. They are accounted for in the ledger, and proxies behave as if they were not there.";

    SubsetNotFound = "HS0144", Warning, "A subset has no definition or no pods",
        "A route to a subset that no DestinationRule defines leads to a cluster that proxies do not have, and is answered with 503 (response flag NC). A subset whose labels no pod has is there without endpoints, and is answered with 503 (UH).";
    IstioHostNotFound = "HS0145", Warning, "A host of Istio's objects is not there",
        "Short names belong to the namespace of the object that writes them. A route to a host that is neither a Service nor a ServiceEntry is answered with 503 (NC); a DestinationRule for it has no effect.";
    GatewayNotServed = "HS0146", Warning, "Nobody serves a gateway or one of its ports",
        "A Gateway configures the pods that its selector finds, in all namespaces, and users reach them through a Service with the port.";
    MeshAbsent = "HS0147", Note, "Istio's objects are there, and no mesh",
        "Without `istio` under the cluster there are no proxies that could act on them: requests go where Kubernetes sends them. Add `istio: {}` to the cluster, with `injectedNamespaces` unless the manifests label namespaces or pods.";
    RoutesConflict = "HS0148", Warning, "Several VirtualServices speak of one host",
        "Sidecars take the routes of one VirtualService for a host: the oldest of those that they see. Without `metadata.creationTimestamp` all are as old as the run, and the name decides. `istioctl analyze` reports it as IST0109. Put the routes into one object.";
    PlaintextToStrict = "HS0149", Warning, "A client without a sidecar asks a server that takes only mutual TLS",
        "A PeerAuthentication with the mode STRICT lets the server's sidecar close every connection that is not mutual TLS, and a client without a sidecar cannot make one: all of its requests fail. Inject the client, or set PERMISSIVE for the port.";
    CanaryRoute = "HS0155", Error, "A canary release has no such route or version",
        "A release moves weights of a VirtualService, or of an HTTPRoute whose parent is a Service or a Gateway of Istio, from one of its destinations to another. Routes are called `name` or `namespace/name`, versions by a subset or a service that the route leads to; a cluster needs a mesh whose proxies act on it.";
    CanarySteps = "HS0156", Error, "A canary release has no steps to judge it by",
        "A release is a list of steps: weights, routes by header or copies, and pauses between them. Without a pause there is no time in which anybody could see what the new version does.";
    CanarySampleShort = "HS0157", Warning, "A canary release waits for its sample",
        "A look says nothing before both versions have answered `minimumSample` requests that were read by then. The pause is too short for that at its weight and with this traffic, so the release stays at this step until they have.";
    CanariesMeet = "HS0158", Error, "Two canary releases move one route",
        "Each of them would write its own weights over those of the other. Let the second one begin after the pauses of the first.";
    CanaryVersions = "HS0159", Error, "The versions of a canary release cannot be told apart",
        "What pods answered is counted by workload. Each version needs workloads of its own: Deployments whose labels the subsets of a DestinationRule tell apart, or services with different backends.";

    EntryUnselected = "HS0160", Warning, "Nobody selects a WorkloadEntry",
        "A WorkloadEntry describes a machine, and tells nobody of it: a ServiceEntry with a `workloadSelector`, or a Service with a `selector`, of the same namespace has to select its labels. Until then nobody asks the machine.";
    EntryHostTwice = "HS0161", Warning, "Two ServiceEntries of a namespace name one host",
        "Of a port that both have the older one says what it carries, and clients get the endpoints of both. Ports of the younger one come in addition where its `resolution`, `exportTo`, `workloadSelector` and labels are those of the older one, else proxies do not know them. Make it one ServiceEntry.";
    HostUnknown = "HS0162", Warning, "An application asks for a host that no name server knows",
        "A ServiceEntry makes a host known to sidecars, not to name servers: an application looks the name up before its sidecar sees a connection, and fails. Name servers know the `host` of machines; with `ISTIO_META_DNS_CAPTURE` the sidecar answers by itself. In the same way machines without a proxy know no Service by its name, unless it has a load balancer or node ports.";
    MachineNotFound = "HS0163", Warning, "An endpoint leads to no machine, or into no network",
        "WorkloadEntries and ServiceEntries name machines by addresses and names, which `machines` of the Scenario give them. An endpoint that no machine has is left out here; in a mesh its connections would time out. Networks are described by `meshNetworks`; one that is not counts for nothing.";
    MachineWithoutProxy = "HS0164", Warning, "Mutual TLS is expected of a machine without a proxy",
        "A machine without Istio's proxy speaks plaintext. Where its entry has a service account or the label `security.istio.io/tlsMode: istio`, sidecars send it mutual TLS and fail; where a PeerAuthentication is STRICT, its own calls are closed.";
    AmbientWithoutWaypoint = "HS0165", Warning, "A rule for HTTP, and no waypoint",
        "ztunnel carries connections and does not look into them: routes, DestinationRules and what AuthorizationPolicies say of HTTP take a waypoint or a sidecar. Rules about HTTP never allow anything at a ztunnel; a DENY rule keeps what it says of connections, and denies nobody if it says nothing else. Let the services use a waypoint (`istio.io/use-waypoint`), and attach policies to it or to them by `targetRefs`.";

    RootEnds = "HS0170", Warning, "The root of all certificates ends within the run",
        "Nobody renews a root that was plugged in. Once it has ended no new connection between sidecars comes about, istiod gives out no certificates that count, its webhooks are not believed, and proxies that lose their stream get no other; connections that stand go on. Plug in the next root in time, beside the old one.";
    RootNeverEnds = "HS0171", Warning, "A root has an issuer and no end",
        "istiod's own root lasts ten years, so without `rootExpires` it outlasts every run, whoever issued it.";

    CallersWithoutAddress = "HS0172", Warning, "A policy asks for addresses of users that have none of their own",
        "Nothing says where the addresses of these users lie, so they are somewhere in a range that is nobody's: 203.0.113.0/24, set aside for documentation. A policy with `ipBlocks`, `remoteIpBlocks`, `source.ip` or `remote.ip` decides by that. `addresses` of the user network says where they are.";
    CallersBehindNodes = "HS0173", Warning, "A policy asks for addresses that kube-proxy has replaced",
        "With `externalTrafficPolicy: Cluster`, which is the default, the node through which a connection comes in puts its own address in place of the client's, so that answers come back the same way. Proxies then see nodes, and ranges of users hold nobody. `externalTrafficPolicy: Local` keeps the addresses; a load balancer that speaks HTTP can say them in `x-forwarded-for`, which a gateway believes with `gatewayTopology.numTrustedProxies`.";

    LimitWithoutEffect = "HS0175", Warning, "A limit of rates never acts",
        "Envoy's filter for local limits refuses nothing until `filter_enabled` and `filter_enforced` say of how many requests, and a limit of a route acts only where the filter is inserted.";
    ProviderNotFound = "HS0176", Warning, "An AuthorizationPolicy names a provider that the mesh does not have",
        "`extensionProviders` of the mesh's configuration says where providers of CUSTOM policies are. istiod lets the proxies of the workload refuse what such a policy matches.";
    WaypointNotFound = "HS0177", Warning, "A waypoint is asked for that does not speak for it",
        "`istio.io/use-waypoint` names a Gateway of the class `istio-waypoint` in the same namespace, or in that of `istio.io/use-waypoint-namespace`, whose listener has to allow that namespace. Its label `istio.io/waypoint-for` says whether it speaks for services, as by default, for workloads, or for all. Otherwise istiod leaves the label aside, and ztunnels send connections straight on.";
    WaypointPassedBy = "HS0178", Warning, "Something about a waypoint is not simulated",
        "Simulated waypoints stand in front of services, for clients whose ztunnel sends connections to them. What is asked of pods and of machines past a service, and a second waypoint for a share of the connections, are not simulated: there connections go straight on. Gateways that are told to go through a waypoint do so where their service is reached through one.";
    WaypointShutOut = "HS0179", Warning, "A policy shuts out the waypoint",
        "Behind a waypoint the ztunnel of a server sees the waypoint's identity, not that of who asked it. A policy that is selected by labels, or holds for the namespace, is enforced there: it has to let the waypoint in, and what it says of clients belongs into a policy that is attached to the service or the waypoint by `targetRefs`.";

    GatewayAddress = "HS0180", Warning, "An address of a Gateway leads to no proxy",
        "istiod makes a Deployment and a Service for a Gateway of its class. An address of type Hostname asks it not to, and names the Service of pods that are there already: of the namespace of the Gateway itself. Other types of addresses count for nothing beside it.";

    OriginalAtGateway = "HS0181", Warning, "A gateway has no endpoints for a host",
        "With `resolution: NONE` a sidecar goes to the address that its application connected to. Clients of a gateway connect to the gateway, so it has nobody to send their requests to, and answers 503 (UH). Give the ServiceEntry `resolution: DNS`, or endpoints.";
    NotGranted = "HS0182", Warning, "Another namespace does not let a Gateway refer to it",
        "A route at a Gateway names a backend of another namespace, or a listener a certificate there, and no ReferenceGrant there lets those of its kind and namespace do so. Of a backend istiod answers that share of requests with 500, and sends no copies. Routes of the mesh need no grant. A listener that ends TLS needs a grant for a Secret of another namespace, for the kind that has the listener: without any certificate nobody listens for it.";
    NotReadByRelease = "HS0183", Warning, "istiod of this release does not read it",
        "TLSRoutes and listeners for TLS are read since Istio 1.30, TCPRoutes and listeners for TCP since 1.31, ListenerSets since 1.30. Earlier releases read routes and listeners, and from 1.27 on XListenerSets in the place of ListenerSets, where `PILOT_ENABLE_ALPHA_GATEWAY_API` is `true` in istiod's environment, which `values.pilot.env` of an IstioOperator says. Without that such a route is as if it were not there, and nobody listens for such a listener, or for those of such a ListenerSet. Sidecars leave out hosts with a `~` before their namespace since 1.31; earlier releases take the `~` for a namespace of its own, and refuse `~namespace`.";
    WaypointNeedsAddress = "HS0184", Warning, "A waypoint is asked for where there is no address",
        "Ztunnels and gateways send connections to a waypoint by the address of a service. A headless Service has none. A host of a ServiceEntry has one in `addresses`, or istiod gives it one where it has no wildcard and a `resolution` other than NONE; clients are told of it from Istio 1.25 on. All others are asked at the addresses of their endpoints, past the waypoint.";
    ApplicationElsewhere = "HS0185", Warning, "A Sidecar leads to a port at which nobody listens",
        "`defaultEndpoint` is where a sidecar hands in what it takes at a port. The containers of the pods name their ports, and not this one, so that connections there are refused and requests are answered with 503 (UF). Without `defaultEndpoint` connections go on to the port that they came for. Where a container listens at a port that it does not name, name it.";
    ZonesWithoutEffect = "HS0186", Warning, "Nothing is routed by zone",
        "`zoneAwareLbSetting` came with Istio 1.31. Proxies route by it once they know how many of their likes stand in which zone, for which `ISTIO_META_ENABLE_SELF_DISCOVERY` has to be `true` in their `proxyMetadata`; without that it only keeps requests in their region.";
    PatchWithoutEffect = "HS0187", Warning, "A patch of an EnvoyFilter never acts",
        "MERGE adds to lists, and what istiod has written stays in front: of several thresholds of a cluster Envoy takes the first for a priority, so that those of a patch are never looked at. Since Istio 1.31 MERGE_AND_REPLACE_LIST puts them in place of istiod's, and whatever they do not say is then as in Envoy: 1024 connections, pending requests and requests, and 3 retries.";
    KeysOutOfReach = "HS0188", Warning, "istiod cannot fetch keys of tokens",
        "istiod itself fetches the keys that `jwksUri` names, and is no part of the mesh: it asks in plaintext, and a port that takes mutual TLS only closes that connection. Proxies are then told of a key that nobody has, and answer every request with a token of this issuer with 401. `jwks` in its place, a PeerAuthentication that says PERMISSIVE for that port, or PILOT_JWT_ENABLE_REMOTE_JWKS, by which proxies fetch keys (not simulated), help.";
    IngressLeftOut = "HS0189", Warning, "istiod leaves out an Ingress or a part of it",
        "Of an Ingress istiod takes rules with paths to ports of Services, by number or by a name that the Service has, and TLS with a Secret. Default backends, other backends and rules without paths it passes over, which it only logs: requests for them get 404, and nobody listens for such TLS. With `ingressControllerMode: \"OFF\"` it serves no Ingress at all.";
    ServerLeftOut = "HS0197", Warning, "A server of a gateway never listens",
        "Of Gateways that choose the same proxies the oldest decides what a port carries. Beside servers for plain HTTP istiod lets others for HTTP in, beside a plain TCP server none, and it takes no host of TLS, or that redirects to HTTPS, twice at a port. The whole server is left out, with all its hosts; istiod only logs that.";
    ListenersConflict = "HS0198", Warning, "A listener contradicts another one of its Gateway",
        "Listeners of one port have different host names if they carry HTTP, HTTPS or TLS, and a port for TCP or UDP has one listener. Of those that contradict one another the first counts: those of the Gateway go before those of its ListenerSets, and the older ListenerSet's before the younger's. Since Istio 1.31 nobody listens for the others, and routes do not attach to them; istiod writes that into their status.";
    ListenerSetAlone = "HS0199", Warning, "A ListenerSet belongs to no Gateway",
        "A ListenerSet adds listeners to the Gateway that its `parentRef` names. The Gateway has to be one that istiod serves, and has to let it: `allowedListeners.namespaces` says whose ListenerSets may attach, and without it none may. Nobody listens for one that does not attach; istiod says at most that it is not allowed, in its status.";

    ManyScenarios = "HS0201", Error, "More than one Scenario",
        "A run has one Scenario. Name one file with a Scenario on the command line, and use `variants` for what should be compared.";
    FileNotRead = "HS0202", Error, "A file that the Scenario names cannot be read",
        "Manifests and traces are looked for relative to the folder of the scenario's own file.";
    UnknownWorkload = "HS0203", Error, "No workload has this name",
        "Workloads are called `name`, `namespace/name` or `kind/namespace/name`, with `cluster/` in front where several clusters have them. They come from the manifests, from `workloads:`, and from gateways and ingress classes, each of which is a proxy.";
    UnknownService = "HS0204", Error, "A name leads to no service or port",
        "Calls and traffic name a service as a program in a pod would: `reviews:9080`, `reviews.shop:9080`, or a full name up to `svc.cluster.local`. A service in another namespace needs its namespace.";
    UnknownCluster = "HS0205", Error, "No cluster has this name",
        "Clusters are those under `clusters:`; without any there is one that is called `cluster`.";
    UnknownNode = "HS0206", Error, "No node has this name",
        "Nodes come from Node objects among the manifests, else from `nodePools`, whose machines are called after the pool: `general-1`, `general-2`.";
    UnknownPlace = "HS0207", Error, "No place has this name",
        "Places are regions, clusters and the places of users. A region is written with its provider, as `aws/us-west-2`.";
    UnknownRegion = "HS0208", Note, "Distances to a region are not known",
        "The region is in no table of round trips, so it is taken to be far from everything. Set what you know under `links`.";
    UnknownTraffic = "HS0209", Error, "No traffic has this name",
        "Measures name traffic by its `name`; without one they are of all traffic together.";
    UnknownFault = "HS0210", Error, "The timeline has no such fault or release",
        "`recovery` is measured from a fault of the timeline, and what became of a canary release is told of a `canary` entry; each is named by its `name` or by its position as written, from 0.";
    UnknownVariant = "HS0211", Error, "No variant has this name",
        "Expectations with `variant:` hold for that variant alone, so it must be there.";
    AmbiguousName = "HS0212", Error, "A name can mean several things",
        "Say which one: with the name of its cluster, its namespace or its kind in front, or with a `cluster:` of its own.";
    DuplicateName = "HS0213", Error, "A name is given twice",
        "Things of one sort need names of their own, because results and random draws are told apart by them.";
    ImpossibleDistribution = "HS0214", Error, "No distribution has these parameters",
        "For example, the 99 % quantile of a lognormal law is greater than its median, and a hyperexponential law varies at least as much as an exponential one.";
    NoCpuLimit = "HS0215", Error, "`cpu: limit` without a CPU limit",
        "The containers of the workload have no `resources.limits.cpu` to take.";
    OutOfOrder = "HS0216", Error, "Times go back",
        "The points of a rate over time must ascend; two points at one time are a step.";
    BadTrace = "HS0217", Error, "A trace cannot be read",
        "A trace is a CSV file whose first column holds the seconds at which requests start, ascending. One header line is allowed.";
    HostNotServed = "HS0218", Error, "Nobody serves a host",
        "Traffic to a host needs an Ingress or an HTTPRoute that takes it, a VirtualService at a gateway that users can reach, or a name under `dns:`. A service inside of a cluster is named by its own name.";
    NotReachable = "HS0219", Error, "A service cannot be reached from outside",
        "Users outside of a cluster reach LoadBalancer and NodePort services, and whatever an Ingress or Gateway leads to. A ClusterIP service is reached from pods.";
    IdealNetwork = "HS0220", Error, "The ideal network has no such thing",
        "With `network: ideal` hops are free, so there are no places, links or names to look up, and there is one cluster.";
    WrongMeasure = "HS0221", Error, "A bound does not fit its measure",
        "Latencies are durations (`300ms`), availability and utilization are shares (`99.9%`), throughput is a rate (`250/s`).";
    EmptyWindow = "HS0222", Error, "A window of time is empty",
        "`from` must come before `until` and before the end of the run.";
    CallCycle = "HS0223", Error, "Calls form a circle",
        "A request would go round for ever, or wait for itself. Break the circle; a call back to the first caller is usually a request of its own, which is traffic `from` that workload.";
    Overload = "HS0224", Warning, "A workload is offered more than it can serve",
        "The work that arrives exceeds what all replicas can do together, so queues grow for as long as it lasts (or overflow, where they are bounded) and latencies say more about the length of the run than about the system. Retries, timeouts and faults are not counted. Add replicas or workers, or lower the rate.";
    NoEndpointsCalled = "HS0225", Warning, "A service on the way has no endpoints",
        "Requests lead to a service without any pods at the start, or to a host whose ServiceEntry leads to no machine and no pod, and are refused there.";
    NoRoute = "HS0226", Warning, "No route takes the requests of a traffic source",
        "The entry is there, but none of its routes takes this host, path, method and headers, so every request is answered with 404.";
    AfterTheEnd = "HS0227", Warning, "Something comes after the end of the run",
        "It has no effect. Make `run.duration` longer, or move it to an earlier time.";
    WarmUpTooLong = "HS0228", Error, "The warm-up takes the whole run",
        "What comes before the end of the warm-up is discarded, and nothing would be left.";
    TimeoutTooShort = "HS0229", Warning, "A timeout is shorter than the work behind it",
        "More than half of the attempts time out even when nobody waits in a queue.";
    PrecisionUnreachable = "HS0230", Warning, "The precision may not be reached",
        "Relative half-widths shrink with the square root of the number of replications times the requests in each. Raise `max`, make the run longer, or ask for less precision.";
    NoInterval = "HS0231", Note, "One replication has no interval",
        "How certain a result is shows only from two replications on.";
    NothingToSimulate = "HS0232", Error, "There is nothing to simulate",
        "The files hold neither a Scenario nor anything that requests could be sent to.";
    NoTraffic = "HS0233", Error, "Nobody sends requests",
        "The Scenario names no traffic, and no entry was found among the manifests that traffic could be assumed for.";
    FailoverWithoutTime = "HS0234", Warning, "A run is too short to see a recovery",
        "The run ends before what was lost could be replaced: checks take their interval times the number of failures, and resolvers keep an answer for its TTL.";

    NothingChanges = "HS0235", Warning, "An apply changes nothing that is modelled",
        "Replicas, pod templates, rollout strategies, new workloads, what services select, and routes take effect at a time of the timeline. Changes of ports, autoscalers and disruption budgets do not, in this release.";
    NoNodes = "HS0236", Error, "A cluster has no nodes",
        "Pods run on nodes. Leave `nodePools` out for a few common machines, give a pool a `count`, or add Node objects to the manifests.";
    UnknownVersion = "HS0237", Warning, "A version of Kubernetes is not known",
        "What changed between the versions 1.28 and 1.36 is modelled. An older version behaves as 1.28 and a newer one as 1.36 wherever nothing else is known.";
    FaultsContradict = "HS0238", Warning, "Two faults contradict each other",
        "Both hold at the same time, and one of them leaves nothing for the other to act on: a machine without power cannot be cut off, and a part that is down cannot be slow. Let one end before the other begins, or name other parts.";
    ScaledTwice = "HS0239", Warning, "An autoscaler and the timeline scale one workload",
        "The autoscaler puts the replicas back to what its metrics ask for at its next look. Remove one of the two, or mean it.";
    NoEarlierRevision = "HS0240", Warning, "A rollback has no revision to go back to",
        "A rollback undoes the last change of a pod template, which an `apply` earlier on the timeline has to make. Without one `kubectl rollout undo` fails, and nothing happens here.";
    NothingToActOn = "HS0241", Warning, "An operation or a fault finds nothing to act on",
        "At its time the pods that it deletes or strikes are not there, the machine that it opens was never closed, or the one that it closes is closed. It has no effect, or less than it says.";
    UnknownImage = "HS0242", Warning, "No pod is made from an image that is described",
        "`images` of a `behavior` says what pods do that are made from one image. No template of the workload, at the start or by an `apply`, has a container with it first. Write the image as the manifest does, with its tag.";
    NameNotFound = "HS0243", Warning, "Pods call a service by a name that they cannot resolve",
        "`dnsPolicy` and `dnsConfig` decide which name servers a pod asks and what it searches. Only the cluster's DNS knows its services, and a short name is found only where the search list completes it. Every such call fails.";
    WrongTransport = "HS0244", Error, "A port is asked over another protocol than its own",
        "A port of a Service is for TCP unless its `protocol` says UDP or SCTP, and nobody listens there over another one. HTTP goes over TCP: write `protocol: udp` where the traffic or the call is described, or name another port. Nothing is sent over SCTP.";

    TooManyProblems = "HS0900", Note, "More problems than are shown",
        "Only the first some thousand problems are kept.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_ascending_and_texts_are_whole() {
        for pair in Code::ALL.windows(2) {
            assert!(
                pair[0].id() < pair[1].id(),
                "{} before {}",
                pair[0].id(),
                pair[1].id()
            );
        }
        for &code in Code::ALL {
            assert_eq!(Code::from_id(&code.id().to_lowercase()), Some(code));
            assert!(
                code.explanation().ends_with('.') && !code.title().ends_with('.'),
                "{}",
                code.id()
            );
        }
    }
}
