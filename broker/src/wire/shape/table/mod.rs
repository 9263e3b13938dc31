//! The shapes of all requests, by theme, and the way from an API key to its shape.

mod admin;
mod data;
mod groups;
mod security;
mod transactions;

use super::Shape;

/// Every table.
pub(super) const TABLES: [&[Shape]; 5] = [
    data::SHAPES,
    groups::SHAPES,
    transactions::SHAPES,
    admin::SHAPES,
    security::SHAPES,
];

/// One more than the highest API key.
const KEYS: usize = 93;

/// The place of each API key's shape: table and index.
static PLACES: [Option<(u8, u8)>; KEYS] = places();

pub(super) fn find(api_key: i16) -> Option<&'static Shape> {
    let (table, index) = (*PLACES.get(usize::try_from(api_key).ok()?)?)?;
    TABLES.get(usize::from(table))?.get(usize::from(index))
}

const fn places() -> [Option<(u8, u8)>; KEYS] {
    let mut places = [None; KEYS];
    let mut table = 0;
    while table < TABLES.len() {
        let mut index = 0;
        while index < TABLES[table].len() {
            places[TABLES[table][index].api_key as usize] = Some((table as u8, index as u8));
            index += 1;
        }
        table += 1;
    }
    places
}
