//! Composes trees from parser events, within a budget.

use super::documents::{Slice, split};
use super::resolve::{ScalarKind, resolve};
use super::{Entry, Node, Value};
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag, options};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of text.
    pub bytes_max: usize,
    /// Documents.
    pub documents_max: usize,
    /// Keys and values, aliases counted with all that they stand for.
    pub nodes_max: usize,
    /// Maps and lists within one another.
    pub depth_max: usize,
}

impl Default for Budget {
    /// Room for everything in a cluster of some thousand pods, and for no more than about
    /// 200 MB of memory.
    fn default() -> Self {
        Budget {
            bytes_max: 64 << 20,
            documents_max: 50_000,
            nodes_max: 2_000_000,
            depth_max: 100,
        }
    }
}

/// The documents of a file, as trees. A document that cannot be read is left out and reported;
/// the others are not affected.
pub fn parse(text: &str, file: u32, budget: Budget, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let mut over = |message: String| {
        diagnostics.report(Code::OverBudget, Span::start_of_file(file), message);
    };
    if text.len() > budget.bytes_max {
        over(format!(
            "the file holds {} bytes; at most {} are read",
            text.len(),
            budget.bytes_max
        ));
        return Vec::new();
    }
    let slices = split(text);
    if slices.len() > budget.documents_max {
        over(format!(
            "the file holds {} documents; at most {} are read",
            slices.len(),
            budget.documents_max
        ));
        return Vec::new();
    }
    let mut nodes_left = budget.nodes_max;
    slices
        .into_iter()
        .filter_map(|slice| {
            let mut composer =
                Composer::new(text, slice, file, budget, &mut nodes_left, diagnostics);
            match composer.document() {
                Ok(root) => root,
                Err(stop) => {
                    composer
                        .diagnostics
                        .report(stop.code, stop.span, stop.message)
                        .help = stop.help;
                    None
                }
            }
        })
        .collect()
}

/// Why a document cannot be read.
struct Stop {
    code: Code,
    span: Span,
    message: String,
    help: Option<String>,
}

