//! Plans the requests that read a set of addresses: as few as possible, without registers that were not requested,
//! because a device may refuse a request for a single register that it does not have.

use super::address::{Address, Table};

/// One request for adjacent entries of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The table that is read.
    pub table: Table,
    /// First entry, counted from 0.
    pub start: u16,
    /// Number of entries.
    pub quantity: u16,
}

impl Block {
    fn end(self) -> u32 {
        u32::from(self.start) + u32::from(self.quantity)
    }

    /// Offset of an address in the response to this request; `None` if it is not in it.
    pub fn offset(self, address: Address) -> Option<usize> {
        (self.table == address.table && self.start <= address.start && address.end() <= self.end())
            .then(|| usize::from(address.start - self.start))
    }
}

impl From<Address> for Block {
    fn from(address: Address) -> Self {
        Self { table: address.table, start: address.start, quantity: address.quantity }
    }
}

/// The requests that read all addresses: neighbours and overlaps together, up to the maximum of one request.
pub fn blocks(addresses: &[Address]) -> Vec<Block> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut blocks: Vec<Block> = Vec::new();
    for address in sorted {
        match blocks.last().and_then(|last| extended(*last, address)) {
            Some(longer) => {
                blocks.pop();
                blocks.push(longer);
            }
            None => blocks.push(address.into()),
        }
    }
    blocks
}

/// The block with an address that follows it or overlaps it, if that fits into one request.
fn extended(block: Block, address: Address) -> Option<Block> {
    if block.table != address.table || u32::from(address.start) > block.end() {
        return None;
    }
    let quantity = u16::try_from(address.end().max(block.end()) - u32::from(block.start)).ok()?;
    (quantity <= block.table.max_quantity()).then_some(Block { quantity, ..block })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(start: u16, quantity: u16) -> Address {
        Address { table: Table::HoldingRegisters, start, quantity }
    }

    fn block(start: u16, quantity: u16) -> Block {
        register(start, quantity).into()
    }

    #[test]
    fn neighbours_and_overlaps_are_one_request_and_gaps_are_not_read() {
        let addresses = [register(12, 1), register(10, 2), register(11, 2), register(20, 1)];
        assert_eq!(blocks(&addresses), [block(10, 3), block(20, 1)]);
    }

    #[test]
    fn tables_are_read_apart() {
        let coil = Address { table: Table::Coils, start: 11, quantity: 1 };
        assert_eq!(blocks(&[register(10, 1), coil]).len(), 2);
    }

    #[test]
    fn a_request_stays_within_the_protocols_limit() {
        let addresses: Vec<_> = (0..100).map(|n| register(n * 2, 2)).collect();
        assert_eq!(blocks(&addresses), [block(0, 124), block(124, 76)]);
    }

    #[test]
    fn every_address_is_in_exactly_the_block_that_holds_it() {
        let addresses = [register(65_534, 2), register(3, 1), register(4, 2)];
        let planned = blocks(&addresses);
        let offsets: Vec<_> = addresses.iter().map(|a| planned.iter().find_map(|b| b.offset(*a))).collect();
        assert_eq!(offsets, [Some(0), Some(0), Some(1)]);
    }
}
