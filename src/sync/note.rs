//! The note: a one-shot event with one sleeper. A wake that comes before the sleep is kept.
//!
//! # Problem
//! Thread A sleeps until an event has happened, and thread B, which causes the event, wakes it. B may come before A
//! sleeps, between A's last look and its sleep, or when A's deadline has just passed. In no case may A miss the event,
//! and B must not pay a system call if A does not sleep. A may free the note as soon as it has seen the event, so B
//! must not touch the note then.
//!
//! # Words
//! | word | meaning | left by |
//! |---|---|---|
//! | CLEAR | nothing has happened | the sleeper: to SLEEPING; a setter: to SET |
//! | SLEEPING | the sleeper sleeps, or is about to | the sleeper after its deadline: to CLEAR; a setter: to SET |
//! | POLLING | as SLEEPING, in a [`Poll`] | as SLEEPING, also after events |
//! | SET | the event has happened | the sleeper: to CLEAR |
//!
//! # Protocol
//! The sleeper:
//! * NOTE-S1 changes CLEAR to SLEEPING. If the word is SET, it returns true;
//! * NOTE-S2 sleeps while the word is SLEEPING, until a wake or its deadline, and continues at NOTE-S1;
//! * NOTE-S3 after its deadline, changes SLEEPING to CLEAR and returns false. If that fails the note is set, and it
//!   returns true;
//! * NOTE-S4 swaps CLEAR in before it uses the note again.
//!
//! A setter:
//! * NOTE-W1 swaps SET in;
//! * NOTE-W2 wakes the sleeper if the word was SLEEPING, or kicks its poll if it was POLLING. A setter that holds a
//!   lock does so after the unlock ([`Sleeper`], [`Note::nudge`]). A kick stays until a sleeper of that poll has seen
//!   it. So the sleeper may be awake by then, and the kick is a spurious wake-up of a later sleep.
//!
//! # Invariants
//! * NOTE-I1 the sleeper returns once the note is set: NOTE-S2 compares the word and sleeps in one step, so the sleeper
//!   either sees SET or is asleep when NOTE-W2 comes. A spurious wake-up leads back to NOTE-S1.
//! * NOTE-I2 after a return of false the word is CLEAR, so a later setter makes no system call.
//! * NOTE-I3 after NOTE-W1 a setter does not touch the word: NOTE-W2 passes on the address only. A note that was ever
//!   POLLING is never freed, so its setter may ask for the poll.
//!
//! # Orderings
//! * NOTE-O1 the Release of NOTE-W1 pairs with the Acquire of each return of true, of [`Note::is_set`] and of NOTE-S4:
//!   the sleeper sees what a setter did before it set the note. That also holds for a second setter, whose SET replaced
//!   SET: so NOTE-S4 is a swap, and sees the last one.
//! * NOTE-O2 the Release of NOTE-S1 and of NOTE-S4 pairs with the Acquire of NOTE-W1: a setter sees what the sleeper
//!   did before it went to sleep or cleared the note. So of a NOTE-S4 and a NOTE-W1 one sees all that came before the
//!   other.

use super::own::OwnPtr;
use super::poll::{Events, Poll};
use super::prim::{AtomicU32, Ordering, futex};
use super::widen::widen;

const CLEAR: u32 = 0;
const SLEEPING: u32 = 1;
const SET: u32 = 2;
const POLLING: u32 = 3;

/// The sleeper of a note that was set, if it must still be woken through the system.
#[must_use]
pub enum Sleeper {
    None,
    At(*const AtomicU32),
    In(*const Poll),
}

impl Sleeper {
    pub const NONE: Sleeper = Sleeper::None;

    pub fn is_some(&self) -> bool {
        !matches!(self, Sleeper::None)
    }

    /// Wakes the sleeper. True if there is one.
    pub fn wake(self) -> bool {
        // NOTE-W2
        match self {
            Sleeper::None => return false,
            // NOTE-I3: only the address.
            Sleeper::At(word) => _ = futex::wake(word, 1),
            // SAFETY: a poll is never freed.
            Sleeper::In(poll) => unsafe { &*poll }.kick(),
        }
        true
    }
}