/// What an alias may stand for.
struct Anchor {
    node: Node,
    nodes: usize,
    height: usize,
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    slice: Slice,
    text: &'a str,
    file: u32,
    budget: Budget,
    nodes_left: &'a mut usize,
    anchors: BTreeMap<usize, Anchor>,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Composer<'a> {
    fn new(
        text: &'a str,
        slice: Slice,
        file: u32,
        budget: Budget,
        nodes_left: &'a mut usize,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        let options = options! {
            emit_comments: false,
            // One more than the budget, so that the budget speaks first.
            flow_nesting_limit: budget.depth_max + 1,
            block_nesting_limit: budget.depth_max + 1,
        };
        let parser = Parser::new_from_str_with_options(&text[slice.bytes.clone()], options);
        Composer {
            parser,
            slice,
            text,
            file,
            budget,
            nodes_left,
            anchors: BTreeMap::new(),
            diagnostics,
        }
    }

    /// The root of the document; `None` if it is empty.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            match self.next()? {
                None | Some((Event::StreamEnd, _)) => {
                    return Ok(root.filter(|node: &Node| !node.is_null()));
                }
                Some((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _)) => {}
                Some((event, span)) => {
                    let (node, _) = self.node(event, span, 0)?;
                    if root.is_some() {
                        return Err(self.syntax(
                            node.span,
                            "a second document starts without `---`".to_owned(),
                        ));
                    }
                    root = Some(node);
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let span = self.span(span.start, span.end);
                Ok(Some((event, span)))
            }
            Some(Err(error)) => Err(self.scan_error(&error)),
        }
    }

    fn scan_error(&self, error: &ScanError) -> Stop {
        let span = self.span(*error.marker(), *error.marker());
        // The parser reaches its own limit of nesting before the tree that is made of its events.
        if error.info().contains("recursion limit") {
            return self.too_deep(span);
        }
        let mut stop = self.syntax(span, format!("not valid YAML: {}", error.info()));
        if self.text[..span.start as usize]
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim_end_matches([' ']).ends_with('\t'))
        {
            stop.help = Some("YAML does not allow tabs for indentation: use spaces".to_owned());
        }
        stop
    }

    fn syntax(&self, span: Span, message: String) -> Stop {
        Stop {
            code: Code::Syntax,
            span,
            message,
            help: None,
        }
    }

    /// Markers count from the start of the slice.
    fn span(&self, start: Marker, end: Marker) -> Span {
        let length = self.slice.bytes.len();
        let at = |marker: Marker| {
            let within = marker.byte_offset().unwrap_or(length).min(length);
            (self.slice.bytes.start + within) as u32
        };
        Span {
            file: self.file,
            start: at(start),
            end: at(end).max(at(start)),
            line: self.slice.lines_before + start.line().max(1) as u32,
            column: start.col() as u32 + 1,
        }
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) => {
                *self.nodes_left = left;
                Ok(())
            }
            None => Err(Stop {
                code: Code::OverBudget,
                span,
                message: format!(
                    "the file holds more than {} values, aliases included",
                    self.budget.nodes_max
                ),
                help: None,
            }),
        }
    }

    fn check_depth(&self, depth: usize, span: Span) -> Result<(), Stop> {
        if depth <= self.budget.depth_max {
            return Ok(());
        }
        Err(self.too_deep(span))
    }

    fn too_deep(&self, span: Span) -> Stop {
        Stop {
            code: Code::OverBudget,
            span,
            message: format!(
                "maps and lists are nested more than {} deep",
                self.budget.depth_max
            ),
            help: Some(
                "an object of Kubernetes is some ten deep; is a bracket not closed?".to_owned(),
            ),
        }
    }

    /// The node that an event starts, and its height.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<(Node, usize), Stop> {
        self.spend(1, span)?;
        self.check_depth(depth, span)?;
        let nodes_before = *self.nodes_left;
        let (node, height, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let kind = scalar_kind(&text, style, tag.as_deref());
                (
                    Node {
                        span,
                        value: Value::Scalar(text.into_owned(), kind),
                    },
                    0,
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, _) => {
                let (node, height) = self.sequence(span, depth)?;
                (node, height, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let (node, height) = self.mapping(span, depth)?;
                (node, height, anchor)
            }
            _ => return Err(self.syntax(span, "not valid YAML: a value is missing".to_owned())),
        };
        if anchor != 0 {
            let nodes = 1 + nodes_before - *self.nodes_left;
            self.spend(nodes, span)?;
            self.anchors.insert(
                anchor,
                Anchor {
                    node: node.clone(),
                    nodes,
                    height,
                },
            );
        }
        Ok((node, height))
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(self.syntax(
                span,
                "an alias stands inside the value that it names".to_owned(),
            ));
        };
        let (nodes, height) = (anchor.nodes, anchor.height);
        self.check_depth(depth + height, span)?;
        self.spend(nodes, span)?;
        Ok((self.anchors[&id].node.clone(), height))
    }

    fn sequence(&mut self, start: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let (mut items, mut height, mut span) = (Vec::new(), 0, start);
        loop {
            match self.next()? {
                Some((Event::SequenceEnd, end)) => {
                    span.end = span.end.max(end_of_collection(
                        &items,
                        |item: &Node| item.span,
                        end,
                        start,
                    ));
                    return Ok((
                        Node {
                            span,
                            value: Value::Sequence(items),
                        },
                        height + 1,
                    ));
                }
                Some((event, at)) => {
                    let (item, item_height) = self.node(event, at, depth + 1)?;
                    height = height.max(item_height);
                    items.push(item);
                }
                None => {
                    return Err(
                        self.syntax(start, "not valid YAML: the list does not end".to_owned())
                    );
                }
            }
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let (mut entries, mut merged) = (Vec::<Entry>::new(), Vec::new());
        let (mut height, mut span) = (0, start);
        loop {
            match self.next()? {
                Some((Event::MappingEnd, end)) => {
                    span.end = span.end.max(end_of_collection(
                        &entries,
                        |entry: &Entry| entry.value.span,
                        end,
                        start,
                    ));
                    self.drop_duplicates(&mut entries);
                    self.merge(&mut entries, merged)?;
                    return Ok((
                        Node {
                            span,
                            value: Value::Mapping(entries),
                        },
                        height + 1,
                    ));
                }
                Some((event, at)) => {
                    let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
                    let (key, key_height) = self.node(event, at, depth + 1)?;
                    let Some((event, at)) = self.next()? else {
                        return Err(
                            self.syntax(at, "not valid YAML: the map does not end".to_owned())
                        );
                    };
                    let (value, value_height) = self.node(event, at, depth + 1)?;
                    height = height.max(key_height).max(value_height);
                    if merges {
                        merged.push(value);
                    } else if let Value::Scalar(text, _) = key.value {
                        entries.push(Entry {
                            key: text,
                            key_span: key.span,
                            value,
                        });
                    } else {
                        let message = format!("a key must be a string, this is {}", key.describe());
                        let found = self
                            .diagnostics
                            .report(Code::KeyNotString, key.span, message);
                        if self.text[..key.span.start as usize].ends_with('{') {
                            found.help("if this is a template, fill it in first (`helm template`, `envsubst`)");
                        }
                    }
                }
                None => {
                    return Err(
                        self.syntax(start, "not valid YAML: the map does not end".to_owned())
                    );
                }
            }
        }
    }

    /// Keeps the first of several entries with one key.
    fn drop_duplicates(&mut self, entries: &mut Vec<Entry>) {
        let mut first = BTreeMap::new();
        let mut is_first = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            let earlier = *first.entry(entry.key.as_str()).or_insert(entry.key_span);
            is_first.push(earlier == entry.key_span);
            if earlier != entry.key_span {
                let message = format!("the key `{}` is given twice", shorten(&entry.key));
                self.diagnostics
                    .report(Code::DuplicateKey, entry.key_span, message)
                    .help(format!(
                        "it stands on line {} already; remove one of the two",
                        earlier.line
                    ));
            }
        }
        let mut keep = is_first.into_iter();
        entries.retain(|_| keep.next().unwrap_or(true));
    }

    /// Adds what merge keys bring; a map's own keys win, then the earlier source.
    fn merge(&mut self, entries: &mut Vec<Entry>, sources: Vec<Node>) -> Result<(), Stop> {
        if sources.is_empty() {
            return Ok(());
        }
        let mut known: std::collections::BTreeSet<String> =
            entries.iter().map(|entry| entry.key.clone()).collect();
        for source in sources {
            let span = source.span;
            let maps = match source.value {
                Value::Sequence(items) => items,
                _ => vec![source],
            };
            for map in maps {
                let Value::Mapping(brought) = map.value else {
                    return Err(self.syntax(span, "`<<` takes a map or a list of maps".to_owned()));
                };
                self.spend(brought.len(), span)?;
                entries.extend(
                    brought
                        .into_iter()
                        .filter(|entry| known.insert(entry.key.clone())),
                );
            }
        }
        Ok(())
    }
}

