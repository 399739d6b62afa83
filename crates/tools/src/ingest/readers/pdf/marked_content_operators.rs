//! Executes marked-content operators, and looks up optional content groups (layers).

use lopdf::{Dictionary, Object, decode_text_string};

use super::dictionary::dictionary;
use super::interpret::Interpreter;
use super::lexer::Operand;
use super::marked_content::{self, Replacement};

impl Interpreter<'_> {
    /// Operators `BMC` and `BDC`: open a marked-content sequence, which may belong to a layer or have an `ActualText`.
    pub(super) fn begin_marked_content(&mut self, operands: &[Operand], resources: Option<&Dictionary>) {
        let (hidden, text) = match operands {
            [Operand::Name(tag), Operand::Name(name), ..] => {
                let properties = resources.and_then(|resources| dictionary(self.document, resources, b"Properties"));
                let list = properties.and_then(|properties| properties.get(name).ok());
                let entries = list.and_then(|list| self.document.dereference(list).ok()?.1.as_dict().ok());
                let text = entries.and_then(|entries| entries.get_deref(b"ActualText", self.document).ok());
                let hidden = tag == b"OC" && list.is_some_and(|layer| self.is_hidden(layer));
                (hidden, text.and_then(|text| decode_text_string(text).ok()))
            }
            [Operand::Name(_), Operand::Dictionary(raw), ..] => (false, marked_content::inline_actual_text(raw)),
            _ => (false, None),
        };
        self.marked_content.open(hidden, text);
    }

    /// Adds the `ActualText` of a sequence that has ended; does nothing without one.
    pub(super) fn emit_replacement(&mut self, replacement: Option<Replacement>) {
        if let Some(replacement) = replacement {
            let out = if replacement.is_invisible() { &mut self.invisible_words } else { &mut self.visible_words };
            self.content.has_hidden_text |= !replacement.push_to(out);
        }
    }

    pub(super) fn is_hidden_layer(&self, form: &Dictionary) -> bool {
        form.get(b"OC").is_ok_and(|layer| self.is_hidden(layer))
    }

    /// Whether a layer is off. A membership dictionary is judged by its first group.
    fn is_hidden(&self, layer: &Object) -> bool {
        let Ok(id) = layer.as_reference() else { return false };
        let group = self.document.get_dictionary(id).ok().and_then(|layer| layer.get(b"OCGs").ok());
        let first_group = match group {
            Some(Object::Array(groups)) => groups.first().and_then(|group| group.as_reference().ok()),
            Some(group) => group.as_reference().ok(),
            None => None,
        };
        self.hidden_layers.contains(&first_group.unwrap_or(id))
    }
}
