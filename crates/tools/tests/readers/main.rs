//! Tests of the readers on fixtures and generated files: their text, robustness against damaged and crafted files, OCR,
//! and the isolation of the child process.

#[cfg(test)]
mod damaged_files;
#[cfg(test)]
mod docx;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod generated_pdfs;
#[cfg(test)]
mod hostile_files;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod known_attacks;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod ocr;
#[cfg(test)]
mod office;
#[cfg(test)]
mod pdf;
#[cfg(test)]
mod sheets;
#[cfg(test)]
mod support;
