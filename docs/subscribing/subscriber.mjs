// A subscriber of kb-ingest: prints each change of a task or a comment once. Needs amqplib; see ../subscribing.md.
//
//   npm install amqplib
//   AMQP_URL=amqp://search:secret@localhost:5672/ node subscriber.mjs
import amqp from 'amqplib';

const QUEUE = 'search.documents';
const BINDINGS = ['knowledge.task.#', 'knowledge.comment.#'];
const BOUNDS = { 'x-queue-type': 'quorum', 'x-max-length': 100_000, 'x-overflow': 'drop-head' };

const versions = new Map(); // a real service keeps them in the transaction of its effect

// The effect. The same message a second time, or one that was overtaken, has none.
function handle(message) {
  const change = JSON.parse(message.content.toString());
  if (change.version <= (versions.get(change.id) ?? 0)) return;
  versions.set(change.id, change.version);
  console.log(message.properties.headers.cloudEvents_type, change.external_id, change.version, change.title);
}

const connection = await amqp.connect(process.env.AMQP_URL);
connection.on('close', () => process.exit(1)); // whoever runs it starts it again
connection.on('error', (error) => console.error(error.message));

const channel = await connection.createChannel();
await channel.prefetch(100);
await channel.assertQueue(QUEUE, { durable: true, arguments: BOUNDS });
for (const key of BINDINGS) await channel.bindQueue(QUEUE, 'kb.events', key);
await channel.consume(QUEUE, (message) => {
  if (message === null) return connection.close(); // the queue was deleted
  try {
    handle(message);
    channel.ack(message);
  } catch (error) {
    console.error(error);
    channel.reject(message, false);
  }
});
