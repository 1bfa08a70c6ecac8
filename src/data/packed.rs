//! A listpack, or a box of what a collection is once it has outgrown one, in a single word: what most collections of
//! the server are, of which there may be millions with a few elements each.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::Listpack;
use super::dict::prefetch;

/// Set in the address of a box, which is even, as the one of a listpack's memory is.
const FULL: usize = 1;

/// Owns a [`Listpack`] or a `Box<T>`.
#[repr(transparent)]
pub struct Packed<T> {
    /// The listpack itself, or the address of the box with the lowest bit set.
    word: NonNull<u8>,
    owns: PhantomData<(Listpack, Box<T>)>,
}

// SAFETY: it owns what it holds.
unsafe impl<T: Send> Send for Packed<T> {}
// SAFETY: without exclusive access what it holds is only read.
unsafe impl<T: Sync> Sync for Packed<T> {}

/// What is held, looked at.
#[derive(Debug)]
pub enum Held<'a, T> {
    Pack(&'a Listpack),
    Full(&'a T),
}

/// What is held, for change.
#[derive(Debug)]
pub enum HeldMut<'a, T> {
    Pack(&'a mut Listpack),
    Full(&'a mut T),
}

impl<T> Packed<T> {
    const IS_A_WORD: () = assert!(size_of::<Listpack>() == size_of::<usize>() && align_of::<T>() > FULL);

    #[must_use]
    pub fn pack(pack: Listpack) -> Packed<T> {
        let () = Self::IS_A_WORD;
        // SAFETY: a listpack is transparent: the address of its memory, which is even as that is aligned to four bytes.
        Packed { word: unsafe { std::mem::transmute::<Listpack, NonNull<u8>>(pack) }, owns: PhantomData }
    }

    #[must_use]
    pub fn full(full: T) -> Packed<T> {
        let () = Self::IS_A_WORD;
        let address = NonNull::from(Box::leak(Box::new(full))).cast::<u8>();
        Packed { word: address.map_addr(|address| address | FULL), owns: PhantomData }
    }

    /// Asks for the beginning of what is held ahead of its use.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.address().as_ptr());
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.word.addr().get() & FULL != 0
    }

    /// The address of the box, if one is held.
    #[inline]
    fn address(&self) -> NonNull<T> {
        // SAFETY: with the bit the address is odd, so it is not 0 without.
        unsafe { NonNull::new_unchecked(self.word.as_ptr().map_addr(|address| address & !FULL)) }.cast()
    }

    #[inline]
    #[must_use]
    pub fn get(&self) -> Held<'_, T> {
        // SAFETY: the bit says which one is held; it is borrowed with this. Without the bit the word is the listpack.
        unsafe {
            if self.is_full() {
                Held::Full(self.address().as_ref())
            } else {
                Held::Pack(NonNull::from_ref(&self.word).cast().as_ref())
            }
        }
    }

    #[inline]
    #[must_use]
    pub fn get_mut(&mut self) -> HeldMut<'_, T> {
        // SAFETY: as above, borrowed exclusively. Whatever is done to the listpack, the word is one then.
        unsafe {
            if self.is_full() {
                HeldMut::Full(self.address().as_mut())
            } else {
                HeldMut::Pack(NonNull::from_mut(&mut self.word).cast().as_mut())
            }
        }
    }

    #[inline]
    #[must_use]
    pub fn as_pack(&self) -> Option<&Listpack> {
        match self.get() {
            Held::Pack(pack) => Some(pack),
            Held::Full(_) => None,
        }
    }

    #[inline]
    #[must_use]
    pub fn as_full(&self) -> Option<&T> {
        match self.get() {
            Held::Pack(_) => None,
            Held::Full(full) => Some(full),
        }
    }

    #[inline]
    #[must_use]
    pub fn as_full_mut(&mut self) -> Option<&mut T> {
        match self.get_mut() {
            HeldMut::Pack(_) => None,
            HeldMut::Full(full) => Some(full),
        }
    }

    /// Makes sure that the box is held, which `make` fills from the listpack if need be.
    #[inline]
    pub fn make_full(&mut self, make: impl FnOnce(&Listpack) -> T) -> &mut T {
        if let Held::Pack(pack) = self.get() {
            *self = Packed::full(make(pack));
        }
        self.as_full_mut().expect("just made so")
    }
}

impl<T> Default for Packed<T> {
    fn default() -> Packed<T> {
        Packed::pack(Listpack::new())
    }
}

impl<T> Drop for Packed<T> {
    fn drop(&mut self) {
        // SAFETY: the bit says which one is held, and this is its only owner. It is dropped once.
        unsafe {
            if self.is_full() {
                drop(Box::from_raw(self.address().as_ptr()));
            } else {
                ManuallyDrop::drop(NonNull::from_mut(&mut self.word).cast().as_mut() as &mut ManuallyDrop<Listpack>);
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn holds_the_one_or_the_other_in_one_word() {
        assert_eq!(size_of::<Option<Packed<Rc<()>>>>(), size_of::<usize>());
        let witness = Rc::new(());
        let mut packed = Packed::default();
        for i in 0..1000 {
            let HeldMut::Pack(pack) = packed.get_mut() else { panic!("nothing else was put in") };
            pack.push(i64::from(i));
        }
        assert!(packed.as_full_mut().is_none() && packed.as_full().is_none());
        assert_eq!(packed.as_pack().map(Listpack::len), Some(1000));
        let full = packed.make_full(|pack| (pack.len(), Rc::clone(&witness)));
        full.0 += 1;
        assert_eq!(packed.make_full(|_| panic!("it is full")).0, 1001);
        assert!(packed.as_pack().is_none());
        assert_eq!(packed.as_full().map(|full| full.0), Some(1001));
        let moved = Box::new(packed);
        assert_eq!(Rc::strong_count(&witness), 2);
        drop(moved);
        assert_eq!(Rc::strong_count(&witness), 1);
        let mut packed = Packed::full(Rc::clone(&witness));
        packed = {
            drop(packed);
            Packed::pack(Listpack::new())
        };
        assert!(matches!(packed.get_mut(), HeldMut::Pack(pack) if pack.is_empty()));
        assert_eq!(Rc::strong_count(&witness), 1);
    }
}
