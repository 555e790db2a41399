//! Values under keys that are never used twice.
//!
//! A key is the number of a slot and how often the slot was used by then, so that a key whose value
//! was removed finds nothing, not the next value in the slot:
//!
//! ```text
//!  63        32 31         0
//!  ┌───────────┬────────────┐
//!  │   uses    │  slot      │      third use of slot 7: 0x0000_0003_0000_0007
//!  └───────────┴────────────┘
//! ```

use std::vec;

/// Identifies a value of a [`SlotMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

/// A table of values. A slot that was used 2^32 − 1 times is never used again.
#[derive(Debug)]
pub struct SlotMap<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    uses: u32,
    value: Option<T>,
}

impl Key {
    /// Returns the key with these bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the key as a number.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    fn new(uses: u32, slot: u32) -> Self {
        Self(u64::from(uses) << 32 | u64::from(slot))
    }

    fn parts(self) -> (u32, usize) {
        ((self.0 >> 32) as u32, self.0 as u32 as usize)
    }
}

impl<T> SlotMap<T> {
    /// Makes room for one more value, and returns whether there was memory for it.
    pub fn try_grow(&mut self) -> bool {
        // Room in the list of free slots too, so that a removal allocates nothing.
        let lacking = (self.slots.len() + 1).saturating_sub(self.free.len());
        !self.free.is_empty()
            || (self.slots.try_reserve(1).is_ok() && self.free.try_reserve(lacking).is_ok())
    }

    /// Adds a value.
    pub fn insert(&mut self, value: T) -> Key {
        let number = self.free.pop().unwrap_or_else(|| {
            let (uses, value) = (0, None);
            self.slots.push(Slot { uses, value });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[number as usize];
        slot.uses += 1;
        slot.value = Some(value);
        Key::new(slot.uses, number)
    }

    /// Returns the value of `key`, unless it was removed.
    pub fn get(&self, key: Key) -> Option<&T> {
        let (uses, number) = key.parts();
        let slot = self.slots.get(number)?;
        slot.value.as_ref().filter(|_| slot.uses == uses)
    }

    /// Returns the value of `key`, unless it was removed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (uses, number) = key.parts();
        let slot = self.slots.get_mut(number)?;
        slot.value.as_mut().filter(|_| slot.uses == uses)
    }

    /// Removes and returns the value of `key`, unless it was removed.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (uses, number) = key.parts();
        let slot = self.slots.get_mut(number)?;
        if slot.uses != uses {
            return None;
        }
        let value = slot.value.take()?;
        if uses < u32::MAX {
            self.free.push(number as u32);
        }
        Some(value)
    }

    /// Returns how many values there are, plus the slots that are never used again.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Iterates over the values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(number, slot)| {
            let value = slot.value.as_ref()?;
            Some((Key::new(slot.uses, number), value))
        })
    }
}

/// The values, in no particular order.
impl<T> IntoIterator for SlotMap<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        let values = self.slots.into_iter().filter_map(|slot| slot.value);
        values.collect::<Vec<_>>().into_iter()
    }
}

impl<T> Default for SlotMap<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F43.
    #[test]
    fn a_key_that_was_removed_finds_nothing() {
        let mut map = SlotMap::default();
        let first = map.insert(7);
        assert_eq!(map.get(first), Some(&7));
        assert_eq!(map.remove(first), Some(7));
        assert_eq!(map.remove(first), None, "twice");
        let second = map.insert(8);
        assert_ne!(first, second, "the slot is used again under another key");
        assert_eq!(map.get(first), None);
        assert_eq!(map.get_mut(first), None);
        assert_eq!(map.remove(first), None, "late");
        assert_eq!(map.remove(Key::from_bits(99)), None);
        *map.get_mut(second).unwrap() += 1;
        assert_eq!(map.remove(second), Some(9));
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn the_values_that_are_left_are_iterated() {
        let mut map = SlotMap::default();
        let keys: Vec<_> = (0..4).map(|value| map.insert(value)).collect();
        map.remove(keys[1]);
        let left: Vec<_> = map.iter().collect();
        assert_eq!(left, [(keys[0], &0), (keys[2], &2), (keys[3], &3)]);
        assert_eq!(map.len(), 3);
    }

    /// F76.
    #[test]
    fn a_slot_whose_uses_are_counted_out_is_retired() {
        let mut map = SlotMap::default();
        let key = map.insert(1);
        map.remove(key);
        map.slots[0].uses = u32::MAX - 1;
        let last = map.insert(2);
        assert_eq!(last.parts(), (u32::MAX, 0));
        map.remove(last);
        assert_eq!(map.insert(3).parts(), (1, 1));
    }

    #[test]
    fn a_map_that_was_grown_allocates_nothing() {
        let mut map = SlotMap::default();
        let mut keys = Vec::new();
        for value in 0..100 {
            assert!(map.try_grow());
            let capacities = (map.slots.capacity(), map.free.capacity());
            keys.push(map.insert(value));
            assert_eq!((map.slots.capacity(), map.free.capacity()), capacities);
        }
        let capacities = (map.slots.capacity(), map.free.capacity());
        for key in keys {
            map.remove(key);
        }
        assert_eq!((map.slots.capacity(), map.free.capacity()), capacities);
    }
}
