// What OpenAI's client makes of our server: node openai_client.mjs <base url>
import OpenAI from 'openai';
import assert from 'node:assert/strict';

const baseURL = process.argv[2];
const client = new OpenAI({baseURL, apiKey: 'paying', maxRetries: 0, timeout: 60000});

const names = [];
for await (const model of client.models.list()) names.push(model.id);
assert.deepEqual(names, ['small', 'sense']);

const messages = [{role: 'user', content: 'Tell me a story.'}];
const whole = await client.chat.completions.create({model: 'small', messages, max_tokens: 12});
assert.equal(whole.choices[0].message.role, 'assistant');
assert.ok(whole.usage.completion_tokens >= 1 && whole.usage.completion_tokens <= 12);

const stream = await client.chat.completions.create({
  model: 'small', messages, max_tokens: 12, stream: true, stream_options: {include_usage: true}});
let text = '', reason = null, usage = null, pieces = 0;
for await (const piece of stream) {
  ++pieces;
  text += piece.choices[0]?.delta?.content ?? '';
  reason = piece.choices[0]?.finish_reason ?? reason;
  usage = piece.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content, 'streamed and whole answers are the same');
assert.equal(reason, whole.choices[0].finish_reason);
assert.deepEqual(usage, whole.usage);
assert.ok(pieces > 2);

const completion = await client.completions.create({model: 'small', prompt: 'Once', max_tokens: 5});
assert.equal(completion.object, 'text_completion');

// The client asks for base64 by itself.
const packed = await client.embeddings.create({model: 'sense', input: ['one', 'another']});
const plain = await client.embeddings.create(
    {model: 'sense', input: ['one', 'another'], encoding_format: 'float'});
assert.equal(packed.data.length, 2);
for (let i = 0; i < 2; ++i) {
  const one = Array.from(packed.data[i].embedding), other = plain.data[i].embedding;
  assert.equal(one.length, other.length);
  one.forEach((value, j) => assert.ok(Math.abs(value - other[j]) < 1e-6));
  assert.ok(Math.abs(other.reduce((sum, value) => sum + value * value, 0) - 1) < 1e-3);
}

const fails = async (promise, type, status, param) => {
  const error = await promise.then(() => assert.fail('it did not fail'), error => error);
  assert.ok(error instanceof type, String(error));
  assert.equal(error.status, status);
  if (param !== undefined) assert.equal(error.param, param);
  return error;
};
await fails(client.chat.completions.create({model: 'none', messages}), OpenAI.NotFoundError, 404,
            'model');
await fails(client.chat.completions.create({model: 'small', messages, max_tokens: 1e9}),
            OpenAI.BadRequestError, 400, 'max_tokens');
await fails(new OpenAI({baseURL, apiKey: 'stranger', maxRetries: 0})
                .chat.completions.create({model: 'small', messages}),
            OpenAI.AuthenticationError, 401);

// One runs, two wait, the others are refused; and a client that tries again gets its answer.
const ask = (who, max_tokens) => who.completions.create({model: 'small', prompt: 'a', max_tokens});
const results = await Promise.allSettled(Array.from({length: 8}, () => ask(client, 1000)));
const refused = results.filter(result => result.status === 'rejected').map(result => result.reason);
assert.ok(refused.length >= 1 && refused.length < 8, `${refused.length} of 8 were refused`);
for (const error of refused) {
  assert.ok(error instanceof OpenAI.RateLimitError, String(error));
  assert.ok(['queue_full', 'tenant_queue_full'].includes(error.code), error.code);
}
const patient = new OpenAI({baseURL, apiKey: 'paying', maxRetries: 8});
await Promise.all(Array.from({length: 4}, () => ask(patient, 50)));

// A stream that is left ends its request.
const left = await client.completions.create(
    {model: 'small', prompt: 'a', max_tokens: 1900, stream: true});
for await (const piece of left) {
  assert.ok(piece);
  break;
}
const running = async () => (await (await fetch(baseURL.replace('/v1', '/metrics'))).text())
                                .match(/^vllm:num_requests_running (\d+)$/m)[1];
const until = Date.now() + 20000;
while (await running() !== '0' && Date.now() < until) await new Promise(go => setTimeout(go, 50));
assert.equal(await running(), '0');
