//! A queue with keys of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::RunId;
use orchestrator_core::port::queue::{
    Delivery, NewTicket, Publish, Queue, QueueError, Receive, Settle, Settled, Settlement, Ticket, Wait,
    Woken,
};
use orchestrator_core::testkit::QueuePlace;
use orchestrator_redis::testkit::Server;
use orchestrator_redis::{Options, RedisQueue};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Script};
use uuid::Uuid;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Moves all moments back, as if time had passed, and rings for everybody.
const PASS: &str = "
    for _, kind in ipairs({ 'hidden:*', 'ready:*', 'queues' }) do
        for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':' .. kind)) do
            local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
            for at = 1, #all, 2 do redis.call('ZINCRBY', key, -ARGV[2], all[at]) end
        end
    end
    redis.call('PUBLISH', ARGV[1] .. ':bell', '')";

/// Overwrites what is on one ticket.
const FORGE: &str = "
    local tickets, forged = ARGV[1] .. ':tickets', 0
    for _, number in ipairs(redis.call('HKEYS', tickets)) do
        local t = cmsgpack.unpack(redis.call('HGET', tickets, number))
        if t[6] == ARGV[2] then
            t[6] = ARGV[3]
            redis.call('HSET', tickets, number, cmsgpack.pack(t))
            forged = forged + 1
        end
    end
    return forged";

/// A prefix on a server.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Base {
    /// One of its own on the server of this process.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("base-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { url: Server::shared().url(), prefix }
    }

    /// The usual one of a server of its own.
    pub(crate) fn of(server: &Server) -> Self {
        Self { url: server.url(), prefix: Options::default().prefix }
    }

    pub(crate) fn options(&self) -> Options {
        Options::default().with_prefix(&self.prefix)
    }

    pub(crate) async fn queue(&self) -> RedisQueue {
        RedisQueue::connect_with(&self.url, self.options()).await.unwrap()
    }

    /// A connection past every queue.
    pub(crate) async fn bare(&self) -> MultiplexedConnection {
        let client = redis::Client::open(&*self.url).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Carries out a command past every queue.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| _ = command.arg(word));
        command.query_async(&mut self.bare().await).await.unwrap()
    }

    /// The keys that there are, without their prefix, in order.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", &format!("{}:*", self.prefix)]).await;
        keys.sort_unstable();
        keys.iter().map(|key| key[self.prefix.len() + 1..].to_owned()).collect()
    }
}

#[async_trait]
impl QueuePlace for Base {
    async fn open(&self) -> Arc<dyn Queue> {
        let options = self.options().with_letters(8);
        Arc::new(RedisQueue::connect_with(&self.url, options).await.unwrap())
    }

    fn keeps(&self) -> bool {
        true
    }

    async fn forge_ticket(&self, written: &str, text: &str) -> bool {
        let forge = Script::new(FORGE);
        let mut call = forge.arg(&self.prefix);
        call.arg(written).arg(text);
        call.invoke_async::<u32>(&mut self.bare().await).await.unwrap() == 1
    }

    async fn pass(&self, time: Duration) {
        let pass = Script::new(PASS);
        let mut call = pass.arg(&self.prefix);
        call.arg(time.as_millis() as u64);
        call.invoke_async::<()>(&mut self.bare().await).await.unwrap();
    }
}

/// A ticket of the queue `q` that is told from others by its number.
pub(crate) fn numbered(number: u128) -> NewTicket {
    NewTicket {
        queue: "q".into(),
        project: "p".into(),
        priority: 0,
        after: Duration::ZERO,
        ticket: Ticket::Run { run: RunId::from_uuid(Uuid::from_u128(number)) },
    }
}

pub(crate) fn number(delivery: &Delivery) -> u128 {
    delivery.ticket.run().as_uuid().as_u128()
}

pub(crate) fn numbers(deliveries: &[Delivery]) -> Vec<u128> {
    deliveries.iter().map(number).collect()
}

/// What is done with a queue here.
#[async_trait]
pub(crate) trait Desk: Queue {
    async fn put(&self, tickets: Vec<NewTicket>) -> Result<(), QueueError> {
        self.publish(Publish { tickets }).await
    }

    async fn take(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.take_for(max, LONG).await
    }

    async fn take_for(&self, max: usize, visibility: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.receive(Receive { queues: vec!["q".into()], max, visibility }).await
    }

    async fn done(&self, delivery: &Delivery) -> Result<Settled, QueueError> {
        self.settle(Settle { receipt: delivery.receipt.clone(), how: Settlement::Done }).await
    }

    async fn bury(&self, delivery: &Delivery) -> Result<Settled, QueueError> {
        let how = Settlement::Bury { reason: "why".into() };
        self.settle(Settle { receipt: delivery.receipt.clone(), how }).await
    }

    async fn release(&self, delivery: &Delivery, after: Duration) -> Result<Settled, QueueError> {
        self.settle(Settle { receipt: delivery.receipt.clone(), how: Settlement::Release { after } }).await
    }

    async fn wait_for(&self, timeout: Duration) -> Result<Woken, QueueError> {
        self.wait(Wait { queues: vec!["q".into()], timeout }).await
    }
}

impl Desk for RedisQueue {}
