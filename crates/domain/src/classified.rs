//! Content with its classification: the type of everything that can enter a prompt or be returned by a tool.

use crate::role::Classification;

/// Content with its classification.
///
/// A prompt is assembled from such parts and has the highest of their classifications, which decides which backends may
/// serve the prompt and becomes the classification of the answer. It cannot be dropped by accident: code either borrows
/// the content or takes content and classification together with [`Classified::into_parts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Classified<T> {
    content: T,
    classification: Classification,
}

impl<T> Classified<T> {
    /// Wraps content with the given classification.
    #[must_use]
    pub const fn new(content: T, classification: Classification) -> Self {
        Self { content, classification }
    }

    /// Wraps content that knows its own classification.
    #[must_use]
    pub fn from_content(content: T) -> Self
    where
        T: HasClassification,
    {
        let classification = content.classification();
        Self { content, classification }
    }

    /// Decides who may see the content and which backends may serve it.
    #[must_use]
    pub const fn classification(&self) -> Classification {
        self.classification
    }

    /// Borrows the content.
    #[must_use]
    pub const fn content(&self) -> &T {
        &self.content
    }

    /// Borrows the content for changes, which must not add content of a higher classification.
    pub const fn content_mut(&mut self) -> &mut T {
        &mut self.content
    }

    /// Borrows the content with its classification.
    #[must_use]
    pub const fn as_ref(&self) -> Classified<&T> {
        Classified { content: &self.content, classification: self.classification }
    }

    /// Transforms the content and keeps the classification. `transform` must not add content of a higher one.
    #[must_use]
    pub fn map<U>(self, transform: impl FnOnce(T) -> U) -> Classified<U> {
        Classified { content: transform(self.content), classification: self.classification }
    }

    /// Combines two contents; the result has the higher of the two classifications.
    #[must_use]
    pub fn combine<U, V>(self, other: Classified<U>, merge: impl FnOnce(T, U) -> V) -> Classified<V> {
        let classification = self.classification.max(other.classification);
        Classified { content: merge(self.content, other.content), classification }
    }

    /// Splits this into the content and its classification.
    #[must_use]
    pub fn into_parts(self) -> (T, Classification) {
        (self.content, self.classification)
    }
}

impl<T> Classified<Vec<T>> {
    /// An empty list with the lowest classification.
    #[must_use]
    pub const fn empty() -> Self {
        Self { content: Vec::new(), classification: Classification::Public }
    }

    /// Appends an item, and raises the classification of the list to that of the item if it is higher.
    pub fn push(&mut self, item: Classified<T>) {
        self.classification = self.classification.max(item.classification);
        self.content.push(item.content);
    }

    /// Appends several items, and raises the classification of the list to theirs if it is higher.
    pub fn extend(&mut self, items: Classified<Vec<T>>) {
        self.classification = self.classification.max(items.classification);
        self.content.extend(items.content);
    }
}

/// Content that knows its own classification.
pub trait HasClassification {
    /// The highest classification of the contents.
    fn classification(&self) -> Classification;
}

impl<T: HasClassification> HasClassification for [T] {
    fn classification(&self) -> Classification {
        self.iter().map(HasClassification::classification).max().unwrap_or(Classification::Public)
    }
}

impl<T: HasClassification> HasClassification for Vec<T> {
    fn classification(&self) -> Classification {
        self.as_slice().classification()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_content_has_the_highest_classification() {
        let public = Classified::new("a", Classification::Public);
        let restricted = Classified::new("b", Classification::Restricted);
        assert_eq!(
            public.combine(restricted, |a, b| format!("{a}{b}")).into_parts(),
            ("ab".to_owned(), Classification::Restricted)
        );
        let mut list = Classified::empty();
        assert_eq!(list.classification(), Classification::Public);
        list.push(restricted);
        list.push(public);
        assert_eq!((list.classification(), list.content().len()), (Classification::Restricted, 2));
        let mut extended = Classified::empty();
        extended.extend(list);
        assert_eq!(extended.map(|items| items.len()).into_parts(), (2, Classification::Restricted));
    }
}
