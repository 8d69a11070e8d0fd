// A subscriber of kb-ingest: prints each change of a task or a comment once. See ../subscribing.md.
//
//   npm ci --omit=dev
//   AMQP_URL=amqp://search:secret@localhost:5672/ node subscriber.mjs
//
// With OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 its work is in the trace of what led to the change.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, context, propagation, trace } from '@opentelemetry/api';
import addFormats from 'ajv-formats';
import Ajv from 'ajv/dist/2020.js';
import amqp from 'amqplib';
import { CloudEvent } from 'cloudevents';

const QUEUE = 'search.documents';
const BINDINGS = ['knowledge.task.#', 'knowledge.comment.#'];
const BOUNDS = { 'x-queue-type': 'quorum', 'x-max-length': 100_000, 'x-overflow': 'drop-head' };
const SCHEMAS = new URL('../../schema/events/', import.meta.url); // whoever copies this copies them, too

const tracer = trace.getTracer('subscriber');
const versions = new Map(); // a real service keeps them in the transaction of its effect

// The effect. The same event a second time, or one that was overtaken, has none.
async function handle({ type, data }) {
  if (data.version <= (versions.get(data.id) ?? 0)) return;
  console.log(type, data.external_id, data.version, data.title);
  versions.set(data.id, data.version);
}

const complain = (error) => console.error(error.message);

class Broken extends Error {} // is not as the contract says, however often it comes

const ajv = addFormats(new Ajv({ allErrors: true, allowUnionTypes: true }));
const schema = (name) => ajv.compile(JSON.parse(readFileSync(new URL(`${name}.schema.json`, SCHEMAS))));
const CONTRACT = { headers: schema('headers'), body: schema('knowledge') };

function check(part, value) {
  CONTRACT[part](value);
  const faults = (CONTRACT[part].errors ?? []).filter(({ keyword }) => keyword !== 'enum'); // new values are none
  if (faults.length) throw new Error(ajv.errorsText(faults, { dataVar: part }));
}

// A message as a CloudEvent, held against the contract.
function read(content, contentType, headers) {
  try {
    const prefixed = Object.entries(headers).filter(([name]) => name.startsWith('cloudEvents_'));
    const attributes = Object.fromEntries(prefixed.map(([name, value]) => [name.slice('cloudEvents_'.length), value]));
    check('headers', headers);
    const event = new CloudEvent({ ...attributes, datacontenttype: contentType, data: JSON.parse(content) });
    check('body', event.data);
    return event;
  } catch (error) {
    throw new Broken(error.message);
  }
}

// Acknowledges a message when its work is done, in a span below the one that published it.
async function receive(channel, message) {
  const { contentType, headers = {} } = message.properties;
  const parent = propagation.extract(ROOT_CONTEXT, headers);
  const attributes = {
    'messaging.system': 'rabbitmq',
    'messaging.operation.type': 'process',
    'messaging.destination.name': QUEUE,
    'cloudevents.event_id': headers.cloudEvents_id,
  };
  const span = tracer.startSpan(`process ${QUEUE}`, { kind: SpanKind.CONSUMER, attributes }, parent);
  try {
    const event = read(message.content, contentType, headers);
    await context.with(trace.setSpan(parent, span), () => handle(event));
    channel.ack(message);
  } catch (error) {
    const again = !(error instanceof Broken);
    console.error(again ? 'failed, comes again' : 'rejected', headers.cloudEvents_id, error.message);
    span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', error.constructor.name);
    if (again) await sleep(5000);
    channel.nack(message, false, again);
  } finally {
    span.end();
  }
}

// Once for each connection: the first, and each that follows a lost one.
async function setup(connection) {
  connection.on('error', () => {}); // what ends it here is told below
  const channel = await connection.createChannel();
  channel.on('error', complain);
  channel.on('close', () => connection.close().catch(() => {})); // by the broker, for a reason of its own
  await channel.prefetch(100);
  await channel.assertQueue(QUEUE, { durable: true, arguments: BOUNDS });
  for (const key of BINDINGS) await channel.bindQueue(QUEUE, 'kb.events', key);
  await channel.consume(QUEUE, (message) => {
    if (message === null) channel.close().catch(complain); // the queue was deleted
    else receive(channel, message).catch(complain); // the connection is lost: the message comes again
  });
}

if (process.env.OTEL_EXPORTER_OTLP_ENDPOINT) await import('./tracing.mjs'); // else spans are nothing
const recovery = { setup, waitForConnect: false }; // makes a lost connection again, after 0.1 to 30 s
const connection = await amqp.connect(process.env.AMQP_URL, { timeout: 10_000, recovery });
connection.on('error', complain).on('connect-failed', complain).on('connect', () => console.error('subscribed'));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    setTimeout(() => process.exit(1), 5_000).unref(); // where broker or collector do not answer
    connection.close();
  });
}
