//! Resolves resources that operators refer to by name: fonts, graphics state parameters and color spaces.

use std::rc::Rc;

use lopdf::{Dictionary, Object};

use super::context::MAX_FONTS;
use super::dictionary::{dictionary, number};
use super::font::Font;
use super::interpret::Interpreter;
use super::lexer::Operand;
use super::state::ColorSpace;

impl<'a> Interpreter<'a> {
    /// Operator `Tf`: selects a font and its size.
    pub(super) fn set_font(&mut self, operands: &[Operand], resources: Option<&Dictionary>) {
        let [Operand::Name(name), Operand::Number(size), ..] = operands else { return };
        self.state.text.size = *size;
        let fonts = resources.and_then(|resources| dictionary(self.document, resources, b"Font"));
        let font = fonts.and_then(|fonts| fonts.get(name).ok()).and_then(|font| self.cached_font(font));
        self.state.text.font = Some(font.unwrap_or_else(|| self.substitute_font()));
    }

    /// Operator `gs`: applies the font and the fill opacity of a graphics state parameter dictionary.
    pub(super) fn apply_graphics_parameters(&mut self, operands: &[Operand], resources: Option<&Dictionary>) {
        let Some(parameters) = self.resource(operands, resources, b"ExtGState").and_then(|p| p.as_dict().ok()) else {
            return;
        };
        if let Some(opacity) = number(self.document, parameters, b"ca") {
            self.state.opacity = opacity;
        }
        if let Ok([font, size]) =
            parameters.get_deref(b"Font", self.document).and_then(Object::as_array).map(Vec::as_slice)
        {
            self.state.text.font = self.cached_font(font);
            self.state.text.size = size.as_float().unwrap_or(0.0);
        }
    }

    /// The kind of the color space that the operand of `cs` names.
    pub(super) fn color_space(&self, operands: &[Operand], resources: Option<&Dictionary>) -> ColorSpace {
        let name = operands.first().and_then(Operand::name).unwrap_or_default();
        if matches!(name, b"DeviceGray" | b"DeviceRGB" | b"DeviceCMYK" | b"G" | b"RGB" | b"CMYK") {
            return ColorSpace::Device;
        }
        let family = self.resource(operands, resources, b"ColorSpace").and_then(|space| match space {
            Object::Array(parts) => self.document.dereference(parts.first()?).ok()?.1.as_name().ok(),
            single => single.as_name().ok(),
        });
        match family {
            Some(b"ICCBased" | b"CalGray" | b"CalRGB" | b"DeviceGray" | b"DeviceRGB" | b"DeviceCMYK") => {
                ColorSpace::Device
            }
            Some(b"Separation" | b"DeviceN") => ColorSpace::Tints,
            _ => ColorSpace::Other,
        }
    }

    /// The resource in this category that the first operand names.
    fn resource<'r>(
        &self,
        operands: &[Operand],
        resources: Option<&'r Dictionary>,
        category: &[u8],
    ) -> Option<&'r Object>
    where
        'a: 'r,
    {
        let name = operands.first().and_then(Operand::name)?;
        dictionary(self.document, resources?, category)?.get_deref(name, self.document).ok()
    }

    fn substitute_font(&mut self) -> Rc<Font> {
        // 0 is never the address of a dictionary.
        Rc::clone(self.fonts.entry(0).or_insert_with(|| Rc::new(Font::substitute())))
    }

    fn cached_font(&mut self, font: &Object) -> Option<Rc<Font>> {
        let dictionary = self.document.dereference(font).ok()?.1.as_dict().ok()?;
        let key = std::ptr::from_ref(dictionary) as usize;
        if let Some(cached) = self.fonts.get(&key) {
            return Some(Rc::clone(cached));
        }
        if self.fonts.len() >= MAX_FONTS {
            self.fonts.clear();
        }
        let loaded = Rc::new(Font::load(self.document, dictionary));
        self.fonts.insert(key, Rc::clone(&loaded));
        Some(loaded)
    }
}
