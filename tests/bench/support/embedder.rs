//! Embeddings without a model: texts that share words have similar vectors, and the same text has the same vector.

use super::text_generator::is_stop_word;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, RwLock};

/// Dimension of the vectors.
pub const DIMENSION: usize = 768;
/// Name of the model in requests.
pub const MODEL_NAME: &str = "embed";

/// Computes vectors as sums of random word vectors, which it caches.
#[derive(Default)]
pub struct WordEmbedder {
    word_vectors: RwLock<HashMap<String, Arc<[f32]>>>,
}

impl WordEmbedder {
    /// Returns the vector of a text, scaled to unit length.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0_f32; DIMENSION];
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let word = word.to_lowercase();
            if is_stop_word(&word) {
                continue;
            }
            for (total, component) in sum.iter_mut().zip(self.word_vector(word).iter()) {
                *total += component;
            }
        }
        let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length == 0.0 {
            sum[0] = 1.0;
            return sum;
        }
        sum.iter_mut().for_each(|x| *x /= length);
        sum
    }

    fn word_vector(&self, word: String) -> Arc<[f32]> {
        if let Some(cached) = self.word_vectors.read().ok().and_then(|words| words.get(&word).cloned()) {
            return cached;
        }
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        let mut rng = fastrand::Rng::with_seed(hasher.finish());
        let vector: Arc<[f32]> = (0..DIMENSION).map(|_| rng.f32() - 0.5).collect();
        if let Ok(mut words) = self.word_vectors.write() {
            words.insert(word, Arc::clone(&vector));
        }
        vector
    }
}
