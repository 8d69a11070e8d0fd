// Fastify and amqplib: a confirm channel, the callback of each publish; what is said of a delivery by Fastify's logger.
import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import amqp from 'amqplib';
import fastify from 'fastify';
import { Counter, Histogram } from 'prom-client';

const { AMQP_URL, EVENTS, EXCHANGE, INTEGRATION_ID, PORT, SECRET } = process.env;
const events = JSON.parse(EVENTS);
const secrets = new Map([[INTEGRATION_ID, SECRET]]);
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const requests = new Counter({ name: 'requests_total', help: 'Answered deliveries.', labelNames: ['outcome', 'status'] });
const seconds = new Histogram({ name: 'request_seconds', help: 'To the answer.', labelNames: ['outcome'], buckets });
const stored = new Counter({ name: 'stored_total', help: 'Accepted deliveries.', labelNames: ['by'] });
const published = new Histogram({ name: 'publish_seconds', help: 'To the confirm.', labelNames: ['to', 'outcome'], buckets });
const trace = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

const channel = await (await amqp.connect(AMQP_URL)).createConfirmChannel();
const returned = new Set();
channel.on('return', ({ properties }) => returned.add(properties.messageId));

function length(octets) {
  const size = Buffer.alloc(8);
  size.writeUInt32BE(octets.length, 4);
  return size;
}

function headers(integrationId, body, traceparent) {
  let subject, distinct = true, type = 'clickup.unrecognized';
  try {
    const payload = JSON.parse(body);
    const [entity, action] = events[payload.event];
    if (payload[`${entity}_id`] === undefined) throw new Error('no id');
    subject = `${entity}/${payload[`${entity}_id`]}`;
    type = `clickup.${entity}.${action}`;
    distinct = payload.history_items?.length > 0;
  } catch {
    // kept whatever it is
  }
  let octets = randomBytes(16);
  if (distinct) {
    const id = Buffer.from(integrationId.replaceAll('-', ''), 'hex');
    octets = createHash('sha256').update(length(id)).update(id).update(length(body)).update(body).digest();
  }
  octets[6] = (octets[6] & 0x0f) | 0x80;
  octets[8] = (octets[8] & 0x3f) | 0x80;
  const hex = octets.toString('hex', 0, 16);
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  const now = new Date().toISOString();
  const found = {
    cloudEvents_id: id,
    cloudEvents_specversion: '1.0',
    cloudEvents_source: `/clickup/${integrationId}`,
    cloudEvents_type: type,
    cloudEvents_time: now,
    cloudEvents_integrationid: integrationId,
    traceparent: trace.test(traceparent) ? traceparent : `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`,
    cloudEvents_publishedat: now,
  };
  if (subject) found.cloudEvents_subject = subject;
  return found;
}

const app = fastify({ logger: { level: 'info' }, disableRequestLogging: true });
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

app.post('/webhooks/clickup/:integrationId', (request, reply) => {
  const started = performance.now();
  const { body, params: { integrationId } } = request;
  const secret = secrets.get(integrationId);
  const expected = createHmac('sha256', secret ?? '').update(body).digest('hex');
  const given = Buffer.from(request.headers['x-signature'] ?? '');
  if (!secret || given.length !== expected.length || !timingSafeEqual(Buffer.from(expected), given)) {
    reply.code(403).send();
    return;
  }
  const event = headers(integrationId, body, request.headers.traceparent ?? '');
  const messageId = randomUUID();
  const options = { persistent: true, mandatory: true, contentType: 'application/json', messageId, headers: event };
  channel.publish(EXCHANGE, `${event.cloudEvents_type}.${integrationId}`, body, options, (error) => {
    const failed = error || returned.delete(messageId);
    const [status, outcome] = failed ? [503, 'unavailable'] : [200, 'accepted'];
    const took = performance.now() - started;
    requests.inc({ outcome, status: String(status) });
    seconds.observe({ outcome }, took / 1000);
    published.observe({ to: 'rabbitmq', outcome: failed ? 'failed' : 'stored' }, took / 1000);
    if (!failed) stored.inc({ by: 'broker' });
    request.log.info({
      status, milliseconds: Math.round(took * 10) / 10, bytes: body.length, outcome, integration_id: integrationId,
      event_id: event.cloudEvents_id, type: event.cloudEvents_type, traceparent: event.traceparent, stored_by: 'broker',
    }, 'event.received');
    if (failed) reply.code(503).send();
    else reply.send({ event_id: event.cloudEvents_id });
  });
});

await app.listen({ host: '127.0.0.1', port: Number(PORT) });
