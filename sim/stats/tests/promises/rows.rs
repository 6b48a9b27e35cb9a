//! The rows of `tests/data/closed-forms.csv`.

/// One published value.
pub struct Row {
    pub id: String,
    pub parameters: String,
    pub value: f64,
}

const TABLE: &str = include_str!("../../../../tests/data/closed-forms.csv");

/// Every row of the table, in its order.
pub fn all() -> Vec<Row> {
    TABLE
        .lines()
        .skip(1)
        .map(|line| {
            let cells = cells(line);
            assert_eq!(cells.len(), 7, "a row has seven cells: {line}");
            Row {
                id: cells[0].clone(),
                parameters: cells[2].clone(),
                value: cells[4].parse().expect("a value is a number"),
            }
        })
        .collect()
}

/// Splits at commas outside quotes; a doubled quote inside quotes stands for one.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let last = cells.len() - 1;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cells[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cells[last].push(other),
        }
    }
    cells
}

impl Row {
    /// The number given as `name=…` among the parameters; units after it are left out.
    pub fn number(&self, name: &str) -> f64 {
        self.optional(name)
            .unwrap_or_else(|| panic!("{} has no parameter {name}", self.id))
    }

    /// The same as a count.
    pub fn count(&self, name: &str) -> u32 {
        self.number(name) as u32
    }

    fn optional(&self, name: &str) -> Option<f64> {
        let given = self
            .parameters
            .split(';')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
        let end = given
            .find(|c: char| !(c.is_ascii_digit() || ".-e".contains(c)))
            .unwrap_or(given.len());
        let number: f64 = given[..end].parse().ok()?;
        Some(if given[end..].starts_with('%') {
            number / 100.0
        } else {
            number
        })
    }

    /// The probability that ends the identifier, as 0.99 of `MM1a-Tq0.99`.
    pub fn probability(&self) -> f64 {
        let start = self
            .id
            .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map_or(0, |position| position + 1);
        self.id[start..]
            .parse()
            .expect("the identifier ends in a probability")
    }

    /// What the identifier says before its first dash, and after it.
    pub fn family(&self) -> (&str, &str) {
        self.id.split_once('-').unwrap_or((&self.id, ""))
    }
}
