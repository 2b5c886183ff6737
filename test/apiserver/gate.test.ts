import { expect } from 'chai';
import { ApiClient } from './api-client.js';

describe('apiserver: who may ask', () => {
  const clients: ApiClient[] = [];
  after(async () => {
    for (const client of clients) await client.close();
  });
  const start = async (token?: string): Promise<ApiClient> => {
    const client = await ApiClient.start(token === undefined ? {} : { token });
    clients.push(client);
    return client;
  };

  it('is whoever has the token, for every verb and path, health and discovery among them', async () => {
    const client = await start('s3cret');
    for (const [method, path] of [
      ['GET', '/version'],
      ['GET', '/livez'],
      ['GET', '/apis'],
      ['GET', '/api/v1/secrets'],
      ['GET', '/api/v1/pods?watch=true'],
      ['POST', '/api/v1/namespaces'],
      ['DELETE', '/api/v1/namespaces/default'],
    ] as const)
      for (const authorization of [
        undefined,
        'Bearer wrong',
        'Bearer s3cretx',
        'Bearer ',
        'Basic czNjcmV0',
        's3cret',
      ]) {
        const reply = await client.send(method, path, undefined, authorization === undefined ? {} : { authorization });
        expect([reply.code, reply.body['reason']], `${method} ${path} ${authorization}`).to.deep.equal([
          401,
          'Unauthorized',
        ]);
      }
    const own = await client.get('/api/v1/namespaces', { authorization: 'Bearer s3cret' });
    expect(own.code).to.equal(200);
  });

  it('calls the server by a name of the machine', async () => {
    const client = await start();
    for (const host of ['rebound.example', 'rebound.example:6443', '127.0.0.1.rebound.example', '10.0.0.1', 'x'])
      expect((await client.get('/api/v1/secrets', { host })).code, host).to.equal(403);
    for (const host of ['127.0.0.1', '127.0.0.1:1', 'localhost:6443', 'LOCALHOST', '[::1]:6443'])
      expect((await client.get('/version', { host })).code, host).to.equal(200);
  });
});
