//! Permits that are given out fairly: of those who wait, whoever holds least is next.
//!
//! So a client that asks for a hundred things at once gets no more than one that asks for one thing
//! after another, and whoever is alone gets all there is, up to the share a client may have.
//! Who is next is decided by [`Turns`], which is pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::pool::Client;

/// A request for permits that has not been granted yet.
type Ticket = u64;

/// Who holds how much, and who waits for how much.
#[derive(Debug)]
struct Turns {
    free: u64,
    share_max: u64,
    tickets: Ticket,
    grants: u64,
    clients: BTreeMap<Client, Account>,
}

#[derive(Debug, Default)]
struct Account {
    held: u64,
    /// Number of the last grant to it.
    granted: u64,
    waiting: VecDeque<(Ticket, u64)>,
}

impl Turns {
    fn new(total: u64, share_max: u64) -> Self {
        Self {
            free: total,
            share_max: share_max.min(total),
            tickets: 0,
            grants: 0,
            clients: BTreeMap::new(),
        }
    }

    fn ask(&mut self, client: &Client, amount: u64) -> Ticket {
        self.tickets += 1;
        let account = self.clients.entry(client.clone()).or_default();
        account.waiting.push_back((self.tickets, amount));
        self.tickets
    }

    /// Grants what nobody has to wait for: not while somebody waits, whose turn would come later for it.
    fn take(&mut self, client: &Client, amount: u64) -> bool {
        let is_waited_for = self.clients.values().any(|a| !a.waiting.is_empty());
        let held = self.clients.get(client).map_or(0, |account| account.held);
        let may = !is_waited_for && amount <= self.free && held + amount <= self.share_max;
        if may {
            self.grants += 1;
            self.free -= amount;
            let account = self.clients.entry(client.clone()).or_default();
            account.held += amount;
            account.granted = self.grants;
        }
        may
    }

    /// Grants one request, if there is one whose turn it is and enough for it.
    ///
    /// SUBTLE: if there is not enough, nobody else goes first, else a large request would never
    /// be granted. Clients that have their share already are passed over.
    fn grant(&mut self) -> Option<(Ticket, Client, u64)> {
        let share_max = self.share_max;
        let next = self.clients.iter_mut().filter_map(|(client, account)| {
            let (ticket, amount) = *account.waiting.front()?;
            let may_have = account.held == 0 || account.held + amount <= share_max;
            may_have.then_some((client, account, ticket, amount))
        });
        let next =
            next.min_by_key(|(_, account, ticket, _)| (account.held, account.granted, *ticket));
        let (client, account, ticket, amount) = next?;
        if amount > self.free {
            return None;
        }
        self.grants += 1;
        self.free -= amount;
        account.waiting.pop_front();
        account.held += amount;
        account.granted = self.grants;
        Some((ticket, client.clone(), amount))
    }

    fn release(&mut self, client: &Client, amount: u64) {
        self.free += amount;
        if let Some(account) = self.clients.get_mut(client) {
            account.held -= amount.min(account.held);
        }
        self.forget_idle(client);
    }

    fn withdraw(&mut self, client: &Client, ticket: Ticket) {
        if let Some(account) = self.clients.get_mut(client) {
            account.waiting.retain(|(waiting, _)| *waiting != ticket);
        }
        self.forget_idle(client);
    }

    fn forget_idle(&mut self, client: &Client) {
        let is_idle = |account: &Account| account.held == 0 && account.waiting.is_empty();
        if self.clients.get(client).is_some_and(is_idle) {
            self.clients.remove(client);
        }
    }
}

/// A number of permits. Clones share them.
#[derive(Clone, Debug)]
pub struct FairPermits {
    desk: Arc<Mutex<Desk>>,
    amount_max: u64,
}

#[derive(Debug)]
struct Desk {
    turns: Turns,
    asking: HashMap<Ticket, oneshot::Sender<FairPermit>>,
}

impl FairPermits {
    /// `total` permits, of which a client may hold `share_max`.
    pub fn new(total: u64, share_max: u64) -> Self {
        let share_max = share_max.clamp(1, total.max(1));
        let desk = Desk {
            turns: Turns::new(total.max(1), share_max),
            asking: HashMap::new(),
        };
        Self {
            desk: Arc::new(Mutex::new(desk)),
            amount_max: share_max,
        }
    }

    /// Waits for `amount` permits, or for as many as a client may hold if that is less.
    pub async fn acquire(&self, client: &Client, amount: u64) -> FairPermit {
        let amount = amount.min(self.amount_max);
        let (granted, grant) = oneshot::channel();
        let ticket = {
            let mut desk = self.desk.lock();
            let ticket = desk.turns.ask(client, amount);
            desk.asking.insert(ticket, granted);
            ticket
        };
        let waiting = Waiting {
            permits: self,
            client,
            ticket,
        };
        self.give();
        let permit = grant.await;
        drop(waiting);
        // The sender is dropped only by whoever has stopped waiting.
        permit.unwrap_or_else(|_| FairPermit::none(self, client))
    }

    /// `amount` permits, if they are there at once.
    pub fn try_acquire(&self, client: &Client, amount: u64) -> Option<FairPermit> {
        let granted = self.desk.lock().turns.take(client, amount);
        granted.then(|| FairPermit {
            permits: self.clone(),
            client: client.clone(),
            amount,
        })
    }

    /// How many are not held.
    #[cfg(test)]
    pub fn free(&self) -> u64 {
        self.desk.lock().turns.free
    }

    /// Gives out what can be given out.
    fn give(&self) {
        loop {
            let mut desk = self.desk.lock();
            let Some((ticket, client, amount)) = desk.turns.grant() else {
                return;
            };
            let asker = desk.asking.remove(&ticket);
            drop(desk);
            let permit = FairPermit {
                permits: self.clone(),
                client,
                amount,
            };
            // SUBTLE: if nobody waits for it any more it is dropped here, and so given to the next.
            let _ = asker.map(|asker| asker.send(permit));
        }
    }
}

/// Takes a request back unless it has been granted.
struct Waiting<'a> {
    permits: &'a FairPermits,
    client: &'a Client,
    ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let withdrawn = {
            let mut desk = self.permits.desk.lock();
            let asking = desk.asking.remove(&self.ticket);
            if asking.is_some() {
                desk.turns.withdraw(self.client, self.ticket);
            }
            asking
        };
        if withdrawn.is_some() {
            self.permits.give();
        }
    }
}

/// Permits held, given back when dropped.
#[derive(Debug)]
pub struct FairPermit {
    permits: FairPermits,
    client: Client,
    amount: u64,
}

impl FairPermit {
    fn none(permits: &FairPermits, client: &Client) -> Self {
        Self {
            permits: permits.clone(),
            client: client.clone(),
            amount: 0,
        }
    }

    /// How many.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Gives back all but `amount` of them.
    #[must_use]
    pub fn keep(mut self, amount: u64) -> Self {
        let kept = amount.min(self.amount);
        let mut rest = Self::none(&self.permits, &self.client);
        rest.amount = self.amount - kept;
        self.amount = kept;
        self
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        if self.amount > 0 {
            let mut desk = self.permits.desk.lock();
            desk.turns.release(&self.client, self.amount);
            drop(desk);
            self.permits.give();
        }
    }
}

#[cfg(test)]
mod tests;