/// See the module.
pub struct Note {
    word: AtomicU32,
    /// Where it is POLLING. Written by the sleeper before.
    poll: OwnPtr<Poll>,
}

impl Default for Note {
    fn default() -> Self {
        Self::new()
    }
}

impl Note {
    pub fn new() -> Self {
        Note { word: AtomicU32::new(CLEAR), poll: OwnPtr::null() }
    }

    /// Makes the note usable again; for its sleeper.
    pub fn clear(&self) {
        // NOTE-S4, NOTE-O1, NOTE-O2
        self.word.swap(CLEAR, Ordering::AcqRel);
    }

    pub fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) == SET
    }

    /// Sets the note. True if a sleeping thread had to be woken through the system.
    pub fn wakeup(&self) -> bool {
        self.set().wake()
    }

    /// Sets the note. The sleeper, if there is one, must still be woken: a caller that holds a lock does so after the
    /// unlock.
    pub fn set(&self) -> Sleeper {
        let word: *const AtomicU32 = &self.word;
        widen!();
        // NOTE-W1, NOTE-O1, NOTE-O2
        let before = self.word.swap(SET, Ordering::AcqRel);
        widen!();
        match before {
            SLEEPING => Sleeper::At(word),
            // NOTE-I3 excepts it: what polls is never freed.
            POLLING => Sleeper::In(self.poll.get()),
            _ => Sleeper::None,
        }
    }

    /// Has the system wake the sleeper, after a [`Note::set`] whose caller kept no [`Sleeper`].
    pub fn nudge(&self) {
        futex::wake(&self.word, 1);
    }

    /// As [`Note::sleep_exactly`], until there are events as well. True if the note was set; there may be events all
    /// the same. The note is never freed.
    pub fn sleep_polling(&self, poll: &'static Poll, deadline: Option<i64>, events: &mut Events) -> bool {
        events.clear();
        self.poll.set(std::ptr::from_ref(poll).cast_mut());
        loop {
            widen!();
            // NOTE-S1, as in `sleep_until`.
            if self.word.compare_exchange(CLEAR, POLLING, Ordering::Release, Ordering::Acquire).is_err() {
                return true;
            }
            // NOTE-S2
            let polled = poll.wait(deadline, events);
            // NOTE-S3. Acquire: NOTE-O1, if it is SET.
            if self.word.compare_exchange(POLLING, CLEAR, Ordering::Relaxed, Ordering::Acquire).is_err() {
                return true;
            }
            if !polled || !events.is_empty() || deadline.is_some_and(|when| when <= super::now()) {
                return false;
            }
        }
    }

    /// Sleeps until the note is set.
    pub fn sleep(&self) {
        self.sleep_until(None);
    }

    /// As [`Note::sleep_until`], with a wake-up as close to the deadline as the system can: for a thread that waits for
    /// timers.
    pub fn sleep_exactly(&self, deadline: Option<i64>) -> bool {
        if deadline.is_none() {
            return self.sleep_until(None);
        }
        futex::wake_on_time(true);
        let set = self.sleep_until(deadline);
        futex::wake_on_time(false);
        set
    }

    /// Sleeps until the note is set or the deadline (of [`now`](super::now)) has passed. True if it was set.
    pub fn sleep_until(&self, deadline: Option<i64>) -> bool {
        let mut timed_out = false;
        loop {
            widen!();
            // NOTE-S1. Release: NOTE-O2. Acquire: NOTE-O1, if it is SET.
            match self.word.compare_exchange(CLEAR, SLEEPING, Ordering::Release, Ordering::Acquire) {
                Err(SET) => return true,
                _ if timed_out => {
                    // NOTE-S3. Acquire: NOTE-O1, if it is SET.
                    return self.word.compare_exchange(SLEEPING, CLEAR, Ordering::Relaxed, Ordering::Acquire).is_err();
                }
                // NOTE-S2
                _ => timed_out = !futex::wait(&self.word, SLEEPING, deadline),
            }
        }
    }
}
