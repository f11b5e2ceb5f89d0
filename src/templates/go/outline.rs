//! Where literal text of a JSON object stands: inside a string or not, how deep, and which members the outermost object
//! names.

/// The place that reading has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    /// The open arrays and objects; `true` for objects.
    open: Vec<bool>,
    is_in_string: bool,
    is_escaped: bool,
    expects_name: bool,
    /// The text of the string so far, where it may be a name of the outermost object.
    name: Option<String>,
    names: Vec<String>,
}

impl Outline {
    pub(super) fn is_in_string(&self) -> bool {
        self.is_in_string
    }

    /// How many arrays and objects are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// The members of the outermost object that were named, in order.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes over the names that another reading from the same place found.
    pub(super) fn add_names(&mut self, other: &Outline) {
        for name in &other.names {
            if !self.names.contains(name) {
                self.names.push(name.clone());
            }
        }
    }

    /// Notes that an expression wrote a whole value.
    pub(super) fn value(&mut self) {
        self.expects_name = false;
    }

    pub(super) fn read(&mut self, text: &str) {
        for character in text.chars() {
            if self.is_in_string {
                self.in_string(character);
                continue;
            }
            match character {
                '"' => {
                    self.is_in_string = true;
                    self.name = (self.expects_name && self.open.len() == 1).then(String::new);
                }
                '{' | '[' => {
                    self.open.push(character == '{');
                    self.expects_name = character == '{';
                }
                '}' | ']' => {
                    self.open.pop();
                    self.expects_name = false;
                }
                ',' => self.expects_name = self.open.last() == Some(&true),
                ':' => self.expects_name = false,
                _ => {}
            }
        }
    }

    fn in_string(&mut self, character: char) {
        if self.is_escaped {
            self.is_escaped = false;
        } else if character == '\\' {
            self.is_escaped = true;
        } else if character == '"' {
            self.is_in_string = false;
            self.names.extend(self.name.take());
            return;
        }
        if let Some(name) = &mut self.name {
            name.push(character);
        }
    }
}
