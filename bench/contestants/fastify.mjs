// Fastify and amqplib: a confirm channel, the callback of each publish.
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import amqp from 'amqplib';
import fastify from 'fastify';

const { AMQP_URL, EXCHANGE, PORT, SECRET } = process.env;
const channel = await (await amqp.connect(AMQP_URL)).createConfirmChannel();
const returned = new Set();
channel.on('return', ({ properties }) => returned.add(properties.messageId));

const app = fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

app.post('/webhooks/clickup/:integrationId', (request, reply) => {
  const expected = createHmac('sha256', SECRET).update(request.body).digest('hex');
  const given = Buffer.from(request.headers['x-signature'] ?? '');
  if (given.length !== expected.length || !timingSafeEqual(Buffer.from(expected), given)) {
    reply.code(403).send();
    return;
  }
  const id = randomUUID();
  const options = {
    persistent: true,
    mandatory: true,
    contentType: 'application/json',
    messageId: id,
    headers: { cloudEvents_id: id, cloudEvents_type: 'clickup.task.updated' },
  };
  channel.publish(EXCHANGE, `clickup.task.updated.${request.params.integrationId}`, request.body, options, (error) => {
    if (error || returned.delete(id)) reply.code(503).send();
    else reply.send({ event_id: id });
  });
});

await app.listen({ host: '127.0.0.1', port: Number(PORT) });