/// Where a collection ends: after its closing bracket, or in block style after its last item.
fn end_of_collection<T>(items: &[T], span: impl Fn(&T) -> Span, end: Span, start: Span) -> u32 {
    let last = items.last().map_or(start.end, |item| span(item).end);
    // The end of a block collection is only found at the next token, far below.
    if end.end > end.start {
        end.end
    } else {
        last.max(start.end)
    }
}

fn scalar_kind(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> ScalarKind {
    let plain = match tag.and_then(Tag::core_suffix) {
        Some("str") => false,
        Some(_) => true,
        None => tag.is_none() && style == ScalarStyle::Plain,
    };
    if plain {
        resolve(text)
    } else {
        ScalarKind::String
    }
}

/// A text short enough for a message.
fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::File;

    fn read(text: &str) -> (Vec<Node>, Vec<String>) {
        read_within(text, Budget::default())
    }

    fn read_within(text: &str, budget: Budget) -> (Vec<Node>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let nodes = parse(text, 0, budget, &mut diagnostics);
        let files = [File {
            name: "f".to_owned(),
            text: text.to_owned(),
        }];
        let told = diagnostics
            .finish(&files)
            .iter()
            .map(|diagnostic| {
                format!(
                    "{}:{} {}",
                    diagnostic.line, diagnostic.column, diagnostic.message
                )
            })
            .collect();
        (nodes, told)
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text =
            "---\na: 1\n---\n# é\nname: é\nlist:\n- {x: [1, \"two\"]}\n- |\n  block\nlast: end\n";
        let (nodes, told) = read(text);
        assert_eq!(told, [""; 0]);
        assert_eq!(nodes.len(), 2);
        let two = &nodes[1].get("list").unwrap().items()[0]
            .get("x")
            .unwrap()
            .items()[1];
        assert_eq!((two.span.line, two.span.column), (7, 11));
        assert_eq!(
            &text[two.span.start as usize..two.span.end as usize],
            "\"two\""
        );
        let last = nodes[1].entry("last").unwrap();
        assert_eq!(
            &text[last.key_span.start as usize..last.key_span.end as usize],
            "last"
        );
        let list = nodes[1].get("list").unwrap().span;
        assert!(
            text[list.start as usize..list.end as usize]
                .trim_end()
                .ends_with("block")
        );
    }

    #[test]
    fn an_error_in_one_document_leaves_the_others() {
        let (nodes, told) = read("a: 1\n---\nb: [1\n---\nc: 3\n");
        assert_eq!(nodes.len(), 2);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("not valid YAML"), "{told:?}");
    }

    #[test]
    fn duplicate_keys_are_told_and_the_first_stays() {
        let (nodes, told) = read("a: 1\nb: 2\na: 3\n");
        assert_eq!(nodes[0].get("a").unwrap().integer(), Some(1));
        assert_eq!(told, ["3:1 the key `a` is given twice"]);
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved() {
        let (nodes, told) = read(
            "base: &b {x: 1, y: 2}\nmore: &m {z: 5, x: 6}\nuse:\n  <<: [*b, *m]\n  y: 3\nagain: *b\n",
        );
        assert_eq!(told, [""; 0]);
        let used = nodes[0].get("use").unwrap();
        let values = ["x", "y", "z"].map(|key| used.get(key).unwrap().integer().unwrap());
        assert_eq!(values, [1, 3, 5]);
        assert_eq!(nodes[0].at(&["again", "y"]).unwrap().integer(), Some(2));
    }

    #[test]
    fn budgets_hold() {
        let mut bomb = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..40 {
            bomb += &format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1);
        }
        let (nodes, told) = read(&bomb);
        assert!(
            nodes.is_empty() && told[0].contains("aliases included"),
            "{told:?}"
        );

        let (nodes, told) = read(&"[".repeat(100_000));
        assert!(nodes.is_empty() && told.len() == 1, "{told:?}");
        let (nodes, told) = read(&format!("{}x", "- ".repeat(5_000)));
        assert!(nodes.is_empty() && told.len() == 1, "{told:?}");
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..300 {
            chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        let (nodes, told) = read(&chain);
        assert!(nodes.is_empty() && told[0].contains("deep"), "{told:?}");

        let small = Budget {
            bytes_max: 10,
            documents_max: 1,
            ..Budget::default()
        };
        assert!(read_within("a: 12345678", small).1[0].contains("bytes"));
        assert!(read_within("a\n---\nb", small).1[0].contains("documents"));
    }

    #[test]
    fn quotes_and_tags_keep_strings() {
        let (nodes, _) = read("[\"1\", '1', !!str 1, 1, !!int \"1\", !custom 1]");
        let integers: Vec<_> = nodes[0].items().iter().map(Node::integer).collect();
        assert_eq!(integers, [None, None, None, Some(1), Some(1), None]);
    }

    #[test]
    fn lines_of_windows_and_marks_of_encodings_do_no_harm() {
        let text = "\u{feff}a: é\r\nb: |\r\n  x\r\n---\r\nc: 3\r\n...\r\n";
        let (nodes, told) = read(text);
        assert_eq!(told, [""; 0]);
        assert_eq!(nodes[0].get("a").unwrap().str(), Some("é"));
        assert_eq!(nodes[0].get("b").unwrap().str(), Some("x\n"));
        let c = nodes[1].entry("c").unwrap();
        assert_eq!((c.key_span.line, c.key_span.column), (5, 1));
    }

    #[test]
    fn templates_are_known_for_what_they_are() {
        let (_, told) = read("image: {{ .Values.image }}\n");
        assert_eq!(told.len(), 1, "{told:?}");
        let (_, told) = read("replicas: {{ count }}\n");
        assert_eq!(told, ["1:12 a key must be a string, this is a map"]);
    }
}
