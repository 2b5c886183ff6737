/**
 * `kubectl apply --server-side` of every kind of ours with every list filled, as Flux and Argo apply: twice, with one entry of
 * each list edited, and by two managers. The lab's API server refuses what a real one does; scripts/check-crds.sh asks the
 * code of a real one the same.
 */
import { expect } from 'chai';
import { customResourceDefinitions } from '../../../src/api/crds/index.js';
import {
  at,
  isArray,
  isObject,
  listAt,
  objectAt,
  own,
  put,
  textAt,
  type Json,
  type JsonObject,
} from '../../../src/apiserver/json.js';
import type { Schema } from '../../../src/apiserver/schema.js';
import { ApiClient } from '../../apiserver/api-client.js';
import { Kubectl } from '../../apiserver/kubectl-run.js';
import { filledPaths, listPaths } from './filled.js';
import { filledObjectsOf, specSchemaOf, type FilledObject } from './filled-objects.js';

const crds = customResourceDefinitions as unknown as readonly JsonObject[];

const stream = (objects: readonly FilledObject[]): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects.map((each) => each.object) });

/** `applied` is in `found`: lists whole and in order, objects with what the server adds. */
function isWithin(applied: Json, found: Json | undefined): boolean {
  if (isArray(applied))
    return (
      isArray(found) && found.length === applied.length && applied.every((item, index) => isWithin(item, found[index]))
    );
  if (isObject(applied))
    return isObject(found) && Object.entries(applied).every(([name, member]) => isWithin(member, own(found, name)));
  return applied === found;
}

/** One with the last entry of each of its lists taken from the other. */
function withLastEntriesOf(one: Json, other: Json): Json {
  if (isArray(one) && isArray(other))
    return one.map((item, index) => (index === one.length - 1 ? (other[index] ?? item) : item));
  if (!isObject(one) || !isObject(other)) return one;
  return Object.fromEntries(
    Object.entries(one).map(([name, member]) => [name, withLastEntriesOf(member, own(other, name) ?? null)]),
  );
}

const edited = (one: FilledObject, other: FilledObject): FilledObject => ({
  ...one,
  object: put(
    one.object,
    [one.part],
    withLastEntriesOf(objectAt(one.object, one.part), objectAt(other.object, one.part)),
  ),
});

/** Lists that are merged item by item, as paths. */
function mergedPaths(schema: Schema, path: string): readonly string[] {
  if (schema['x-kubernetes-map-type'] === 'atomic') return [];
  const listType = schema['x-kubernetes-list-type'];
  if (schema.type === 'array') return listType === 'set' || listType === 'map' ? [`${path}[]`] : [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => mergedPaths(child, `${path}.${name}`));
}

describe('CRDs: server-side apply', () => {
  let api: ApiClient;
  let kubectl: Kubectl;

  const apply = async (
    objects: readonly FilledObject[],
    manager: string,
    more: readonly string[] = [],
  ): Promise<string> => {
    const outputs: string[] = [];
    for (const part of ['spec', 'status'] as const) {
      const those = objects.filter((each) => each.part === part);
      if (those.length === 0) continue;
      const subresource = part === 'status' ? ['--subresource=status', '--validate=false'] : [];
      const args = ['apply', '--server-side', `--field-manager=${manager}`, ...subresource, ...more, '-f', '-'];
      const { code, stdout, stderr } = await kubectl.run(args, stream(those));
      expect(code, stderr).to.equal(0);
      outputs.push(stdout);
    }
    return outputs.join('');
  };

  const expectStored = async (objects: readonly FilledObject[]): Promise<void> => {
    for (const { path, part, object } of objects) {
      const { body } = await api.get(path);
      expect(
        isWithin(at(object, part) ?? {}, at(body, part)),
        `${path}\n${JSON.stringify(object)}\n${JSON.stringify(body)}`,
      ).to.be.true;
    }
  };

  before(async () => {
    api = await ApiClient.start();
    kubectl = new Kubectl('kubectl', api.url);
    for (const crd of crds) {
      const { code, body } = await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
      expect(code, JSON.stringify(body)).to.equal(201);
    }
  });
  after(async () => {
    kubectl.dispose();
    await api.close();
  });

  const rounds = filledObjectsOf(crds, { seed: 1, lists: 'all' });

  it('the objects tried fill every list of every CRD', () => {
    for (const crd of crds) {
      const kind = textAt(crd, 'spec', 'names', 'kind') ?? '';
      const tried = rounds
        .flat()
        .filter(({ crd: name }) => name === textAt(crd, 'metadata', 'name'))
        .flatMap(({ object, part }) => filledPaths(objectAt(object, part), `.${part}`));
      const all = (['spec', 'status'] as const).flatMap((part) => listPaths(specSchemaOf(crd, part), `.${part}`));
      expect(
        all.filter((path) => !tried.includes(path)),
        kind,
      ).to.deep.equal([]);
    }
  });

  rounds.forEach((objects, round) => {
    it(`applies, applies again, edits one entry of every list (round ${round + 1})`, async () => {
      const others = filledObjectsOf(crds, { seed: 2, lists: 'all' })[round] ?? [];
      try {
        await create(objects);
        await apply(objects, 'flux');
        await expectStored(objects);
        const before = await versions(objects);
        await apply(objects, 'flux');
        expect(await versions(objects)).to.deep.equal(before);
        const changed = objects.map((each, index) => edited(each, others[index] ?? each));
        await apply(changed, 'flux');
        await expectStored(changed);
      } finally {
        await removeAll(objects);
      }
    });
  });

  it('two managers each keep their own entries of lists that are merged', async () => {
    const mine = (filledObjectsOf(crds, { seed: 1, lists: 'merged' })[0] ?? []).filter(({ part }) => part === 'spec');
    const theirs = (filledObjectsOf(crds, { seed: 2, lists: 'merged' })[0] ?? []).filter(({ part }) => part === 'spec');
    try {
      await apply(mine, 'flux');
      await apply(theirs, 'argo');
      for (const [index, { crd, path }] of mine.entries()) {
        const definition = crds.find((each) => textAt(each, 'metadata', 'name') === crd) ?? {};
        const { body } = await api.get(path);
        for (const list of mergedPaths(specSchemaOf(definition, 'spec'), 'spec').filter(
          (each) => !each.slice(0, -2).includes('[]'),
        )) {
          const steps = list.slice(0, -2).split('.');
          const [own, other] = [mine, theirs].map((objects) => listAt(objects[index]?.object, ...steps));
          if (own === undefined || other === undefined || own.length === 0) continue;
          for (const entry of [...own, ...other])
            expect(
              listAt(body, ...steps).some((found) => isWithin(entry, found)),
              `${path} ${list} lost ${JSON.stringify(entry)}`,
            ).to.be.true;
        }
      }
    } finally {
      await removeAll(mine);
    }
  });

  it('a second manager of a list that is one value is told of the first', async () => {
    const filter = (values: readonly string[]): JsonObject => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: 'shared' },
      spec: { peerIP: '192.0.2.1', filters: [...values] },
    });
    await kubectl.run(['apply', '--server-side', '--field-manager=flux', '-f', '-'], JSON.stringify(filter(['one'])));
    const args = ['apply', '--server-side', '--field-manager=argo', '-f', '-'];
    const { code, stderr } = await kubectl.run(args, JSON.stringify(filter(['two'])));
    expect(code).to.equal(1);
    expect(stderr).to.match(/conflict with "flux".*\n?.*\.spec\.filters/);
    const forced = await kubectl.run(
      [...args.slice(0, 2), '--force-conflicts', ...args.slice(2)],
      JSON.stringify(filter(['two'])),
    );
    expect(forced.code, forced.stderr).to.equal(0);
    await api.delete('/apis/projectcalico.org/v3/bgppeers/shared');
  });

  async function versions(objects: readonly FilledObject[]): Promise<readonly unknown[]> {
    const found: unknown[] = [];
    for (const { path } of objects) found.push(textAt((await api.get(path)).body, 'metadata', 'resourceVersion'));
    return found;
  }

  /** Statuses need an object to stand on. */
  async function create(objects: readonly FilledObject[]): Promise<void> {
    const bare = objects.filter(
      ({ part, path }) => part === 'status' && !objects.some((each) => each.part === 'spec' && each.path === path),
    );
    for (const { object } of bare) {
      const { status: _, ...rest } = object;
      const { code, stderr } = await kubectl.run(['create', '-f', '-'], JSON.stringify(rest));
      expect(code, stderr).to.equal(0);
    }
  }

  async function removeAll(objects: readonly FilledObject[]): Promise<void> {
    for (const { path } of objects) await api.delete(path);
  }
});
